"""One pass: the plan sees what is observed, what cannot be had is said; and the whole loop around passes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial, wraps
from typing import Any

import pytest

from serinus import rollout, training
from serinus.api.conditions import Reason
from serinus.api.names import Label
from serinus.api.trainingjob import TrainingJob
from serinus.asks import Answer, Ask, EnsureRun, FindRuns, Known, ModelVersion, ReadRun, ResolveVersion, Run, Server
from serinus.objects import DEPLOYMENT, JOB, POD, SERVICE, Manifest, ObjectKind, Ref
from serinus.plan import Apply, Defaults, Event, Facts, Plan
from serinus.ports import Conflict, Forbidden, KubeError, Refused, Unavailable
from serinus.progress import updated
from serinus.runtime.answers import Answers
from serinus.runtime.cache import Cache
from serinus.runtime.executor import Executor, Going, NameTaken
from serinus.runtime.operator import Limits, Operator, Ports
from serinus.runtime.reconcile import Reconciler
from tests import virtual_time
from tests.unit.fakes import (
    DEFAULTS,
    NOON,
    FakeKube,
    FakeMetrics,
    FakeRegistry,
    Json,
    Meter,
    WallClock,
    owned,
    resource,
    seeded,
)

CHURN = Ref(training.KIND.object_kind, "team", "churn")
ASK = ReadRun(server=Server("http://mlflow:5000"), run_id="r")
CHILD = {
    "metadata": {
        "name": "churn-a",
        "namespace": "team",
        "labels": {Label.MANAGED_BY: "serinus", Label.TRAINING_JOB: "churn"},
    },
    "spec": {},
}


class Pass:
    """A TrainingJob, a plan for it that the test gives, and passes over it."""

    def __init__(self, spec: Json | None = None) -> None:
        self.kube, self.clock = FakeKube(), WallClock()
        self.kinds = {CHURN.kind: replace(training.KIND, plan=self._plan)}
        self.cache = Cache(tuple(self.kinds.values()))
        self.kube.seen = self.cache.observe
        self.answers = Answers(
            FakeRegistry(lambda _: None), FakeMetrics(), self.kube, self.clock, lambda _: None, seeded()
        )
        executor = Executor(self.kube, self.cache, self.clock)
        self.reconciler = Reconciler(self.kinds, self.cache, self.answers, executor, self.clock, DEFAULTS)
        self.facts: list[Facts] = []
        self.then = Plan(status=training.KIND.status())
        self.kube.put(CHURN.kind, resource(training.KIND, {"image": "trainer:1"} if spec is None else spec))

    def _plan(self, job: TrainingJob, facts: Facts, defaults: Defaults) -> Plan:
        assert defaults == DEFAULTS
        self.facts.append(facts)
        return replace(self.then, status=updated(job.status, observed_generation=job.metadata.generation))

    async def once(self) -> float | None:
        """One pass."""
        self.kube.requests.clear()
        return await self.reconciler.reconcile(CHURN)

    @property
    def asks_for(self) -> bool:
        """Whether the ask of the plan has taken effect."""
        return ASK in self.answers._entries  # noqa: SLF001 (there is no other sign of what is wanted)

    def status(self) -> Json:
        """The status in the cluster."""
        status: Json = self.kube.objects[CHURN]["status"]
        return status

    def conditions(self) -> dict[str, tuple[str, str, str]]:
        """Status, reason and message of the conditions, by type."""
        found = self.status().get("conditions", ())
        return {one["type"]: (one["status"], one["reason"], one["message"]) for one in found}


def story(test: Callable[[Pass], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """The test, given a pass, in virtual time."""

    @wraps(test)
    def run() -> None:
        async def opened() -> None:
            await test(Pass())

        virtual_time.run(opened())

    # pytest would take the parameter for a fixture.
    del run.__wrapped__
    return run


@story
async def test_a_resource_that_is_not_there_is_nothing_to_do(one: Pass) -> None:
    one.then = replace(one.then, ask=(ASK,))
    await one.once()
    assert one.asks_for
    one.kube.remove(CHURN)
    assert await one.once() is None
    assert (one.kube.requests, one.asks_for) == ([], False)


@story
async def test_a_resource_that_is_going_is_left_to_go(one: Pass) -> None:
    raw = one.kube.objects[CHURN]
    one.kube.put(CHURN.kind, {**raw, "metadata": {**raw["metadata"], "deletionTimestamp": "2026-01-01T12:00:00Z"}})
    assert await one.once() is None
    assert (one.kube.requests, one.facts) == ([], [])


@story
async def test_a_plan_sees_the_time_and_what_is_ours(one: Pass) -> None:
    mine = {**CHILD, "metadata": {**CHILD["metadata"], "name": "mine"}}
    orphan = {**CHILD, "metadata": {**CHILD["metadata"], "name": "orphan"}}
    predecessors = {**CHILD, "metadata": {**CHILD["metadata"], "name": "predecessors"}}
    pod = {**CHILD, "metadata": {**CHILD["metadata"], "name": "pod"}}
    one.kube.put(JOB, owned(mine, "uid-churn"))
    one.kube.put(JOB, orphan)
    one.kube.put(JOB, owned(predecessors, "uid-of-a-predecessor"))
    one.kube.put(POD, owned(pod, "uid-of-a-job"))
    await one.once()
    assert one.facts[0].now == NOON
    assert sorted(child["metadata"]["name"] for child in one.facts[0].children) == ["mine", "orphan", "pod"]


@story
async def test_a_pass_that_has_nothing_to_do_makes_no_request(one: Pass) -> None:
    await one.once()
    assert one.kube.requests == ["status TrainingJob churn"]
    await one.once()
    assert one.kube.requests == []


@story
async def test_the_next_pass_is_when_the_plan_says(one: Pass) -> None:
    await one.once()
    one.then = replace(one.then, requeue_after=timedelta(seconds=90))
    assert await one.once() == 90
    one.then = replace(one.then, requeue_after=None)
    assert await one.once() is None


@story
async def test_a_pass_that_changed_a_child_is_followed_by_another_at_once(one: Pass) -> None:
    one.then = replace(one.then, apply=(Apply(JOB, CHILD),), requeue_after=timedelta(seconds=90))
    assert await one.once() == 0
    assert await one.once() == 90


@story
async def test_asks_take_effect_only_after_the_status_was_written(one: Pass) -> None:
    one.then = replace(one.then, ask=(ASK,))
    one.kube.fails["status"] = Conflict("409")
    with pytest.raises(Conflict):
        await one.once()
    assert not one.asks_for
    one.kube.fails.clear()
    await one.once()
    assert one.asks_for


INVALID = [
    ({"workers": 0}, "spec.workers: Input should be greater than or equal to 1, not 0"),
    ({"wokers": 1}, "spec.wokers: is not a field: correct its name, or leave it out"),
    ({"args": ["$(params.depth)"]}, "spec: command or args say $(params.depth), which is unknown"),
]


@pytest.mark.parametrize(("spec", "message"), INVALID, ids=[message for _, message in INVALID])
def test_an_invalid_resource_is_told_which_field_is_wrong_and_nothing_else_is_done(spec: Json, message: str) -> None:
    async def run() -> None:
        one = Pass(spec)
        assert await one.once() == 0.0, "a status was written, and is looked at once more"
        conditions = one.conditions()
        assert {kind: said[:2] for kind, said in conditions.items()} == {
            "Ready": ("False", "InvalidSpec"),
            "Stalled": ("True", "InvalidSpec"),
        }
        assert all(said[2].startswith(message) for said in conditions.values())
        assert one.status()["message"].startswith(message)
        assert (one.status()["phase"], one.status()["observedGeneration"]) == ("Pending", 1)
        (event,) = one.kube.events()
        assert (event["type"], event["reason"]) == ("Warning", "InvalidSpec")
        assert one.facts == []
        assert await one.once() is None
        assert one.kube.requests == [], "it is said once"

    virtual_time.run(run())


@story
async def test_a_resource_that_became_invalid_keeps_what_was_reached(one: Pass) -> None:
    raw = one.kube.objects[CHURN]
    one.kube.put(CHURN.kind, {**raw, "spec": {"workers": 0}, "status": {"phase": "Running", "attempt": 2}})
    await one.once()
    assert (one.status()["phase"], one.status()["attempt"]) == ("Running", 2)


@story
async def test_a_status_that_cannot_be_read_does_not_keep_it_from_being_said(one: Pass) -> None:
    raw = one.kube.objects[CHURN]
    one.kube.put(CHURN.kind, {**raw, "spec": {"workers": 0}, "status": {"phase": "Dancing"}})
    await one.once()
    assert one.conditions()["Stalled"][1] == "InvalidSpec"


REFUSALS = [
    (Forbidden("RBAC forbids it: give it a Role"), Reason.FORBIDDEN),
    (Forbidden('jobs "a" is forbidden: exceeded quota: team, requested: pods=1'), Reason.QUOTA_EXCEEDED),
    (Refused("spec.template.spec.containers[0].image: Required value"), Reason.INVALID_SPEC),
    (NameTaken("Job team/churn-a is there and was not made by the operator"), Reason.NAME_TAKEN),
]


@pytest.mark.parametrize(("error", "reason"), REFUSALS, ids=[reason for _, reason in REFUSALS])
def test_what_the_api_server_will_not_have_is_said_and_raised(error: KubeError, reason: Reason) -> None:
    async def run() -> None:
        one = Pass()
        one.then = replace(one.then, apply=(Apply(JOB, CHILD),), ask=(ASK,), events=(Event("Normal", "Training", ""),))
        one.kube.fails["apply Job"] = error
        for _ in range(3):
            with pytest.raises(type(error)):
                await one.once()
        assert one.conditions() == {
            "Ready": ("False", reason, str(error)),
            "Stalled": ("True", reason, str(error)),
        }
        assert [event["reason"] for event in one.kube.events()] == [reason]
        assert not [request for request in one.kube.requests if request.startswith("status")], "it is said once"

    virtual_time.run(run())


def test_what_is_on_its_way_out_is_waited_for_and_that_is_said() -> None:
    async def run() -> None:
        one = Pass()
        one.then = replace(one.then, apply=(Apply(JOB, CHILD),))
        one.kube.fails["apply Job"] = Going("Job team/churn-a is being deleted")
        for _ in range(3):
            with pytest.raises(Going):
                await one.once()
        told = (Reason.STOPPING, "Job team/churn-a is being deleted")
        assert one.conditions() == {"Ready": ("Unknown", *told), "Reconciling": ("True", *told)}
        assert not [request for request in one.kube.requests if request.startswith("status")], "it is said once"

    virtual_time.run(run())


@pytest.mark.parametrize("error", [Unavailable("503"), Conflict("409")])
def test_what_passes_by_itself_is_raised_and_not_said(error: KubeError) -> None:
    async def run() -> None:
        one = Pass()
        one.then = replace(one.then, apply=(Apply(JOB, CHILD),))
        one.kube.fails["apply Job"] = error
        with pytest.raises(type(error)):
            await one.once()
        assert "conditions" not in one.status()

    virtual_time.run(run())


@story
async def test_a_status_that_may_not_be_written_is_tried_once_in_a_pass(one: Pass) -> None:
    one.kube.fails["status"] = Forbidden("RBAC forbids it")
    with pytest.raises(Forbidden):
        await one.once()
    assert one.kube.requests == ["status TrainingJob churn"]


# The whole loop.


class Cluster:
    """A cluster with an operator in it, whose watches are a moment late, and MLflow with one version and no run."""

    def __init__(self) -> None:
        self.kube, self.clock = FakeKube(), WallClock()
        self.registry = FakeRegistry(self._oracle)
        self.meter = Meter()
        self.version = "1"
        ports = Ports(self.kube, self.registry, FakeMetrics(), self.clock, self.meter)
        self.operator = Operator((training.KIND, rollout.KIND), ports, DEFAULTS, Limits(workers=2), seeded())
        self.kube.seen = self._later

    def _later(self, kind: ObjectKind, manifest: Manifest, *, gone: bool = False) -> None:
        asyncio.get_running_loop().call_later(0.1, partial(self.operator.observe, kind, manifest, gone=gone))

    def _oracle(self, ask: Ask[Any]) -> Answer[Any] | None:
        match ask:
            case ResolveVersion():
                return Known(ModelVersion("churn", self.version, ready=True), NOON)
            case FindRuns():
                return Known((), NOON)
            case EnsureRun():
                return Known(Run("run-1", "1", "RUNNING", tags=dict(ask.tags)), NOON)
            case _:
                return Known(Run("run-1", "1", "FINISHED"), NOON)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The operator works as long as the block lasts."""
        work = asyncio.create_task(self.operator.run())
        await asyncio.sleep(1)
        yield
        assert not work.done(), f"it ended: {work.exception()!r}"
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work

    def status(self, ref: Ref) -> Json:
        """The status in the cluster."""
        status: Json = self.kube.objects[ref]["status"]
        return status

    def report(self, kind: ObjectKind, **status: Json) -> None:
        """A controller of Kubernetes reports about every object of a kind."""
        for ref, one in [item for item in self.kube.objects.items() if item[0].kind == kind]:
            self.kube.put(ref.kind, {**one, "status": status})


