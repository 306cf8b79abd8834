"""The executor: what a plan decided comes about, in its order, and nothing else; a settled resource costs nothing."""

from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus import objects, training
from serinus.api.names import Annotation, Label
from serinus.api.trainingjob_status import TrainingJobStatus
from serinus.objects import DEPLOYMENT, EVENT, JOB, SERVICE, Manifest, Ref, digest
from serinus.plan import Apply, Delete, Event, Plan
from serinus.ports import Conflict, Forbidden, KubeError, Missing, Unavailable
from serinus.runtime.cache import Cache
from serinus.runtime.executor import Executor, NameTaken, difference
from tests import virtual_time
from tests.unit.fakes import FakeKube, Json, WallClock, merge_patch, resource

KIND = training.KIND
OWN = "uid-churn"
CHURN = Ref(KIND.object_kind, "team", "churn")
A_JOB, A_DEPLOYMENT = Ref(JOB, "team", "churn-a"), Ref(DEPLOYMENT, "team", "churn-a")
LABELS = {Label.MANAGED_BY: "serinus", Label.TRAINING_JOB: "churn"}


def child(spec: Json, owner: str = OWN, name: str = "churn-a", **labels: str) -> dict[str, Json]:
    metadata: dict[str, Json] = {"name": name, "namespace": "team", "labels": {**LABELS, **labels}}
    if owner:
        reference = {"apiVersion": "serinus.dev/v1alpha1", "kind": "TrainingJob", "name": "churn", "uid": owner}
        metadata["ownerReferences"] = [{**reference, "controller": True}]
    return {"metadata": metadata, "spec": spec}


