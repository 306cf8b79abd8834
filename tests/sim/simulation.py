"""One seed: a storm, then calm until everything has settled, then silence, and a new operator that changes nothing."""

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests import virtual_time
from tests.sim.settled import Settled
from tests.sim.stage import Stage
from tests.sim.story import Broken, Story
from tests.sim.weather import Weather
from tests.sim.world import Assembly, Logbook, World

STEPS: Final = 800
STORM: Final = 900.0
# A clock that was wrong may have put a pause off by so much, and a deadline.
SETTLES_WITHIN: Final = 3600.0
GLANCE: Final = 20.0
# Longer than two comparisons of everything.
SILENCE: Final = 1500.0
START_OF_AN_OPERATOR: Final = 100.0
CALM: Final = Weather(lag=0.1)
# Longer than the longest wait after a failure, and than it takes to compare everything once.
REST: Final = 720.0
QUIET: Final = {"kubernetes list", "mlflow resolve", "mlflow find open runs"}
READING: Final = frozenset(
    {"kubernetes get", "mlflow find run", "mlflow find runs", "mlflow find versions", "mlflow read run"}
)
ORDERS: Final = frozenset({"mlflow end run", "mlflow tag run", "mlflow log inputs"})


@dataclass(frozen=True)
class Result:
    """What became of one seed."""

    seed: int
    story: Story
    # Requests of the operator: each of them may meet a fault.
    effects: int
    virtual_seconds: float
    seconds: float

    @property
    def broken(self) -> Broken | None:
        """The first thing that must never happen."""
        return self.story.broken

    @property
    def steps(self) -> int:
        """How many things happened."""
        return len(self.story.lines)

    def told(self, lines: int = 80) -> str:
        """What happened, for people, and how to see it again."""
        return (
            f"seed {self.seed} broke after {self.steps} steps: {self.broken}\n{self.story.end(lines)}\n"
            f"seed {self.seed}: {self.broken}\n"
            f"again: .venv/bin/python -m tests.sim --seed {self.seed} --story {lines}"
        )


def simulate(seed: int, assembly: Assembly | None = None, steps: int = STEPS) -> Result:
    """Run one seed to its end, or to the first thing that must never happen."""
    started = time.perf_counter()
    stage = virtual_time.run(_simulate(seed, assembly or Assembly(), steps))
    return Result(seed, stage.story, stage.requests.total(), stage.ended_at, time.perf_counter() - started)


async def _simulate(seed: int, assembly: Assembly, steps: int) -> Stage:
    world = World(seed, assembly)
    story = world.stage.story
    with _logged(story):
        for act in (_storm, _calm, _quiet, _new_operator, _last_wish):
            if not world.stage.over.done():
                await act(world, steps)
    if world.stage.server.altered():
        story.fail(f"objects were changed in memory: {world.stage.server.altered()}")
    if world.operator is not None:
        world.operator.kill()
    world.stage.ended_at = world.stage.now
    return world.stage


async def _storm(world: World, steps: int) -> None:
    stage = world.stage
    world.users.start()
    world.start_operator()
    world.start_trouble()
    while len(stage.story.lines) < steps and stage.now < STORM and not stage.over.done():
        await stage.wait(1.0)
    if stage.over.done():
        return
    world.users.stop()
    stage.weather, stage.clock_offset = CALM, 0.0
    stage.story.tell("weather", "CALM", "no faults from now on")


async def _calm(world: World, _steps: int) -> None:
    await _settle(world, "after the storm")


async def _quiet(world: World, _steps: int) -> None:
    await _silence(world, "a settled world", frozenset(), SILENCE)


async def _settle(world: World, when: str) -> None:
    """Everything comes to rest, in bounded time: it is as it should be, and nobody has anything left to do."""
    stage, settled = world.stage, Settled(world.stage, world.mlflow, world.ledger)
    until, quiet_since, noise = stage.now + SETTLES_WITHIN, stage.now, _noise(world, settled)
    while stage.now - quiet_since < REST and not stage.over.done():
        await stage.wait(GLANCE)
        if stage.over.done():
            return
        problems, before, noise = settled.problems(), noise, _noise(world, settled)
        if problems or noise != before:
            quiet_since = stage.now
        if stage.now > until:
            stage.story.fail(f"not at rest {SETTLES_WITHIN:.0f} s {when}: {'; '.join(problems) or dict(noise)}")
            return
    stage.story.tell("judge", "SETTLED", when)


def _noise(world: World, settled: Settled) -> Counter[str]:
    """The requests so far that a world at rest does not need."""
    allowed = QUIET | ({"kubernetes get"} if settled.may_look() else set())
    return Counter({what: count for what, count in world.stage.requests.items() if what not in allowed})


async def _silence(world: World, when: str, allowed: frozenset[str], seconds: float) -> None:
    """A world at rest costs nothing but looking at it."""
    settled = Settled(world.stage, world.mlflow, world.ledger)
    before = _noise(world, settled)
    await world.stage.wait(seconds)
    noise = {what: count for what, count in (_noise(world, settled) - before).items() if what not in allowed}
    if noise:
        world.stage.story.fail(f"{when} is not left alone: {noise} in {seconds:.0f} s")


async def _new_operator(world: World, _steps: int) -> None:
    """An upgrade is silent."""
    if world.operator is not None:
        world.operator.kill()
    world.start_operator()
    # Whoever cannot go on, since somebody has the name of a child, orders again: orders are carried out once.
    settled = Settled(world.stage, world.mlflow, world.ledger)
    allowed = READING | (ORDERS if settled.may_look() or settled.is_held_up() else frozenset())
    await _silence(world, "a settled world with a new operator", allowed, START_OF_AN_OPERATOR)


async def _last_wish(world: World, _steps: int) -> None:
    """Nobody has gone deaf: what is wanted now still comes about."""
    world.users.last_wish()
    await _settle(world, "after the alias was moved")


@contextlib.contextmanager
def _logged(story: Story) -> Iterator[None]:
    log, book = logging.getLogger("serinus"), Logbook(story)
    propagated, log.propagate = log.propagate, False
    log.addHandler(book)
    try:
        yield
    finally:
        log.removeHandler(book)
        log.propagate = propagated
