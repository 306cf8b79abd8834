"""The simulated world does what the real one does."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from serinus import objects
from serinus.asks import EnsureRun, Known, Server, Trouble
from serinus.objects import DEPLOYMENT, JOB, POD, SERVICE, Manifest, ObjectKind, Ref
from serinus.ports import Conflict, Forbidden, Missing, Refused, Unavailable
from tests import virtual_time
from tests.sim.feed import Feed
from tests.sim.fields import get
from tests.sim.kinds import TRAINING_JOB
from tests.sim.ledger import Ledger
from tests.sim.lines import KubeLine, Wire
from tests.sim.lines_registry import RegistryLine
from tests.sim.mlflow import Mlflow
from tests.sim.pods import reached
from tests.sim.server import ApiServer
from tests.sim.stage import Stage
from tests.sim.weather import Fault, Weather
from tests.sim.world import cluster

OURS = {"app.kubernetes.io/managed-by": "serinus"}
REF = Ref(DEPLOYMENT, "ml", "churn")
TEMPLATE = {"metadata": {"labels": {"app": "churn"}}, "spec": {"containers": [{"name": "main", "image": "one"}]}}


def manifest(name: str = "churn", spec: Any = None, **metadata: Any) -> dict[str, Any]:  # noqa: ANN401 (any JSON)
    return {"metadata": {"name": name, "namespace": "ml", **metadata}, "spec": spec or {}}


def server() -> ApiServer:
    made = ApiServer(lambda: 0.0)
    made.namespaces["ml"] = True
    return made


def on_stage(test: Callable[[Stage], Coroutine[Any, Any, None]], weather: Weather | None = None) -> None:
    async def main() -> None:
        stage = Stage(0, weather or Weather(lag=0.1, slow_pods=1.0))
        stage.server.namespaces["ml"] = True
        await test(stage)

    virtual_time.run(main())


# --- the API server


def test_what_an_applier_no_longer_names_goes_and_what_others_own_stays() -> None:
    api = server()
    api.apply("operator-1", DEPLOYMENT, manifest(spec={"replicas": 1, "paused": True}, labels={"ours": "1"}))
    api.patch("user", REF, {"metadata": {"labels": {"theirs": "2"}}})
    stored = api.apply("operator-2", DEPLOYMENT, manifest(spec={"replicas": 2}))
    assert stored["spec"] == {"replicas": 2, "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10}
    assert stored["metadata"]["labels"] == {"theirs": "2"}


def test_what_another_has_changed_is_no_longer_taken_away() -> None:
    api = server()
    api.apply("operator-1", DEPLOYMENT, manifest(spec={"paused": True}))
    api.patch("user", REF, {"spec": {"paused": False}})
    assert api.apply("operator-1", DEPLOYMENT, manifest())["spec"]["paused"] is False


def test_what_was_created_is_not_owned_by_an_applier_of_the_same_name() -> None:
    api = server()
    api.create("operator-1", DEPLOYMENT, manifest(spec={"paused": True}))
    assert api.apply("operator-1", DEPLOYMENT, manifest())["spec"]["paused"] is True


def test_a_selector_is_one_field() -> None:
    api = server()
    api.apply("operator-1", SERVICE, manifest(spec={"selector": {"a": "1"}}))
    api.patch("user", Ref(SERVICE, "ml", "churn"), {"spec": {"selector": {"b": "2"}}})
    with pytest.raises(Conflict):
        api.apply("operator-1", SERVICE, manifest(spec={"selector": {"a": "1"}}))
    this = manifest(spec={"selector": {"a": "1"}})
    this["metadata"]["uid"] = objects.uid(api.objects[Ref(SERVICE, "ml", "churn")])
    assert api.apply("operator-1", SERVICE, this)["spec"]["selector"] == {"a": "1"}


def test_an_apply_that_changes_nothing_is_no_change() -> None:
    api = server()
    first = api.apply("operator-1", DEPLOYMENT, manifest(spec={"replicas": 2}))
    assert api.apply("operator-1", DEPLOYMENT, manifest(spec={"replicas": 2})) == first
    assert len(api.changes[DEPLOYMENT]) == 1


def test_only_a_change_of_the_spec_makes_a_generation() -> None:
    api = server()
    api.create("user", DEPLOYMENT, manifest())
    api.patch("user", REF, {"metadata": {"labels": {"a": "1"}}})
    assert api.put_status("deployments", REF, {"replicas": 1})["metadata"]["generation"] == 1
    assert api.patch("user", REF, {"spec": {"replicas": 3}})["metadata"]["generation"] == 2


def test_a_new_resource_has_the_status_of_the_definition_and_keeps_it() -> None:
    api = server()
    made = api.create("user", TRAINING_JOB, {**manifest(), "status": {"phase": "Succeeded"}})
    assert made["status"] == {"observedGeneration": -1}
    assert api.replace("user", TRAINING_JOB, {**made, "status": {}})["status"] == {"observedGeneration": -1}


def test_a_status_is_patched_only_at_its_version() -> None:
    api = server()
    ref = Ref(TRAINING_JOB, "ml", "churn")
    made = api.create("user", TRAINING_JOB, manifest())
    after = api.patch_status("operator-1", ref, {"phase": "Pending"}, made["metadata"]["resourceVersion"])
    assert after["status"] == {"observedGeneration": -1, "phase": "Pending"}
    with pytest.raises(Conflict):
        api.patch_status("operator-1", ref, {"phase": "Running"}, made["metadata"]["resourceVersion"])


def test_a_uid_means_this_very_object() -> None:
    api = server()
    first = api.create("user", DEPLOYMENT, manifest())
    api.delete("user", REF, objects.uid(first))
    with pytest.raises(Conflict):
        api.apply("operator-1", DEPLOYMENT, manifest(uid=objects.uid(first)))
    second = api.create("user", DEPLOYMENT, manifest())
    assert objects.uid(second) != objects.uid(first)
    with pytest.raises(Conflict):
        api.delete("operator-1", REF, objects.uid(first))


def test_what_cannot_be_changed_is_refused() -> None:
    api = server()
    api.create("operator-1", JOB, manifest(spec={"template": TEMPLATE}))
    job = Ref(JOB, "ml", "churn")
    assert api.patch("user", job, {"spec": {"suspend": True}})["spec"]["suspend"] is True
    with pytest.raises(Refused, match="immutable"):
        api.patch("user", job, {"spec": {"template": None}})


@pytest.mark.parametrize(("namespace", "error"), [("nowhere", Missing), ("going", Forbidden)])
def test_nothing_is_made_without_a_namespace(namespace: str, error: type[Exception]) -> None:
    api = server()
    api.namespaces["going"] = False
    with pytest.raises(error):
        api.create("user", DEPLOYMENT, {"metadata": {"name": "churn", "namespace": namespace}})


def test_a_snapshot_shows_what_was() -> None:
    api = server()
    api.create("user", DEPLOYMENT, manifest("one"))
    api.create("user", DEPLOYMENT, manifest("two"))
    api.delete("user", Ref(DEPLOYMENT, "ml", "one"))
    assert [ref.name for ref in api.snapshot(DEPLOYMENT)] == ["two"]
    assert [ref.name for ref in api.snapshot(DEPLOYMENT, 1)] == ["one", "two"]
    assert [ref.name for ref in api.snapshot(DEPLOYMENT, 2)] == ["one"]


# --- controllers


def owned_by(owner: Manifest) -> dict[str, Any]:
    metadata = owner["metadata"]
    reference = {"kind": owner["kind"], "name": metadata["name"], "uid": metadata["uid"], "controller": True}
    return {"ownerReferences": [reference]}


def controlled(stage: Stage) -> Mlflow:
    mlflow = Mlflow(stage)
    for part in cluster(stage, mlflow, Ledger()):
        stage.server.listeners.append(part.seen)
    return mlflow


@pytest.mark.parametrize("foreground", [False, True])
def test_what_an_object_owns_goes_with_it(foreground: bool) -> None:  # noqa: FBT001 (a parameter)
    async def story(stage: Stage) -> None:
        controlled(stage)
        owner = stage.server.create("user", TRAINING_JOB, manifest())
        stage.server.create("operator-1", JOB, manifest(**owned_by(owner)))
        ref = Ref(TRAINING_JOB, "ml", "churn")
        stage.server.delete("user", ref, foreground=foreground)
        assert (stage.server.get(ref) is not None) == foreground
        await stage.wait(60)
        assert not stage.server.objects

    on_stage(story)


def test_what_is_born_without_its_owner_goes_too() -> None:
    async def story(stage: Stage) -> None:
        controlled(stage)
        owner = stage.server.create("user", TRAINING_JOB, manifest())
        stage.server.delete("user", Ref(TRAINING_JOB, "ml", "churn"))
        stage.server.create("operator-1", JOB, manifest(**owned_by(owner)))
        await stage.wait(60)
        assert not stage.server.objects

    on_stage(story)


def test_pods_of_a_deployment_become_ready_and_a_service_reaches_them() -> None:
    async def story(stage: Stage) -> None:
        controlled(stage)
        service = stage.server.create("user", SERVICE, manifest(spec={"selector": {"app": "churn"}}))
        stage.server.create("user", DEPLOYMENT, manifest(spec={"replicas": 2, "template": TEMPLATE}))
        assert not reached(stage, service)
        await stage.wait(10)
        assert len(reached(stage, service)) == 2
        status = get(stage.server.get(REF), "status")
        assert (status["readyReplicas"], status["observedGeneration"]) == (2, 1)

    on_stage(story)


def test_a_changed_template_replaces_pods_once_the_new_ones_are_ready() -> None:
    async def story(stage: Stage) -> None:
        controlled(stage)
        stage.server.create("user", DEPLOYMENT, manifest(spec={"template": TEMPLATE}))
        await stage.wait(10)
        other = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "two"}]}}}}
        stage.server.patch("user", REF, other)
        await stage.wait(10)
        assert [pod["spec"]["containers"][0]["image"] for pod in stage.server.of(POD)] == ["two"]

    on_stage(story)


# --- the watches


class Watcher:
    """Remembers what it was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, bool]] = []

    def observe(self, _kind: ObjectKind, manifest: Manifest, *, gone: bool = False) -> None:
        """As an operator does."""
        self.shown.append((manifest["metadata"]["resourceVersion"], gone))


