"""The cache: it may be behind, and never goes back."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus import objects, rollout, training
from serinus.api.names import Annotation, Label
from serinus.objects import DEPLOYMENT, JOB, POD, PVC, SERVICE, Manifest, ObjectKind, Ref
from serinus.runtime.cache import Cache
from tests.unit.fakes import Json

JOBS, DEPLOYMENTS = training.KIND.object_kind, rollout.KIND.object_kind
CHURN, FRAUD = Ref(JOBS, "team", "churn"), Ref(JOBS, "team", "fraud")
A_JOB = Ref(JOB, "team", "a-1")


def cache() -> Cache:
    return Cache((training.KIND, rollout.KIND))


def thing(name: str, version: int, uid: str = "uid-1", labels: Mapping[str, str] | None = None, **rest: Json) -> Json:
    metadata = {"name": name, "namespace": "team", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": {**metadata, **({"labels": dict(labels)} if labels else {})}, **rest}


def child(version: int, owner: str = "churn", uid: str = "uid-1") -> Manifest:
    labels: Manifest = thing("a-1", version, uid, {Label.TRAINING_JOB: owner})
    return labels


def versions(known: Cache, kind: ObjectKind) -> dict[str, int]:
    return {ref.name: version for ref, (_, version) in known.versions(kind).items()}


def test_every_kind_of_ours_and_of_our_children_is_watched() -> None:
    assert set(cache().watched) == {JOBS, DEPLOYMENTS, JOB, POD, DEPLOYMENT, SERVICE, PVC}


def test_news_of_a_resource_concern_the_resource() -> None:
    assert cache().observe(JOBS, thing("churn", 1)) == {CHURN}


def test_news_of_a_child_concern_the_resource_that_it_names() -> None:
    known = cache()
    assert known.observe(JOB, child(1)) == {CHURN}
    assert [one["metadata"]["name"] for one in known.children(CHURN)] == ["a-1"]


def test_a_child_that_names_nobody_concerns_nobody() -> None:
    assert cache().observe(JOB, thing("a-1", 1)) == frozenset()


def test_a_label_speaks_only_on_kinds_that_are_children_of_the_one_it_names() -> None:
    assert cache().observe(DEPLOYMENT, thing("churn", 1, labels={Label.TRAINING_JOB: "churn"})) == frozenset()


def test_a_child_in_another_namespace_is_of_another_resource() -> None:
    known = cache()
    strange: Json = thing("a-1", 1, labels={Label.TRAINING_JOB: "churn"})
    strange["metadata"]["namespace"] = "other"
    assert known.observe(JOB, strange) == {Ref(JOBS, "other", "churn")}
    assert known.children(CHURN) == ()


def test_a_child_that_changes_its_label_concerns_both_and_is_of_the_later_one() -> None:
    known = cache()
    known.observe(JOB, child(1))
    assert known.observe(JOB, child(2, "fraud")) == {CHURN, FRAUD}
    assert known.children(CHURN) == ()
    assert len(list(known.children(FRAUD))) == 1


@pytest.mark.parametrize("version", [4, 5], ids=["older", "same"])
def test_what_is_not_newer_is_no_news(version: int) -> None:
    known = cache()
    known.observe(JOB, child(5))
    assert known.observe(JOB, child(version, "fraud")) == frozenset()
    assert versions(known, JOB) == {"a-1": 5}
    assert known.children(FRAUD) == ()


def test_versions_are_compared_as_numbers() -> None:
    known = cache()
    known.observe(JOB, child(99))
    assert known.observe(JOB, child(100)) == {CHURN}


def test_what_goes_concerns_its_resource_and_is_forgotten() -> None:
    known = cache()
    known.observe(JOB, child(5))
    assert known.observe(JOB, child(6), gone=True) == {CHURN}
    assert known.get(A_JOB) is None
    assert known.children(CHURN) == ()
    assert known.knows(A_JOB, "uid-1", 6)


def test_what_is_gone_does_not_come_back_by_a_late_event() -> None:
    known = cache()
    known.observe(JOB, child(5))
    known.observe(JOB, child(6), gone=True)
    assert known.observe(JOB, child(6)) == frozenset()
    assert known.get(A_JOB) is None


def test_what_was_gone_before_it_was_seen_does_not_come_either() -> None:
    known = cache()
    assert known.observe(JOB, child(6), gone=True) == frozenset()
    assert known.observe(JOB, child(5)) == frozenset()


def test_a_successor_of_the_same_name_is_not_buried_with_its_predecessor() -> None:
    known = cache()
    known.observe(JOB, child(5))
    assert known.observe(JOB, child(9, uid="uid-2")) == {CHURN}
    assert known.observe(JOB, child(6), gone=True) == frozenset()
    assert versions(known, JOB) == {"a-1": 9}


def test_a_predecessor_whose_end_was_not_seen_does_not_come_back_after_its_successor() -> None:
    known = cache()
    known.observe(JOB, child(5))
    known.observe(JOB, child(9, uid="uid-2"))
    known.observe(JOB, child(10, uid="uid-2"), gone=True)
    assert known.observe(JOB, child(6)) == frozenset()
    assert known.get(A_JOB) is None


def test_what_was_never_seen_is_known_as_such() -> None:
    known = cache()
    known.observe(JOB, child(5))
    assert known.knows(A_JOB, "uid-1", 5)
    assert not known.knows(A_JOB, "uid-1", 6)
    assert not known.knows(A_JOB, "uid-2", 1)


def test_what_lost_our_labels_and_got_them_back_is_seen_again() -> None:
    """A watch with a selector says that it is gone."""
    known = cache()
    known.observe(JOB, child(5))
    known.observe(JOB, child(6), gone=True)
    assert known.observe(JOB, child(7)) == {CHURN}
    assert known.get(A_JOB) is not None


def test_a_child_whose_delete_was_accepted_counts_as_going_until_it_is_gone() -> None:
    known = cache()
    known.observe(JOB, child(5))
    known.mark_going(A_JOB, "uid-1", "2026-01-01T12:00:00Z")
    (going,) = known.children(CHURN)
    assert going["metadata"]["deletionTimestamp"] == "2026-01-01T12:00:00Z"
    assert known.observe(JOB, child(6), gone=True) == {CHURN}


def test_a_successor_is_not_marked_for_its_predecessor() -> None:
    known = cache()
    known.observe(JOB, child(5, uid="uid-2"))
    known.mark_going(A_JOB, "uid-1", "2026-01-01T12:00:00Z")
    (one,) = known.children(CHURN)
    assert "deletionTimestamp" not in one["metadata"]


ANNOTATIONS = {Annotation.ACTION: "abort@1", "kubectl.kubernetes.io/last-applied-configuration": "x" * 1000}


def test_of_our_resources_only_our_annotations_are_kept() -> None:
    known = cache()
    raw: Json = thing("churn", 1, spec={"a": 1})
    raw["metadata"] |= {"annotations": ANNOTATIONS, "managedFields": [{"manager": "kubectl"}]}
    known.observe(JOBS, raw)
    kept = known.get(CHURN)
    assert kept is not None
    assert kept["metadata"]["annotations"] == {Annotation.ACTION: "abort@1"}
    assert "managedFields" not in kept["metadata"]
    assert kept["spec"] == {"a": 1}
    assert raw["metadata"]["annotations"] == ANNOTATIONS, "what others may hold was changed"


def test_of_children_all_annotations_are_kept() -> None:
    known = cache()
    raw: Json = child(1)
    raw["metadata"]["annotations"] = ANNOTATIONS
    known.observe(JOB, raw)
    kept = known.get(A_JOB)
    assert kept is not None
    assert kept["metadata"]["annotations"] == ANNOTATIONS


def test_of_pods_only_how_they_do_is_kept() -> None:
    known = cache()
    raw = thing("a-1-x", 1, labels={Label.TRAINING_JOB: "churn"}, status={"phase": "Running"})
    known.observe(POD, raw | {"spec": {"nodeName": "node-1", "containers": [{"env": ["secret"]}]}})
    (kept,) = known.children(CHURN)
    assert kept["kind"] == "Pod"
    assert kept["spec"] == {"nodeName": "node-1"}
    assert kept["status"] == {"phase": "Running"}


def test_objects_are_given_their_kind_which_lists_leave_out() -> None:
    known = cache()
    known.observe(JOB, child(1))
    (one,) = known.children(CHURN)
    assert (one["apiVersion"], one["kind"]) == ("batch/v1", "Job")


def test_graves_are_not_kept_without_end() -> None:
    known = cache()
    for number in range(10_001):
        known.observe(JOB, child(number + 1, uid=f"uid-{number}"), gone=True)
    assert [known.knows(A_JOB, f"uid-{number}", 1) for number in (0, 1, 10_000)] == [False, True, True]


# An object lives under one uid, then under the next; its owner may change. Events come in any order, and twice.
LIVES = [child(version, owner, f"uid-{version // 4}") for version in range(1, 12) for owner in ("churn", "fraud")]
EVENTS = st.lists(st.tuples(st.sampled_from(LIVES), st.booleans()), max_size=25)


@given(EVENTS)
def test_whatever_comes_nothing_goes_back_and_the_index_agrees_with_the_objects(
    events: list[tuple[Manifest, bool]],
) -> None:
    known = cache()
    past: dict[str, int] = {}
    before: Manifest | None = None
    for manifest, gone in events:
        concerned = known.observe(JOB, manifest, gone=gone)
        there = known.get(A_JOB)
        if gone:
            past[objects.uid(manifest)] = max(objects.version(manifest), past.get(objects.uid(manifest), 0))
        assert there is None or objects.version(there) > past.get(objects.uid(there), 0)
        assert there is None or before is None or objects.version(there) >= objects.version(before)
        assert there == before or {owner_of(one) for one in (before, there) if one} == concerned
        indexed = {ref: tuple(known.children(ref)) for ref in (CHURN, FRAUD)}
        assert indexed == {ref: (there,) if there and owner_of(there) == ref else () for ref in (CHURN, FRAUD)}
        before = there


def owner_of(manifest: Manifest) -> Ref:
    return Ref(JOBS, "team", objects.labels(manifest)[Label.TRAINING_JOB])
