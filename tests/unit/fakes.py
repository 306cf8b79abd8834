"""The world around the core, as small as a test of one part of it needs."""

import asyncio
import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from serinus import objects
from serinus.api import names
from serinus.api.resource import Resource
from serinus.api.scalars import timestamp
from serinus.asks import Answer, Ask, PodSamples, RegistryAsk, Scrape, Server
from serinus.objects import POD, Manifest, ObjectKind, Ref
from serinus.plan import Defaults, Facts, Kind, Plan
from serinus.ports import Conflict, KubeError, Missing

type Json = Any

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DEFAULTS = Defaults("http://mlflow:5000", "trainer:1", "server:1", timedelta(seconds=30))


def seeded(seed: int = 1) -> Random:
    return Random(seed)  # noqa: S311 (a run must repeat)


@dataclass
class WallClock:
    """`ports.Clock`; it stands until it is moved."""

    time: datetime = NOON

    def now(self) -> datetime:
        """See the port."""
        return self.time


class Meter:
    """`ports.Meter`; it counts the passes by outcome."""

    def __init__(self) -> None:
        self.passes: list[tuple[str, str]] = []

    def reconciled(self, kind: str, outcome: str, seconds: float) -> None:
        """See the port."""
        assert seconds >= 0
        self.passes.append((kind, outcome))

    def called(self, service: str, operation: str, outcome: str, seconds: float) -> None:
        """See the port."""


def merge_patch(target: Json, patch: Json) -> Json:
    """RFC 7386, as it is printed there."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def resource(kind: Kind[Any], spec: Json, **metadata: Json) -> dict[str, Json]:
    """A resource as the API server has it right after it was made."""
    own = {"name": "churn", "namespace": "team", "uid": "uid-churn", "generation": 1, "resourceVersion": "1"}
    wire = kind.object_kind
    return {
        "apiVersion": wire.api_version,
        "kind": wire.kind,
        "metadata": {**own, **metadata},
        "spec": spec,
        "status": {"observedGeneration": -1},
    }


def parsed[R: Resource](kind: type[R], raw: Manifest) -> R:
    model = kind.parse(raw)
    assert isinstance(model, kind), model
    return model


class FakeKube:
    """`ports.Kube` in memory; it notes every request, and fails where it is told to."""

    def __init__(self) -> None:
        self.objects: dict[Ref, Manifest] = {}
        self.requests: list[str] = []
        self.fails: dict[str, KubeError] = {}
        # The warnings about objects, by uid.
        self.warnings: dict[str, str] = {}
        self.seen: Callable[..., object] = lambda *_, **__: None
        self._version = 100

    @property
    def effects(self) -> list[str]:
        """The requests that change something."""
        return [one for one in self.requests if not one.startswith(("get", "list"))]

    def events(self) -> list[Manifest]:
        """The events that were told."""
        return [one for ref, one in self.objects.items() if ref.kind == objects.EVENT]

    def put(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """Somebody else writes the object."""
        ref = objects.ref_of(kind, manifest)
        before: Manifest = self.objects.get(ref, {"metadata": {}})
        self._version += 1
        own = {"uid": f"uid-{self._version}", **before["metadata"], **manifest["metadata"]}
        changed = before.get("spec") != manifest.get("spec")
        own |= {"resourceVersion": str(self._version), "generation": before["metadata"].get("generation", 0) + changed}
        stored = copy.deepcopy({**manifest, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": own})
        if "status" in before and "status" not in manifest:
            stored["status"] = before["status"]
        self.objects[ref] = stored
        self.seen(kind, stored)
        return stored

    def remove(self, ref: Ref) -> None:
        """Somebody else deletes the object."""
        self.seen(ref.kind, self.objects.pop(ref), gone=True)

    async def get(self, ref: Ref) -> Manifest | None:
        """See the port."""
        self._request("get", ref)
        return copy.deepcopy(self.objects.get(ref))

    async def list_versions(self, kind: ObjectKind, *, current: bool = False) -> Mapping[Ref, tuple[str, int]]:
        """See the port."""
        self.requests.append(f"list {kind.kind}{' as it is now' if current else ''}")
        return {ref: (objects.uid(one), objects.version(one)) for ref, one in self.objects.items() if ref.kind == kind}

    async def apply(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """See the port."""
        ref = objects.ref_of(kind, manifest)
        self._request("apply", ref)
        there, meant = self.objects.get(ref), objects.uid(manifest)
        if meant and (there is None or objects.uid(there) != meant):
            raise Conflict(f"{ref} is another one")
        return self.put(kind, merge_patch({"metadata": there["metadata"]} if there else {}, manifest))

    async def create(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """See the port."""
        ref = objects.ref_of(kind, manifest)
        self._request("create", ref)
        if ref in self.objects:
            raise Conflict(f"{ref} already exists")
        return self.put(kind, manifest)

    async def replace(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """Not what the core does."""
        raise NotImplementedError

    async def delete(self, ref: Ref, uid: str) -> None:
        """See the port."""
        self._request("delete", ref)
        if ref in self.objects and objects.uid(self.objects[ref]) == uid:
            self.remove(ref)

    async def warning(self, ref: Ref, uid: str) -> str:
        """See the port."""
        self.requests.append(f"list Event {ref.name}")
        return self.warnings.get(uid, "")

    async def patch_status(self, ref: Ref, patch: Mapping[str, Any], resource_version: str) -> Manifest:
        """See the port."""
        self._request("status", ref)
        there = self.objects.get(ref)
        if there is None:
            raise Missing(f"{ref} is gone")
        if there["metadata"]["resourceVersion"] != resource_version:
            raise Conflict(f"{ref} is no longer at {resource_version}")
        return self.put(ref.kind, {**there, "status": merge_patch(there.get("status"), patch)})

    def _request(self, verb: str, ref: Ref) -> None:
        self.requests.append(f"{verb} {ref.kind.kind} {ref.name}")
        error = self.fails.get(f"{verb} {ref.kind.kind}") or self.fails.get(verb)
        if error is not None:
            raise error


type Oracle = Callable[[Ask[Any]], Answer[Any] | None]


class FakeRegistry:
    """`ports.Registry` that answers what it is told, after `takes` seconds; it notes what was asked together."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.batches: list[tuple[float, Server, tuple[RegistryAsk[Any], ...]]] = []
        self.takes = 1.0
        self.error: Exception | None = None

    async def answer(self, server: Server, asks: Sequence[RegistryAsk[Any]]) -> Mapping[RegistryAsk[Any], Answer[Any]]:
        """See the port."""
        self.batches.append((asyncio.get_running_loop().time(), server, tuple(asks)))
        await asyncio.sleep(self.takes)
        if self.error is not None:
            raise self.error
        answers = {ask: self.oracle(ask) for ask in asks}
        return {ask: answer for ask, answer in answers.items() if answer is not None}