class World:
    """A cluster, one TrainingJob in it, and the executor of an operator that has seen everything so far."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.start()
        self.raw = self.kube.put(KIND.object_kind, resource(KIND, {"image": "trainer:1"}) | {"status": {}})

    def start(self) -> None:
        """A new process."""
        self.cache = Cache((KIND,))
        self.executor = Executor(self.kube, self.cache, WallClock())
        for ref, one in self.kube.objects.items():
            self.cache.observe(ref.kind, one)
        self.kube.seen = self.cache.observe

    async def execute(self, *apply: Apply, delete: tuple[Delete, ...] = (), **rest: Json) -> list[str]:
        """Carry out a plan; the requests that it took."""
        self.kube.requests.clear()
        status = rest.pop("status", TrainingJobStatus())
        plan = Plan(status=status, apply=apply, delete=delete, **rest)
        self.changed = await self.executor.execute(KIND, self.raw, plan)
        self.raw = self.cache.get(CHURN) or self.raw
        return self.kube.requests


def story(test: Callable[[World], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """The test, given a world, in virtual time."""

    @wraps(test)
    def run() -> None:
        virtual_time.run(test(World()))

    # pytest would take the parameter for a fixture.
    del run.__wrapped__
    return run


@story
async def test_a_child_that_is_not_there_is_looked_for_and_made(world: World) -> None:
    assert await world.execute(Apply(JOB, child({"a": 1}))) == ["get Job churn-a", "apply Job churn-a"]
    assert world.changed
    made = world.kube.objects[A_JOB]
    assert made["spec"] == {"a": 1}
    assert Annotation.APPLIED in made["metadata"]["annotations"]


@story
async def test_where_nothing_is_to_be_done_there_is_no_request_at_all(world: World) -> None:
    for _ in range(2):
        await world.execute(Apply(DEPLOYMENT, child({"a": 1})))
    assert world.kube.requests == []
    assert not world.changed
    world.start()
    assert await world.execute(Apply(DEPLOYMENT, child({"a": 1}))) == []


@story
async def test_what_differs_is_applied_to_this_very_object(world: World) -> None:
    await world.execute(Apply(DEPLOYMENT, child({"a": 1})))
    before = objects.uid(world.kube.objects[A_DEPLOYMENT])
    assert await world.execute(Apply(DEPLOYMENT, child({"a": 2}))) == ["apply Deployment churn-a"]
    assert world.changed
    assert world.kube.objects[A_DEPLOYMENT]["spec"] == {"a": 2}
    assert objects.uid(world.kube.objects[A_DEPLOYMENT]) == before


@story
async def test_what_somebody_changed_is_put_right(world: World) -> None:
    await world.execute(Apply(DEPLOYMENT, child({"a": 1})))
    world.kube.put(DEPLOYMENT, {**world.kube.objects[A_DEPLOYMENT], "spec": {"a": 9}})
    assert await world.execute(Apply(DEPLOYMENT, child({"a": 1}))) == ["apply Deployment churn-a"]


@story
async def test_what_others_have_added_is_theirs(world: World) -> None:
    await world.execute(Apply(DEPLOYMENT, child({"a": 1})))
    world.kube.put(DEPLOYMENT, {**world.kube.objects[A_DEPLOYMENT], "spec": {"a": 1, "b": 2}})
    assert await world.execute(Apply(DEPLOYMENT, child({"a": 1}))) == []


@story
async def test_what_the_api_server_writes_otherwise_is_applied_once(world: World) -> None:
    apply = world.kube.apply

    async def rewriting(kind: objects.ObjectKind, manifest: Manifest) -> Manifest:
        return await apply(kind, {**manifest, "spec": {"a": "what the server makes of it"}})

    world.kube.apply = rewriting  # type: ignore[method-assign]
    await world.execute(Apply(DEPLOYMENT, child({"a": "as we say it"})))
    for _ in range(3):
        assert await world.execute(Apply(DEPLOYMENT, child({"a": "as we say it"}))) == []
    world.kube.put(DEPLOYMENT, {**world.kube.objects[A_DEPLOYMENT], "spec": {"a": "what somebody makes of it"}})
    assert await world.execute(Apply(DEPLOYMENT, child({"a": "as we say it"}))) == ["apply Deployment churn-a"]


@story
async def test_what_is_made_once_is_left_alone(world: World) -> None:
    await world.execute(Apply(JOB, child({"a": 1}), once=True))
    assert await world.execute(Apply(JOB, child({"a": 2}), once=True)) == []


@story
async def test_a_name_that_is_taken_is_told_and_never_overwritten(world: World) -> None:
    theirs = {"metadata": {"name": "churn-a", "namespace": "team"}, "spec": {"theirs": True}}
    world.kube.seen = lambda *_, **__: None  # The watch shows only what bears our label.
    world.kube.put(SERVICE, theirs)
    with pytest.raises(NameTaken, match="Service team/churn-a is there and was not made by the operator: delete or"):
        await world.execute(Apply(SERVICE, child({"a": 1})))
    assert world.kube.effects == []


@story
async def test_a_name_that_becomes_free_is_taken(world: World) -> None:
    theirs = {"metadata": {"name": "churn-a", "namespace": "team"}, "spec": {"theirs": True}}
    world.kube.seen = lambda *_, **__: None  # The watch shows only what bears our label: not how this one goes.
    world.kube.put(SERVICE, theirs)
    with pytest.raises(NameTaken):
        await world.execute(Apply(SERVICE, child({"a": 1})))
    world.kube.remove(Ref(SERVICE, "team", "churn-a"))
    assert await world.execute(Apply(SERVICE, child({"a": 1}))) == ["get Service churn-a", "apply Service churn-a"]


@story
async def test_an_orphan_that_bears_our_labels_is_adopted(world: World) -> None:
    world.kube.put(DEPLOYMENT, child({"a": 1}, owner=""))
    assert await world.execute(Apply(DEPLOYMENT, child({"a": 1}))) == ["apply Deployment churn-a"]
    assert objects.controller(world.kube.objects[A_DEPLOYMENT]) == OWN


@story
async def test_an_orphan_that_is_made_once_is_adopted_too_so_that_it_goes_with_its_resource(world: World) -> None:
    await world.execute(Apply(JOB, child({"a": 1}), once=True))
    orphan = world.kube.objects[A_JOB]
    world.kube.put(JOB, {**orphan, "metadata": {**orphan["metadata"], "ownerReferences": []}})
    await world.execute(Apply(JOB, child({"a": 1}), once=True))
    assert objects.controller(world.kube.objects[A_JOB]) == OWN


@story
async def test_an_orphan_that_bears_the_labels_of_another_resource_is_not_ours(world: World) -> None:
    world.kube.put(DEPLOYMENT, child({"a": 1}, owner="", **{Label.TRAINING_JOB: "fraud"}))
    with pytest.raises(NameTaken):
        await world.execute(Apply(DEPLOYMENT, child({"a": 1})))


@story
async def test_what_a_predecessor_left_is_waited_out(world: World) -> None:
    world.kube.put(JOB, child({"a": 1}, owner="uid-of-a-predecessor"))
    with pytest.raises(Conflict, match="belongs to a predecessor of the same name and is about to go"):
        await world.execute(Apply(JOB, child({"a": 1})))
    assert world.kube.effects == []


@story
async def test_what_is_going_is_waited_out(world: World) -> None:
    going = child({"a": 1})
    going["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    world.kube.put(JOB, going)
    with pytest.raises(Conflict, match="is being deleted; it is made anew when it is gone"):
        await world.execute(Apply(JOB, child({"a": 1}), once=True))


@story
async def test_children_come_in_their_order_then_deletes_then_status_then_events(world: World) -> None:
    old = world.kube.put(DEPLOYMENT, child({}, name="old"))
    requests = await world.execute(
        Apply(DEPLOYMENT, child({}, name="b")),
        Apply(SERVICE, child({}, name="a")),
        delete=(Delete(Ref(DEPLOYMENT, "team", "old"), objects.uid(old)),),
        status=TrainingJobStatus(message="x"),
        events=(Event("Normal", "Training", "x"),),
    )
    assert [one for one in requests if not one.startswith(("get", "create"))] == [
        "apply Deployment b",
        "apply Service a",
        "delete Deployment old",
        "status TrainingJob churn",
    ]
    assert requests[-1].startswith("create Event churn.")


@story
async def test_nothing_follows_what_failed(world: World) -> None:
    old = world.kube.put(DEPLOYMENT, child({}, name="old"))
    world.kube.fails["apply Service"] = Unavailable("503")
    with pytest.raises(Unavailable):
        await world.execute(
            Apply(SERVICE, child({}, name="a")),
            Apply(DEPLOYMENT, child({}, name="b")),
            delete=(Delete(Ref(DEPLOYMENT, "team", "old"), objects.uid(old)),),
            status=TrainingJobStatus(message="x"),
        )
    assert world.kube.effects == ["apply Service a"]


@story
async def test_a_child_that_was_made_without_an_answer_is_looked_for_before_the_next_plan(world: World) -> None:
    world.kube.fails["apply Job"] = Unavailable("no answer")
    with pytest.raises(Unavailable):
        await world.execute(Apply(JOB, child({})))
    world.kube.seen = lambda *_, **__: None  # The event is late.
    world.kube.put(JOB, child({}))
    world.kube.requests.clear()
    await world.executor.make_sure(CHURN)
    assert (world.kube.requests, world.cache.get(A_JOB) is None) == (["get Job churn-a"], False)
    await world.executor.make_sure(CHURN)
    assert world.kube.requests == ["get Job churn-a"], "once is enough"


@story
async def test_what_is_unknown_stays_so_until_the_api_server_answers(world: World) -> None:
    world.kube.fails["apply Job"] = world.kube.fails["get Job"] = Unavailable("no answer")
    with pytest.raises(Unavailable):
        await world.execute(Apply(JOB, child({})))
    with pytest.raises(Unavailable):
        await world.executor.make_sure(CHURN)
    world.kube.fails.clear()
    world.kube.requests.clear()
    await world.executor.make_sure(CHURN)
    assert world.kube.requests == ["get Job churn-a"]


@story
async def test_a_delete_is_asked_for_once(world: World) -> None:
    world.kube.seen = lambda *_, **__: None  # The event is late.
    job = world.kube.put(JOB, child({}))
    world.cache.observe(JOB, job)
    delete = Delete(A_JOB, objects.uid(job))
    assert await world.execute(delete=(delete,)) == ["delete Job churn-a"]
    assert await world.execute(delete=(delete,)) == []


@pytest.mark.parametrize("meant", ["uid-of-a-predecessor", "uid-of-one-that-is-gone"])
def test_a_delete_is_about_this_very_object(meant: str) -> None:
    async def run() -> None:
        world = World()
        if "predecessor" in meant:
            world.kube.put(JOB, child({}))
        assert await world.execute(delete=(Delete(A_JOB, meant),)) == []

    virtual_time.run(run())


@story
async def test_a_status_is_patched_with_what_differs_only(world: World) -> None:
    await world.execute(status=TrainingJobStatus(message="x", phase="Pending", attempt=1))
    patches: list[Json] = []
    patch_status = world.kube.patch_status

    async def noting(ref: Ref, patch: Mapping[str, Json], resource_version: str) -> Manifest:
        patches.append(patch)
        return await patch_status(ref, patch, resource_version)

    world.kube.patch_status = noting  # type: ignore[method-assign]
    await world.execute(status=TrainingJobStatus(message="x", phase="Running"))
    assert patches == [{"phase": "Running", "attempt": None}]
    assert world.kube.objects[CHURN]["status"] == {"message": "x", "phase": "Running"}


@story
async def test_our_own_write_is_read_at_once(world: World) -> None:
    world.kube.seen = lambda *_, **__: None  # The events are late.
    await world.execute(Apply(JOB, child({})), status=TrainingJobStatus(message="x"))
    assert (world.cache.get(CHURN) or {})["status"] == {"message": "x"}
    assert world.cache.get(A_JOB) is not None


@story
async def test_events_are_told_only_with_a_status_that_was_written(world: World) -> None:
    event = Event("Warning", "Failed", "it failed")
    status = TrainingJobStatus(message="x")
    await world.execute(status=status, events=(event,))
    await world.execute(status=status, events=(event,))
    (told,) = world.kube.events()
    assert told["involvedObject"]["uid"] == OWN
    assert (told["type"], told["reason"], told["message"]) == ("Warning", "Failed", "it failed")
    assert (told["count"], told["firstTimestamp"]) == (1, "2026-01-01T12:00:00Z")
    assert told["metadata"]["namespace"] == "team"


@story
async def test_no_event_is_told_of_a_status_that_was_not_written(world: World) -> None:
    world.kube.fails["status"] = Unavailable("503")
    with pytest.raises(Unavailable):
        await world.execute(status=TrainingJobStatus(message="x"), events=(Event("Normal", "Failed", "it failed"),))
    assert world.kube.events() == []


@pytest.mark.parametrize("error", [Unavailable("503"), Forbidden("403"), Conflict("409"), Missing("404")])
def test_an_event_that_cannot_be_told_is_not_worth_a_retry(error: KubeError) -> None:
    async def run() -> None:
        world = World()
        world.kube.fails[f"create {EVENT.kind}"] = error
        await world.execute(status=TrainingJobStatus(message="x"), events=(Event("Normal", "Failed", "it failed"),))
        assert world.kube.objects[CHURN]["status"] == {"message": "x"}

    virtual_time.run(run())


@story
async def test_a_resource_that_is_gone_is_buried(world: World) -> None:
    world.kube.seen = lambda *_, **__: None  # The event is late.
    world.kube.remove(CHURN)
    with pytest.raises(Missing):
        await world.execute(status=TrainingJobStatus(message="x"))
    assert world.cache.get(CHURN) is None
    assert world.cache.observe(KIND.object_kind, world.raw) == frozenset()


@story
async def test_a_resource_that_the_api_server_does_not_serve_for_a_moment_is_not_buried(world: World) -> None:
    world.kube.fails["status"] = Missing("the API server does not serve trainingjobs: is its definition installed?")
    with pytest.raises(Missing):
        await world.execute(status=TrainingJobStatus(message="x"))
    assert world.cache.get(CHURN) is not None, "it is there, and would never be looked at again"


@story
async def test_a_status_is_never_written_over_a_newer_one_which_is_then_looked_at(world: World) -> None:
    world.kube.seen = lambda *_, **__: None  # The events are late.
    newer = world.kube.put(KIND.object_kind, {**world.raw, "status": {"phase": "Running"}})
    with pytest.raises(Conflict):
        await world.execute(status=TrainingJobStatus(message="x"))
    assert world.kube.objects[CHURN] == newer
    assert world.cache.get(CHURN) == newer


def test_an_event_of_one_transition_has_one_name_so_that_told_twice_it_is_there_once() -> None:
    async def name_of_the_event(reason: str) -> str:
        world = World()
        await world.execute(status=TrainingJobStatus(message="x"), events=(Event("Normal", reason, "it failed"),))
        (told,) = world.kube.events()
        return str(told["metadata"]["name"])

    names = [virtual_time.run(name_of_the_event(reason)) for reason in ("Failed", "Failed", "Training")]
    assert names[0] == names[1] != names[2]


def test_the_name_of_an_event_has_room_for_the_longest_name_of_a_resource() -> None:
    async def run() -> None:
        world = World()
        long: Json = resource(KIND, {}, name="a" * 253)
        world.raw = world.kube.put(KIND.object_kind, long)
        await world.execute(status=TrainingJobStatus(message="x"), events=(Event("Normal", "Failed", "it failed"),))
        (told,) = world.kube.events()
        assert len(told["metadata"]["name"]) <= 253

    virtual_time.run(run())


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": [1, 2]}) != digest({"a": [2, 1]})


KEYS = st.sampled_from("abc")
VALUES = st.recursive(
    st.integers(0, 3) | st.text("xy", max_size=2) | st.booleans(),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=10,
)
STATUSES = st.dictionaries(KEYS, VALUES, max_size=3)


@given(STATUSES, STATUSES)
def test_a_patch_makes_one_status_of_another(before: dict[str, Json], after: dict[str, Json]) -> None:
    assert merge_patch(before, difference(before, after)) == after


@given(STATUSES)
def test_there_is_no_patch_where_nothing_differs(status: dict[str, Json]) -> None:
    assert difference(status, status) == {}
