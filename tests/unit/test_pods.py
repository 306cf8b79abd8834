"""Pods of both kinds: the user's pieces over ours, names that fit, arguments with what they refer to."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus import pods, rollout, training
from serinus.api.modeldeployment import ModelDeployment
from serinus.api.names import Annotation, Label
from serinus.api.trainingjob import TrainingJob
from serinus.asks import Run
from serinus.objects import Manifest
from serinus.rollout import manifests as servers
from serinus.training import manifests as trainers
from serinus.training import pod
from tests.unit.fakes import Json, parsed, resource

RUN = Run("run-7", "3", "RUNNING")
ATTEMPT = trainers.Attempt("5f0c1d2e3a", 2, RUN, "trainer:1", "http://mlflow:5000")


def job(**spec: Json) -> TrainingJob:
    return parsed(TrainingJob, resource(training.KIND, spec))


def deployment(**server: Json) -> ModelDeployment:
    spec = {"model": {"name": "churn", "version": "7"}, "server": server}
    return parsed(ModelDeployment, resource(rollout.KIND, spec))


def served(resource: ModelDeployment) -> Manifest:
    return servers.deployment(
        resource, servers.Revision("0a1b2c3d4e", resource.spec.model.name, "7", "server:1", "http://mlflow:5000")
    )


def trained(resource: TrainingJob) -> Manifest:
    return trainers.children(resource, ATTEMPT, pod.spec(resource, ATTEMPT))[-1].manifest


def pod_of(manifest: Manifest) -> Json:
    return manifest["spec"]["template"]["spec"]


def trainer(**spec: Json) -> Json:
    (container,) = pod_of(trained(job(**spec)))["containers"]
    return container


def server(**spec: Json) -> Json:
    (container,) = pod_of(served(deployment(**spec)))["containers"]
    return container


def environment(container: Json) -> dict[str, str]:
    names = [one["name"] for one in container["env"]]
    assert len(names) == len(set(names)), "server-side apply takes each name once"
    return {one["name"]: one.get("value", "") for one in container["env"]}


MERGED = {
    "a map by key": ({"a": 1, "b": 2}, {"b": 3, "c": 4}, {"a": 1, "b": 3, "c": 4}),
    "a map in a map": ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
    "a list without names is replaced": ([1, 2], [3], [3]),
    "a list with names, item by item": (
        [{"name": "main", "image": "x", "tty": True}],
        [{"name": "sidecar"}, {"name": "main", "image": "y"}],
        [{"name": "main", "image": "y", "tty": True}, {"name": "sidecar"}],
    ),
    "a list with names over one without": ([1], [{"name": "a"}], [{"name": "a"}]),
    "a value over a map": ({"a": {"b": 1}}, {"a": None}, {"a": None}),
    "nothing over something": ({"a": 1}, {}, {"a": 1}),
}


@pytest.mark.parametrize(("base", "over", "both"), MERGED.values(), ids=MERGED.keys())
def test_the_users_piece_goes_over_ours(base: Json, over: Json, both: Json) -> None:
    before = repr(base), repr(over)
    assert pods.merged(base, over) == both
    assert (repr(base), repr(over)) == before


KEYS = st.sampled_from("abc")
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.integers(0, 3),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=8,
)


@given(VALUES)
def test_a_piece_over_itself_changes_nothing(value: Json) -> None:
    assert pods.merged(value, value) == value


@given(VALUES, VALUES)
def test_a_piece_twice_over_another_is_as_once(base: Json, over: Json) -> None:
    once = pods.merged(base, over)
    assert pods.merged(once, over) == once


NAMES = st.from_regex(re.compile(r"[a-z]([-a-z0-9]{0,60}[a-z0-9])?", re.ASCII), fullmatch=True)
PARTS = st.from_regex(re.compile(r"[a-z0-9]{1,10}", re.ASCII), fullmatch=True)
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@given(NAMES, PARTS, st.integers(1, 10_000))
def test_the_name_of_a_child_fits_into_a_label(name: str, revision: str, attempt: int) -> None:
    child = pods.child_name(name, revision, attempt)
    assert len(child) <= 63
    assert LABEL.fullmatch(child)
    assert child.endswith(f"-{revision}-{attempt}")


CHILDREN = st.tuples(NAMES, PARTS, st.integers(1, 99))


@given(CHILDREN, CHILDREN)
def test_different_children_have_different_names(one: tuple[str, str, int], other: tuple[str, str, int]) -> None:
    assert (pods.child_name(*one) == pods.child_name(*other)) == (one == other)


@given(st.text("ab", min_size=55, max_size=60), st.text("ab", min_size=55, max_size=60))
def test_names_that_are_cut_stay_different(one: str, other: str) -> None:
    assert (pods.child_name(one, "0123456789") == pods.child_name(other, "0123456789")) == (one == other)


@given(NAMES, PARTS, st.integers(1, 10_000), st.integers(0, 10))
def test_a_name_leaves_the_room_that_is_asked_for(name: str, revision: str, attempt: int, room: int) -> None:
    child = pods.child_name(name, revision, attempt, room=room)
    assert LABEL.fullmatch(child)
    assert len(child) <= 63 - room
    assert child.endswith(f"-{revision}-{attempt}")


def test_a_name_that_fits_is_left_whole() -> None:
    assert pods.child_name("a" * 40, "0123456789", 2) == f"{'a' * 40}-0123456789-2"


def test_a_child_goes_with_its_resource() -> None:
    (owner,) = trained(job())["metadata"]["ownerReferences"]
    assert owner == {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "TrainingJob",
        "name": "churn",
        "uid": "uid-churn",
        "controller": True,
        "blockOwnerDeletion": True,
    }


@pytest.mark.parametrize(
    "manifest",
    [
        trained(job()),
        served(deployment()),
    ],
    ids=["training", "serving"],
)
def test_our_pods_pass_the_strictest_standard_of_pod_security(manifest: Manifest) -> None:
    made = pod_of(manifest)
    assert made["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}, "runAsNonRoot": True}
    assert not made["automountServiceAccountToken"]
    (container,) = made["containers"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_an_image_of_the_users_may_run_as_root_where_the_namespace_allows_it() -> None:
    for made in (
        pod_of(trained(job(image="mine"))),
        pod_of(served(deployment(image="mine"))),
    ):
        assert "runAsNonRoot" not in made["securityContext"]


def test_a_pod_bears_the_labels_of_both_and_ours_win() -> None:
    template = {"metadata": {"labels": {"team": "growth", Label.MANAGED_BY: "me"}, "annotations": {"note": "x"}}}
    metadata = trained(job(podTemplate=template))["spec"]["template"]["metadata"]
    assert metadata == {
        "labels": {
            "team": "growth",
            Label.MANAGED_BY: "serinus",
            Label.TRAINING_JOB: "churn",
            Label.REVISION: "5f0c1d2e3a",
            Label.ATTEMPT: "2",
        },
        "annotations": {"note": "x", Annotation.PARAMETERS: "{}"},
    }


def test_the_users_pod_goes_over_ours_container_by_container() -> None:
    spec = {"nodeSelector": {"zone": "a"}, "containers": [{"name": "main", "tty": True}, {"name": "sidecar"}]}
    made = pod_of(trained(job(podTemplate={"spec": spec})))
    assert made["nodeSelector"] == {"zone": "a"}
    assert [one["name"] for one in made["containers"]] == ["main", "sidecar"]
    assert (made["containers"][0]["tty"], made["containers"][0]["image"]) == (True, "trainer:1")
    assert made["restartPolicy"] == "Never"


def test_a_variable_of_the_users_goes_over_ours_of_the_same_name() -> None:
    ours = trainer(parameters={"depth": 8}, env=[{"name": "PARAM_DEPTH", "value": "9"}])
    assert environment(ours)["PARAM_DEPTH"] == "9"
    assert environment(server(env=[{"name": "MODEL_URI", "value": "models:/m/1"}]))["MODEL_URI"] == "models:/m/1"


def test_a_server_is_told_its_model() -> None:
    assert environment(server()) == {
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "MODEL_URI": "models:/churn/7",
        "MODEL_NAME": "churn",
        "MODEL_VERSION": "7",
        "MODEL_REVISION": "0a1b2c3d4e",
        "MODEL_ENVIRONMENT": "Image",
        "BATCH_MAX_SIZE": "64",
        "BATCH_MAX_DELAY": "0s",
    }


def test_resources_are_passed_on() -> None:
    resources = {"requests": {"cpu": "500m"}, "limits": {"memory": "2Gi"}}
    assert trainer(resources=resources)["resources"] == resources
    assert server(resources=resources)["resources"] == resources
    assert "resources" not in trainer()


def test_a_service_leads_to_one_revision() -> None:
    service = servers.service(deployment(), "0a1b2c3d4e")
    assert service["metadata"]["name"] == "churn"
    assert service["spec"]["selector"] == {Label.MODEL_DEPLOYMENT: "churn", Label.REVISION: "0a1b2c3d4e"}