def test_a_watch_shows_what_is_there_and_what_happens_and_only_what_has_our_label() -> None:
    async def story(stage: Stage) -> None:
        watcher = Watcher()
        stage.server.create("operator-1", DEPLOYMENT, manifest(labels=OURS))
        stage.server.create("user", DEPLOYMENT, manifest("other"))
        feed = Feed(stage, (DEPLOYMENT,), watcher, lambda *_: None)
        stage.server.listeners.append(feed.changed)
        await stage.wait(1)
        assert watcher.shown == [("1", False)]
        stage.server.patch("user", REF, {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}})
        await stage.wait(1)
        stage.server.delete("user", REF)
        await stage.wait(1)
        assert watcher.shown == [("1", False), ("3", True)]

    on_stage(story)


def test_a_watch_that_breaks_loses_a_deletion_but_no_state_for_good() -> None:
    async def story(stage: Stage) -> None:
        watcher = Watcher()
        feed = Feed(stage, (DEPLOYMENT,), watcher, lambda *_: None)
        stage.server.listeners.append(feed.changed)
        await stage.wait(1)
        stage.server.create("operator-1", DEPLOYMENT, manifest(labels=OURS))
        stage.server.create("operator-1", DEPLOYMENT, manifest("other", labels=OURS))
        stage.server.delete("user", REF)
        await stage.wait(600)
        assert watcher.shown[-1] == ("2", False)
        assert not any(gone for _, gone in watcher.shown)

    on_stage(story, Weather(lag=0.1, disconnected=1.0))


