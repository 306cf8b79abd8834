"""A cluster, servers with runs, and a sweep between them, in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from serinus import objects, training
from serinus.asks import Answer, EndRun, FindOpenRuns, Known, RegistryAsk, Run, RunStatus, Server, Trouble, TroubleKind
from serinus.objects import Manifest, Ref
from serinus.plan import Defaults
from serinus.runtime.cache import Cache
from serinus.runtime.sweep import Sweep
from serinus.training.orphans import LEFTOVERS
from tests import virtual_time
from tests.unit.fakes import NOON, FakeKube, Json, resource, seeded

CLUSTER = "uid-of-this-cluster"
HOME = Server("http://mlflow:5000")
THEIRS = Server("http://theirs", "team", "login")
TRACKED = {"image": "mine/trainer:1", "tracking": {"uri": THEIRS.uri, "credentialsSecret": "login"}}
EVERY = 300.0
KIND = training.KIND.object_kind


class Servers:
    """`ports.Registry`: servers with runs, which answer after `takes` seconds; those in `troubles` with a trouble."""

    def __init__(self) -> None:
        self.runs: dict[Server, dict[str, Run]] = {HOME: {}, THEIRS: {}}
        self.troubles: dict[Server, TroubleKind] = {}
        self.refused: set[str] = set()
        self.takes = 0.1
        self.asked: list[tuple[float, Server, int]] = []

    async def answer(self, server: Server, asks: Sequence[RegistryAsk[Any]]) -> Mapping[RegistryAsk[Any], Answer[Any]]:
        """See the port."""
        self.asked.append((now(), server, len(asks)))
        trouble = self.troubles.get(server)
        await asyncio.sleep(30.0 if trouble == TroubleKind.UNREACHABLE else self.takes)
        return {ask: Trouble(trouble, f"{server} has {trouble}") if trouble else self._one(ask) for ask in asks}

    def _one(self, ask: RegistryAsk[Any]) -> Answer[Any]:
        runs = self.runs[ask.server]
        match ask:
            case FindOpenRuns(tag=tag, value=value):
                mine = (run for run in runs.values() if run.tags.get(tag) == value)
                return Known(tuple(run for run in mine if run.status in {"RUNNING", "SCHEDULED"}), NOON)
            case EndRun(run_id=run_id) if run_id in self.refused:
                return Trouble(TroubleKind.REFUSED, "too long")
            case EndRun(run_id=run_id, end=end, tags=tags):
                runs[run_id] = replace(runs[run_id], status=end, tags={**runs[run_id].tags, **dict(tags)})
                return Known(runs[run_id], NOON)
            case _:
                raise NotImplementedError(ask)

    def sweeps(self, server: Server = HOME) -> list[float]:
        """When a server was asked what is open."""
        return [at for at, asked, _ in self.asked if asked == server]


class World:
    """A cluster, servers, and a sweep."""

    def __init__(self, cluster: str = CLUSTER) -> None:
        self.kube, self.servers, self.cache = FakeKube(), Servers(), Cache([training.KIND])
        self.kube.seen = self._observe
        defaults = Defaults(HOME.uri, cluster=cluster)
        self.sweep = Sweep(KIND, LEFTOVERS, self.kube, self.servers, self.cache, defaults, EVERY, seeded())

    def _observe(self, kind: objects.ObjectKind, manifest: Manifest, *, gone: bool = False) -> None:
        self.cache.observe(kind, manifest, gone=gone)
        self.sweep.seen(manifest, gone=gone)

    def create(self, name: str, spec: Json = None, status: Json = None) -> Ref:
        """A TrainingJob, whose uid is its name."""
        made = resource(training.KIND, spec or {"image": "mine/trainer:1"}, name=name, uid=name)
        self.kube.put(KIND, {**made, "status": status or made["status"]})
        return Ref(KIND, "team", name)

    def open(self, run_id: str, of: str, server: Server = HOME, status: RunStatus = "RUNNING") -> None:
        """A run that was opened for a TrainingJob."""
        tags = {"cluster": CLUSTER, "uid": of, "revision": "1", "attempt": "1", "resource": f"team/{of}"}
        tagged = {f"serinus.{key}": value for key, value in tags.items()}
        self.servers.runs[server][run_id] = Run(run_id, "1", status, tags=tagged)

    def status(self, run_id: str, server: Server = HOME) -> str:
        """How a run is, and why."""
        run = self.servers.runs[server][run_id]
        return f"{run.status} {run.tags.get('serinus.reason', '')}".strip()


def story(tell: Callable[[World], Coroutine[Any, Any, None]], cluster: str = CLUSTER) -> World:
    """What happens while a sweep runs that has seen everything."""

    async def told() -> World:
        world = World(cluster)
        running = asyncio.create_task(world.sweep.run())
        try:
            await tell(world)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
        return world

    return virtual_time.run(told())


def now() -> float:
    return asyncio.get_running_loop().time()
