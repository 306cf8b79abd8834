"""Run many seeds: `python -m tests.sim --seeds 200`. The first that fails prints its story."""

import argparse
import sys
import time

from tests.sim.simulation import STEPS, Result, simulate
from tests.sim.world import Assembly


def main() -> int:
    """Run what the command line says; 1 if a seed fails."""
    options = _options()
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    assembly = Assembly(forgiven=tuple(options.forgive))
    total = Total()
    for seed in seeds:
        result = simulate(seed, assembly, steps=options.steps)
        total.add(result)
        if result.broken or options.seed is not None:
            print(f"seed {seed}: {result.broken}" if total.broken > 1 else result.told(options.story), flush=True)
        if result.broken and not options.keep_going:
            break
    print(total.told())
    return int(total.broken > 0)


class Total:
    """What all seeds came to; their stories are not kept."""

    def __init__(self) -> None:
        """Nothing yet; the clock starts."""
        self._started = time.perf_counter()
        self.seeds = self.broken = self.effects = self.steps = 0
        self.virtual_seconds = 0.0

    def add(self, result: Result) -> None:
        """One more seed."""
        self.seeds += 1
        self.broken += bool(result.broken)
        self.effects += result.effects
        self.steps += result.steps
        self.virtual_seconds += result.virtual_seconds

    def told(self) -> str:
        """One line."""
        seconds = time.perf_counter() - self._started
        return (
            f"{self.seeds} seeds, {self.broken} broken; {self.effects} effects and {self.steps} steps in "
            f"{seconds:.1f} s: {self.steps / seconds:.0f} steps a second; "
            f"{self.virtual_seconds / 3600:.0f} hours of virtual time"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds (100)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--seed", type=int, help="this one only, with its story")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"steps of the storm ({STEPS})")
    parser.add_argument("--story", type=int, default=80, help="how many lines of the story are told (80)")
    parser.add_argument("--forgive", action="append", default=[], help="go on past what has these words")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first seed that fails")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