# --- the lines


ENSURE = EnsureRun(server=Server("http://mlflow"), experiment="ml/churn", key="uid.revision")


@pytest.mark.parametrize(
    ("fault", "error", "done"),
    [
        (Fault.CONFLICT, Conflict, False),
        (Fault.THROTTLED, Unavailable, False),
        (Fault.ERROR, Unavailable, False),
        (Fault.LOST_REQUEST, Unavailable, False),
        (Fault.LOST_ANSWER, Unavailable, True),
    ],
)
def test_a_fault_leaves_the_effect_done_or_not(fault: Fault, error: type[Exception], done: bool) -> None:  # noqa: FBT001 (a parameter)
    async def story(stage: Stage) -> None:
        line = KubeLine(Wire(stage, "operator-1", print), lambda _: None)
        with pytest.raises(error):
            await line.apply(DEPLOYMENT, manifest())
        assert (stage.server.get(REF) is not None) == done

    on_stage(story, Weather(faults={fault: 1.0}))


@pytest.mark.parametrize(("fault", "done"), [(Fault.CRASH_BEFORE, False), (Fault.CRASH_AFTER, True)])
def test_a_killed_process_never_gets_an_answer(fault: Fault, done: bool) -> None:  # noqa: FBT001 (a parameter)
    async def story(stage: Stage) -> None:
        wire = Wire(stage, "operator-1", lambda _: setattr(wire, "alive", False))
        line = KubeLine(wire, lambda _: None)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1000):
                await line.apply(DEPLOYMENT, manifest())
        assert (stage.server.get(REF) is not None) == done

    on_stage(story, Weather(faults={fault: 1.0}))


def test_a_late_status_arrives_after_the_error_unless_somebody_was_faster() -> None:
    async def story(stage: Stage) -> None:
        made = stage.server.create("user", TRAINING_JOB, manifest())
        line = KubeLine(Wire(stage, "operator-1", print), lambda _: None)
        ref = Ref(TRAINING_JOB, "ml", "churn")
        with pytest.raises(Unavailable):
            await line.patch_status(ref, {"phase": "Pending"}, made["metadata"]["resourceVersion"])
        await stage.wait(100)
        assert get(stage.server.get(ref), "status", "phase") == "Pending"

    on_stage(story, Weather(faults={Fault.LATE: 1.0}))


def test_an_order_that_is_given_again_is_carried_out_once() -> None:
    async def story(stage: Stage) -> None:
        mlflow = Mlflow(stage)
        line = RegistryLine(Wire(stage, "operator-1", print), mlflow)
        answers = [(await line.answer(ENSURE.server, (ENSURE,)))[ENSURE] for _ in range(20)]
        assert any(isinstance(answer, Trouble) for answer in answers)
        assert {answer.value.id for answer in answers if isinstance(answer, Known)} == {"run-1"}
        assert list(mlflow.runs) == ["run-1"]

    on_stage(story, Weather(faults={Fault.LOST_ANSWER: 0.5}))