class FakeMetrics:
    """`ports.Metrics` that answers what it is told."""

    def __init__(self, answers: Callable[[Scrape], tuple[PodSamples, ...]] = lambda _: ()) -> None:
        self.answers = answers
        self.asked: list[Scrape] = []

    async def scrape(self, ask: Scrape) -> tuple[PodSamples, ...]:
        """See the port."""
        self.asked.append(ask)
        return self.answers(ask)


@dataclass
class Story[R: Resource]:
    """A resource that is looked at again and again: what its plans decide comes about, and registry answers come in.

    Each plan is made twice more: from the same facts, which must give the same plan, and with its own status in place,
    which must change nothing.
    """

    kind: Kind[R]
    raw: dict[str, Json]
    oracle: Oracle
    defaults: Defaults = DEFAULTS
    now: datetime = NOON
    children: dict[Ref, Manifest] = field(default_factory=dict)
    answers: dict[Ask[Any], Answer[Any]] = field(default_factory=dict)
    asked: list[Ask[Any]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    uids: int = 0

    def step(self) -> Plan:
        """One pass, and what follows from it at once; the answers to what it asks come before the next."""
        plan = self._plan()
        assert self._plan() == plan
        is_answer = plan.status.wire().get("lastAction") != self.raw["status"].get("lastAction")
        self.raw = {**self.raw, "status": plan.status.wire()}
        again = self._plan()
        # An action may be answered in a pass of its own.
        if not is_answer:
            assert (again.status, again.events) == (plan.status, ())
            assert again.apply in (plan.apply, ())
            assert again.delete in (plan.delete, ())
        self._carry_out(plan)
        return plan

    def run(self) -> Plan:
        """Passes until one changes nothing more."""
        for _ in range(20):
            before = (self.raw, self.children, self.answers)
            plan = self.step()
            if before == (self.raw, self.children, self.answers):
                return plan
        raise AssertionError("it never settles")

    def edit(self, **spec: Json) -> None:
        """The user changes the spec."""
        self.raw["metadata"] = {**self.raw["metadata"], "generation": self.raw["metadata"]["generation"] + 1}
        self.raw["spec"] = {**self.raw["spec"], **spec}

    def wipe(self) -> None:
        """The status is lost, and with the operator all answers."""
        self.raw = {**self.raw, "status": {"observedGeneration": -1}}
        self.restart()

    def restart(self) -> None:
        """Another operator takes over, which has no answers yet."""
        self.answers = {}

    def forget_troubles(self) -> None:
        """What was not answered is asked again."""
        self.answers = {ask: self.oracle(ask) or answer for ask, answer in self.answers.items()}

    def of(self, kind: ObjectKind) -> list[Manifest]:
        """The children of a kind."""
        return [one for ref, one in sorted(self.children.items()) if ref.kind == kind]

    def put(self, kind: ObjectKind, manifest: Manifest) -> None:
        """Somebody else makes or changes a child."""
        self.children = {**self.children, objects.ref_of(kind, manifest): {"kind": kind.kind, **manifest}}

    def set_status(self, child: Manifest, **status: Json) -> None:
        """A controller of Kubernetes reports about a child."""
        ref = next(ref for ref, one in self.children.items() if one is child)
        self.children = {**self.children, ref: {**child, "status": status}}

    def conditions(self) -> dict[str, tuple[str, str]]:
        """Status and reason of the conditions, by type."""
        found = self.raw["status"].get("conditions", ())
        return {one["type"]: (one["status"], one["reason"]) for one in found}

    def _plan(self) -> Plan:
        facts = Facts(self.now, tuple(self.children.values()), dict(self.answers))
        return self.kind.plan(parsed(self.kind.resource, self.raw), facts, self.defaults)

    def _carry_out(self, plan: Plan) -> None:
        for apply in plan.apply:
            self._apply(apply.kind, apply.manifest, once=apply.once)
        for delete in plan.delete:
            assert objects.uid(self.children[delete.ref]) == delete.uid
            self.effects.append(f"delete {delete.ref.kind.kind} {delete.ref.name}")
            self.children = {ref: one for ref, one in self.children.items() if ref != delete.ref}
        self.events += [f"{event.type} {event.reason}" for event in plan.events]
        self.asked += [ask for ask in plan.ask if ask not in self.asked]
        answers = {ask: self.answers.get(ask) or self.oracle(ask) for ask in plan.ask}
        self.answers = {ask: answer for ask, answer in answers.items() if answer is not None}

    def _apply(self, kind: ObjectKind, manifest: Manifest, *, once: bool) -> None:
        ref = objects.ref_of(kind, manifest)
        there = self.children.get(ref)
        if there is None:
            self.uids += 1
            self.effects.append(f"make {kind.kind} {ref.name}")
            own = {"uid": f"uid-{self.uids}", "creationTimestamp": timestamp(self.now)}
            made = {**manifest, "metadata": {**manifest["metadata"], **own}}
            self.children = {**self.children, ref: made}
        elif not once and not _says(there, manifest):
            self.effects.append(f"change {kind.kind} {ref.name}")
            changed = {**there, **manifest, "metadata": {**there["metadata"], **manifest["metadata"]}}
            self.children = {**self.children, ref: changed}


def _says(there: Manifest, wanted: Manifest) -> bool:
    return bool(there["spec"] == wanted["spec"] and objects.labels(there) == objects.labels(wanted))


def as_json(plan: Plan) -> Json:
    """A plan as a person reads it."""
    written = {
        "apply": [dict(one.manifest) for one in plan.apply],
        "delete": [str(one.ref) for one in plan.delete],
        "ask": [f"{type(one).__name__} {getattr(one, 'run_id', '')}".strip() for one in plan.ask],
        "status": plan.status.wire(),
        "events": [f"{one.type} {one.reason}: {one.message}" for one in plan.events],
    }
    return {key: value for key, value in written.items() if value}


def pod(name: str, labels: Mapping[str, str], phase: str = "Running", **status: Json) -> Manifest:
    """A pod, with the labels of its Job."""
    metadata = {"name": name, "namespace": "team", "uid": f"uid-{name}", "labels": dict(labels)}
    return {"kind": POD.kind, "metadata": metadata, "spec": {}, "status": {"phase": phase, **status}}


def owned(manifest: Manifest, owner: str) -> Manifest:
    """The object, controlled by another one."""
    reference = {"apiVersion": names.API_VERSION, "kind": "TrainingJob", "name": "churn", "uid": owner}
    metadata = {**manifest["metadata"], "ownerReferences": [{**reference, "controller": True}]}
    return {**manifest, "metadata": metadata}
