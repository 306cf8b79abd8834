"""The operator's way to the API server, the registry, the pods and the clock: each request may meet a fault.

A process that was killed does nothing more: its lines are dead, and whoever waits on one waits until it is cancelled.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from serinus import objects
from serinus.asks import PodSamples, Scrape
from serinus.objects import EVENT, Manifest, ObjectKind, Ref, ref_of
from serinus.ports import Conflict, Forbidden, KubeError, Unavailable
from tests.sim.kinds import watched
from tests.sim.stage import Stage
from tests.sim.weather import READS, WRITES, Fault

MANY: Final = 1000
IN: Final = 60.0
LATENCY: Final = 0.05
TIMEOUT: Final = (1.0, 10.0)
SLOW: Final = (5.0, 30.0)
LATE: Final = (0.1, 20.0)
# A late request without a precondition could overtake those after it: only these two have one always.
WITH_PRECONDITION: Final = ("delete", "patch_status")

_REFUSALS: Final[Mapping[Fault, KubeError]] = {
    Fault.CONFLICT: Conflict("the object has been modified; please apply your changes to the latest version"),
    Fault.THROTTLED: Unavailable("too many requests", retry_after=1.0),
    Fault.ERROR: Unavailable("etcdserver: leader changed"),
    Fault.FORBIDDEN: Forbidden("exceeded quota: compute-resources"),
}


class Wire:
    """What all lines of one incarnation have in common: latency, faults, and the end of the process."""

    def __init__(self, stage: Stage, name: str, crash: Callable[[str], None]) -> None:
        self.stage = stage
        self.name = name
        self.alive = True
        self._crash = crash
        self._last_many = -IN

    async def request[T](  # noqa: PLR0913 (what makes up a request)
        self,
        service: str,
        what: str,
        about: object,
        effect: Callable[[], T],
        *,
        faults: Sequence[Fault],
        lost: Exception,
    ) -> T:
        """One request: what it does, or why it is not known whether it did it. Raises `lost` and what `effect` does."""
        fault = self._fault(faults)
        self._count(f"{service} {what}")
        await self.travel(SLOW if fault == Fault.SLOW else (0.0, LATENCY))
        if fault == Fault.CRASH_BEFORE:
            await self._die(f"before {what} {about}")
        if service in self.stage.down:
            self._tell(what, about, "outage")
            await self.travel((0.0, 1.0))
            raise lost
        if fault == Fault.LOST_REQUEST or (fault == Fault.LATE and what not in WITH_PRECONDITION):
            self._tell(what, about, Fault.LOST_REQUEST)
            await self.travel(TIMEOUT)
            raise lost
        if fault == Fault.LATE:
            self._tell(what, about, fault)
            self.stage.later(*LATE, lambda: self._late(what, about, effect))
            await self.travel(TIMEOUT)
            raise lost
        if fault is not None and fault in _REFUSALS:
            self._tell(what, about, fault)
            raise _REFUSALS[fault] if service == "kubernetes" else lost
        return await self._effect(what, about, effect, fault, lost)

    async def _effect[T](
        self, what: str, about: object, effect: Callable[[], T], fault: Fault | None, lost: Exception
    ) -> T:
        try:
            answer = effect()
        except KubeError as error:
            self._tell(what, about, f"{type(error).__name__}: {error}")
            await self.travel((0.0, LATENCY))
            raise
        self._tell(what, about, fault if fault is not None else "")
        if fault == Fault.CRASH_AFTER:
            await self._die(f"after {what} {about}")
        if fault == Fault.LOST_ANSWER:
            await self.travel(TIMEOUT)
            raise lost
        await self.travel((0.0, LATENCY))
        return answer

    def _late(self, what: str, about: object, effect: Callable[[], object]) -> None:
        try:
            effect()
        except KubeError as error:
            self._tell(what, about, f"late, and too late: {error}")
            return
        self._tell(what, about, "late")

    def _count(self, request: str) -> None:
        """Each request counts; who makes so many for so few resources will never come to rest."""
        requests = self.stage.requests
        requests[request] += 1
        if requests.total() % MANY == 0:
            if self.stage.now - self._last_many < IN:
                self.stage.story.fail(f"it never comes to rest: {MANY} requests in {IN} s, at last {request}")
            self._last_many = self.stage.now

    async def travel(self, between: tuple[float, float]) -> None:
        """Time passes on the wire; if the process dies meanwhile, or the simulation ends, nothing comes of it."""
        await asyncio.sleep(self.stage.random.uniform(*between))
        await self._must_live()

    async def _must_live(self) -> None:
        if not self.alive or self.stage.over.done():
            await self.stage.loop.create_future()

    async def _die(self, when: str) -> None:
        self._crash(when)
        await self._must_live()

    def _fault(self, possible: Sequence[Fault]) -> Fault | None:
        faults = self.stage.weather.faults
        if not faults:
            return None
        dice = self.stage.random.random()
        for fault in possible:
            dice -= faults.get(fault, 0.0)
            if dice < 0:
                return fault
        return None

    def _tell(self, what: str, about: object, how: str) -> None:
        self.stage.story.tell(self.name, what, about, how)


class KubeLine:
    """The API server, as `Kube`; `answered` is shown every object that the operator gets for an answer."""

    def __init__(self, wire: Wire, answered: Callable[[Manifest], None]) -> None:
        self._wire = wire
        self._server = wire.stage.server
        self._answered = answered
        self._writing: Counter[str] = Counter()

    async def get(self, ref: Ref) -> Manifest | None:
        """As the port says."""
        answer = await self._read("get", ref, lambda: self._server.get(ref))
        if answer is not None:
            self._answered(answer)
        return answer

    async def list_versions(self, kind: ObjectKind, *, current: bool = False) -> Mapping[Ref, tuple[str, int]]:
        """As the port says: a little old now and then."""
        back = 0 if current else self._wire.stage.behind(kind)

        def versions() -> dict[Ref, tuple[str, int]]:
            there = self._server.snapshot(kind, back).items()
            return {ref: (objects.uid(one), objects.version(one)) for ref, one in there if watched(kind, one)}

        return await self._read("list", kind.plural, versions)

    async def apply(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """As the port says."""
        ref = ref_of(kind, manifest)
        stage = self._wire.stage
        if self._server.get(ref) is None and stage.chance(stage.weather.squatting):
            squat(stage, ref)
        return await self._write("apply", ref, manifest, lambda: self._server.apply(self._wire.name, kind, manifest))

    async def create(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """As the port says."""
        ref = ref_of(kind, manifest)
        if kind == EVENT:
            return await self._write("event", ref, manifest, lambda: manifest)
        return await self._write("create", ref, manifest, lambda: self._server.create(self._wire.name, kind, manifest))

    async def replace(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """As the port says."""
        ref = ref_of(kind, manifest)
        return await self._write(
            "replace", ref, manifest, lambda: self._server.replace(self._wire.name, kind, manifest)
        )

    async def delete(self, ref: Ref, uid: str) -> None:
        """As the port says."""
        live = self._server.get(ref) or {"metadata": {}}
        await self._write("delete", ref, live, lambda: self._delete(ref, uid))

    async def warning(self, ref: Ref, uid: str) -> str:
        """As the port says; nobody tells events here but the operator."""
        return await self._read("list events", f"{ref} {uid}", lambda: "")

    async def patch_status(self, ref: Ref, patch: Mapping[str, Any], resource_version: str) -> Manifest:
        """As the port says."""
        live = self._server.get(ref) or {"metadata": {}}

        def effect() -> Manifest:
            return self._server.patch_status(self._wire.name, ref, patch, resource_version)

        return await self._write("patch_status", ref, live, effect)

    def _delete(self, ref: Ref, uid: str) -> Manifest:
        self._server.delete(self._wire.name, ref, uid)
        return {}

    async def _read[T](self, what: str, about: object, effect: Callable[[], T]) -> T:
        lost = Unavailable(f"{what} {about}: no answer")
        return await self._wire.request("kubernetes", what, about, effect, faults=READS, lost=lost)

    async def _write(self, what: str, ref: Ref, manifest: Manifest, effect: Callable[[], Manifest]) -> Manifest:
        """One write; those for one resource come one after another, or two passes over it run at once."""
        lost = Unavailable(f"{what} {ref}: no answer")
        subject = objects.controller(manifest) or objects.uid(manifest)
        self._writing[subject] += 1
        if subject and what != "event" and self._writing[subject] > 1:
            self._wire.stage.story.fail(f"two writes at once for one resource: {what} {ref}")
        try:
            answer = await self._wire.request("kubernetes", what, ref, effect, faults=WRITES, lost=lost)
        finally:
            self._writing[subject] -= 1
        if answer and what != "event":
            self._answered(answer)
        return answer


def squat(stage: Stage, ref: Ref) -> None:
    """Somebody else makes an object of this name, just before."""
    if stage.server.namespaces.get(ref.namespace):
        metadata = {"name": ref.name, "namespace": ref.namespace, "labels": {"app": "squatter"}}
        specs = {"Service": {"selector": {"app": "squatter"}}, "PersistentVolumeClaim": {"volumeMode": "Block"}}
        spec = specs.get(ref.kind.kind, {"replicas": 0, "suspend": True})
        stage.server.create("squatter", ref.kind, {"metadata": metadata, "spec": spec})
        stage.story.tell("squatter", "takes", ref)


class PodLine:
    """The pods, as `Metrics`: they say nothing, for the servers of this world count nothing yet."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def scrape(self, ask: Scrape) -> tuple[PodSamples, ...]:
        """As the port says."""
        await self._wire.travel((0.0, LATENCY))
        now = self._wire.stage.time_of_day()
        return tuple(PodSamples(pod.name, now, trouble="it does not answer") for pod in ask.pods)


class WallClock:
    """The time of day as the operator's machine has it, as `Clock`."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def now(self) -> datetime:
        """As the port says."""
        return self._stage.time_of_day()


class Counting:
    """Counts, as `Meter`; a pass that fails is a mistake in the operator."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.passes: Counter[str] = Counter()

    def reconciled(self, kind: str, outcome: str, seconds: float) -> None:
        """As the port says."""
        self.passes[outcome] += 1
        if outcome == "failed" and seconds < TIMEOUT_OF_A_PASS:
            self._stage.story.fail(f"a pass over a {kind} failed by a mistake in the operator")

    def called(self, service: str, operation: str, outcome: str, seconds: float) -> None:
        """As the port says."""


TIMEOUT_OF_A_PASS: Final = 59.0