def played(test: Callable[[Cluster], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """The test, given a cluster, in virtual time."""

    @wraps(test)
    def run() -> None:
        async def opened() -> None:
            cluster = Cluster()
            async with cluster.running():
                await test(cluster)

        virtual_time.run(opened())

    # pytest would take the parameter for a fixture.
    del run.__wrapped__
    return run


DEPLOYED = Ref(rollout.KIND.object_kind, "team", "churn")
MODEL = {"model": {"name": "churn", "alias": "champion"}}


@played
async def test_a_deployment_is_healthy_soon_after_its_pods_are_ready(cluster: Cluster) -> None:
    cluster.kube.put(DEPLOYED.kind, resource(rollout.KIND, MODEL))
    await asyncio.sleep(5)
    cluster.report(DEPLOYMENT, readyReplicas=1)
    await asyncio.sleep(5)
    assert Ref(SERVICE, "team", "churn") in cluster.kube.objects
    assert cluster.status(DEPLOYED)["phase"] == "Healthy"


@played
async def test_a_new_version_is_noticed_and_served(cluster: Cluster) -> None:
    cluster.kube.put(DEPLOYED.kind, resource(rollout.KIND, MODEL))
    await asyncio.sleep(5)
    cluster.report(DEPLOYMENT, readyReplicas=1)
    await asyncio.sleep(5)
    cluster.version = "2"
    await asyncio.sleep(60)
    cluster.report(DEPLOYMENT, readyReplicas=1)
    await asyncio.sleep(60)
    assert cluster.status(DEPLOYED)["stable"]["version"] == "2"
    assert len([ref for ref in cluster.kube.objects if ref.kind == DEPLOYMENT]) == 1


@played
async def test_a_second_deployment_of_the_same_version_is_served_as_soon_as_the_first(cluster: Cluster) -> None:
    for name in ("churn", "other"):
        cluster.kube.put(DEPLOYED.kind, resource(rollout.KIND, MODEL, name=name, uid=f"uid-{name}"))
        await asyncio.sleep(5)
    assert len([ref for ref in cluster.kube.objects if ref.kind == DEPLOYMENT]) == 2


@played
async def test_a_job_is_trained_and_its_children_are_removed_when_their_time_is_over(cluster: Cluster) -> None:
    cluster.kube.put(CHURN.kind, resource(training.KIND, {"ttlSecondsAfterFinished": 600}))
    await asyncio.sleep(5)
    cluster.report(JOB, conditions=[{"type": "Complete", "status": "True"}])
    await asyncio.sleep(5)
    assert cluster.status(CHURN)["phase"] == "Succeeded"
    cluster.clock.time += timedelta(seconds=700)
    await asyncio.sleep(700)
    assert [ref for ref in cluster.kube.objects if ref.kind == JOB] == []


@played
async def test_what_is_settled_makes_no_more_writes_and_no_pass(cluster: Cluster) -> None:
    cluster.kube.put(DEPLOYED.kind, resource(rollout.KIND, MODEL))
    await asyncio.sleep(5)
    cluster.report(DEPLOYMENT, readyReplicas=1)
    await asyncio.sleep(100)
    cluster.kube.requests.clear()
    passes = len(cluster.meter.passes)
    await asyncio.sleep(400)
    assert cluster.kube.requests == []
    assert len(cluster.meter.passes) == passes


@played
async def test_a_mistake_in_a_pass_is_counted_and_tried_again(cluster: Cluster) -> None:
    cluster.kube.fails["get"] = RuntimeError("a mistake")  # type: ignore[assignment]
    cluster.kube.put(DEPLOYED.kind, resource(rollout.KIND, MODEL))
    await asyncio.sleep(10)
    assert ("ModelDeployment", "failed") in cluster.meter.passes
    cluster.kube.fails.clear()
    await asyncio.sleep(60)
    assert len([ref for ref in cluster.kube.objects if ref.kind == DEPLOYMENT]) == 1
