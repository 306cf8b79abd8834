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
    started, results = time.perf_counter(), []
    for seed in seeds:
        results.append(simulate(seed, assembly, steps=options.steps))
        if results[-1].broken and not options.keep_going:
            break
    _report(results, time.perf_counter() - started, options.story, always=options.seed is not None)
    return int(any(result.broken for result in results))


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


def _report(results: list[Result], seconds: float, lines: int, *, always: bool) -> None:
    broken = [result for result in results if result.broken]
    for result in broken[1:]:
        print(f"seed {result.seed}: {result.broken}")
    if broken:
        print(broken[0].told(lines))
    elif always:
        print(results[0].story.end(lines))
    steps, virtual = sum(result.steps for result in results), sum(result.virtual_seconds for result in results)
    effects = sum(result.effects for result in results)
    print(
        f"{len(results)} seeds, {len(broken)} broken; {effects} effects and {steps} steps in {seconds:.1f} s: "
        f"{steps / seconds:.0f} steps a second; {virtual / 3600:.0f} hours of virtual time"
    )


if __name__ == "__main__":
    sys.exit(main())
