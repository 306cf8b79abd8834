"""One simulated world: everything around the operator, and one incarnation of it after another."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Protocol, override

from serinus import rollout, training
from serinus.plan import Defaults, Kind
from serinus.ports import Kube
from serinus.runtime.operator import Limits, Operator, Ports
from tests.sim.controllers import Collector, Deployments, Protector
from tests.sim.feed import Feed
from tests.sim.jobs import Jobs
from tests.sim.judge import Judge
from tests.sim.ledger import Ledger
from tests.sim.lines import Counting, KubeLine, PodLine, WallClock, Wire
from tests.sim.lines_registry import RegistryLine
from tests.sim.mlflow import Mlflow
from tests.sim.pods import Kubelet
from tests.sim.queueing import Admitter
from tests.sim.server import Change
from tests.sim.stage import Stage
from tests.sim.story import Story
from tests.sim.trainers import Trainers
from tests.sim.users import Users

KINDS: Final[Sequence[Kind[Any]]] = (training.KIND, rollout.KIND)
DEFAULTS: Final = Defaults(
    tracking_uri="http://mlflow:5000",
    trainer_image="serinus/trainer:1",
    server_image="serinus/server:1",
    cluster="this-cluster",
)
LIMITS: Final = Limits()
DOWN_FOR: Final = (0.2, 10.0)
OUTAGE_FOR: Final = (1.0, 120.0)
CLOCK_JUMP: Final = 900.0


@dataclass(frozen=True)
class Assembly:
    """How an operator is put together; what breaks one on purpose replaces a part."""

    operator: Callable[[Sequence[Kind[Any]], Ports, Defaults, Limits, Random], Operator] = Operator
    kinds: Sequence[Kind[Any]] = KINDS
    limits: Limits = LIMITS
    kube: Callable[[KubeLine], Kube] = lambda line: line
    registry: Callable[[Wire, Mlflow], RegistryLine] = RegistryLine
    forgiven: tuple[str, ...] = ()


class Part(Protocol):
    """Somebody who sees every change."""

    def seen(self, change: Change) -> None:
        """One change of one object."""
        ...


def cluster(stage: Stage, mlflow: Mlflow, ledger: Ledger) -> tuple[Part, ...]:
    """What Kubernetes is made of, and what runs in it."""
    return (
        Collector(stage),
        Protector(stage),
        Deployments(stage),
        Jobs(stage, ledger),
        Admitter(stage),
        Kubelet(stage),
        Trainers(stage, mlflow, ledger),
    )


class Incarnation:
    """One process of the operator, until it crashes."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.wire = Wire(world.stage, f"operator-{number}", self.crash)
        assembly, stage = world.assembly, world.stage
        kube = assembly.kube(KubeLine(self.wire, world.judge.answered))
        registry = assembly.registry(self.wire, world.mlflow)
        ports = Ports(kube, registry, PodLine(self.wire), WallClock(stage), Counting(stage))
        random = Random(stage.random.getrandbits(64))  # noqa: S311 (a simulation has to repeat)
        operator = assembly.operator(assembly.kinds, ports, DEFAULTS, assembly.limits, random)
        self.feed = Feed(stage, operator.cache.watched, operator, world.judge.shown)
        self.task = asyncio.create_task(operator.run())
        self.task.add_done_callback(self._ended)
        stage.story.tell(self.wire.name, "starts", "")

    def crash(self, when: str) -> None:
        """The process is killed, and another is started after a while."""
        if self.wire.alive:
            self.world.stage.story.tell(self.wire.name, "CRASHES", when)
            self.kill()
            self.world.stage.later(*DOWN_FOR, self.world.start_operator)

    def kill(self) -> None:
        """Nothing comes from this process any more."""
        self.wire.alive = False
        self.feed.stop()
        self.task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self.wire.alive:
            why = "returned" if task.cancelled() or task.exception() is None else f"died of {task.exception()!r}"
            self.world.stage.story.fail(f"the operator {why}")


class World:
    """Everything there is."""

    def __init__(self, seed: int, assembly: Assembly) -> None:
        self.assembly = assembly
        self.stage = Stage(seed)
        self.stage.story.forgiven = assembly.forgiven
        self.mlflow = Mlflow(self.stage)
        self.ledger = Ledger()
        self.judge = Judge(self.stage, self.mlflow, self.ledger)
        self.users = Users(self.stage, self.mlflow)
        parts: tuple[Part, ...] = (self.ledger, self.judge, *cluster(self.stage, self.mlflow, self.ledger))
        self.stage.server.listeners += [*(part.seen for part in parts), self._feed]
        self.operator: Incarnation | None = None
        self._incarnations = 0

    def start_operator(self) -> None:
        """A new process, which knows nothing."""
        self._incarnations += 1
        self.judge.knows_nothing()
        self.operator = Incarnation(self, self._incarnations)

    def start_trouble(self) -> None:
        """From now on things go wrong from time to time, as long as the weather is so."""
        self._from_time_to_time(lambda: self.stage.weather.outage_every, self._outage)
        self._from_time_to_time(lambda: self.stage.weather.crash_every, self._crash)
        self._from_time_to_time(lambda: self.stage.weather.clock_jump_every, self._jump)

    def _feed(self, change: Change) -> None:
        if self.operator is not None and self.operator.wire.alive:
            self.operator.feed.changed(change)

    def _from_time_to_time(self, every: Callable[[], float], what: Callable[[], None]) -> None:
        def now() -> None:
            if every():
                what()
                self._from_time_to_time(every, what)

        if every():
            self.stage.later(0.2 * every(), 2 * every(), now)

    def _outage(self) -> None:
        what = self.stage.random.choice(("kubernetes", "mlflow"))
        self.stage.down.add(what)
        self.stage.story.tell("weather", "outage of", what)
        self.stage.later(*OUTAGE_FOR, lambda: self._outage_ends(what))

    def _outage_ends(self, what: str) -> None:
        self.stage.down.discard(what)
        self.stage.story.tell("weather", "outage ends", what)

    def _crash(self) -> None:
        if self.operator is not None:
            self.operator.crash("out of the blue")

    def _jump(self) -> None:
        self.stage.clock_offset = self.stage.random.uniform(-CLOCK_JUMP, CLOCK_JUMP)
        self.stage.story.tell("weather", "clock jumps", f"{self.stage.clock_offset:.0f} s off")


class Logbook(logging.Handler):
    """What the operator logs is part of the story."""

    def __init__(self, story: Story) -> None:
        super().__init__(logging.WARNING)
        self._story = story

    @override
    def emit(self, record: logging.LogRecord) -> None:
        why = f": {record.exc_info[1]!r}" if record.exc_info else ""
        self._story.tell("log", record.levelname.lower(), record.getMessage() + why)
