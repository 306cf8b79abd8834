"""Pods of both kinds: the user's pieces over ours, names that fit, arguments with what they refer to."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus import pods, rollout, training
from serinus.api.modeldeployment import ModelDeployment
from serinus.api.names import Label
from serinus.api.trainingjob import TrainingJob
from serinus.asks import Run
from serinus.objects import Manifest
from serinus.plan import Defaults
from serinus.rollout import manifests as servers
from serinus.training import manifests as trainers
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


def pod_of(manifest: Manifest) -> Json:
    return manifest["spec"]["template"]["spec"]


def trainer(**spec: Json) -> Json:
    (container,) = pod_of(trainers.manifest(job(**spec), ATTEMPT))["containers"]
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


def test_a_name_that_fits_is_left_whole() -> None:
    assert pods.child_name("a" * 40, "0123456789", 2) == f"{'a' * 40}-0123456789-2"


def test_a_child_goes_with_its_resource() -> None:
    (owner,) = trainers.manifest(job(), ATTEMPT)["metadata"]["ownerReferences"]
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
        trainers.manifest(job(), ATTEMPT),
        served(deployment()),
    ],
    ids=["training", "serving"],
)
def test_our_pods_pass_the_strictest_standard_of_pod_security(manifest: Manifest) -> None:
    pod = pod_of(manifest)
    assert pod["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}, "runAsNonRoot": True}
    assert not pod["automountServiceAccountToken"]
    (container,) = pod["containers"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_an_image_of_the_users_may_run_as_root_where_the_namespace_allows_it() -> None:
    for pod in (
        pod_of(trainers.manifest(job(image="mine"), ATTEMPT)),
        pod_of(served(deployment(image="mine"))),
    ):
        assert "runAsNonRoot" not in pod["securityContext"]


def test_a_pod_bears_the_labels_of_both_and_ours_win() -> None:
    template = {"metadata": {"labels": {"team": "growth", Label.MANAGED_BY: "me"}, "annotations": {"note": "x"}}}
    metadata = trainers.manifest(job(podTemplate=template), ATTEMPT)["spec"]["template"]["metadata"]
    assert metadata == {
        "labels": {
            "team": "growth",
            Label.MANAGED_BY: "serinus",
            Label.TRAINING_JOB: "churn",
            Label.REVISION: "5f0c1d2e3a",
            Label.ATTEMPT: "2",
        },
        "annotations": {"note": "x"},
    }


def test_the_users_pod_goes_over_ours_container_by_container() -> None:
    spec = {"nodeSelector": {"zone": "a"}, "containers": [{"name": "main", "tty": True}, {"name": "sidecar"}]}
    pod = pod_of(trainers.manifest(job(podTemplate={"spec": spec}), ATTEMPT))
    assert pod["nodeSelector"] == {"zone": "a"}
    assert [one["name"] for one in pod["containers"]] == ["main", "sidecar"]
    assert (pod["containers"][0]["tty"], pod["containers"][0]["image"]) == (True, "trainer:1")
    assert pod["restartPolicy"] == "Never"


SUBSTITUTED = [
    ("--depth=$(params.depth)", "--depth=8"),
    ("$(params.depth)$(params.depth)", "88"),
    ("$(params.shuffle)", "true"),
    ("$(params.learning-rate)", "0.1"),
    ("$(run.id)/$(attempt)", "run-7/2"),
    ("$(HOME)", "$(HOME)"),
    ("$(date)", "$(date)"),
    ("$$(params.depth)", "$$(params.depth)"),
    ("$$(run.id)", "$$(run.id)"),
    ("$$(attempt)", "$$(attempt)"),
    ("$$$(params.depth)", "$$8"),
    ("$$$$(params.depth)", "$$$$(params.depth)"),
    ("$5", "$5"),
    ("", ""),
]
PARAMETERS = {"depth": 8, "shuffle": True, "learning-rate": 0.1}


@pytest.mark.parametrize(
    ("argument", "expected"), SUBSTITUTED, ids=[argument or "nothing" for argument, _ in SUBSTITUTED]
)
def test_arguments_get_what_they_refer_to(argument: str, expected: str) -> None:
    container = trainer(parameters=PARAMETERS, args=[argument], command=["run", argument])
    assert container["args"] == [expected]
    assert container["command"] == ["run", expected]


def by_the_kubelet(text: str, known: dict[str, str]) -> str:
    """What the kubelet makes of an argument or a variable: `$$` is `$`, and `$(NAME)` a variable that it knows."""
    return re.sub(
        r"[$][$]|[$][(]([^)]*)[)]", lambda found: "$" if found[0] == "$$" else known.get(found[1], found[0]), text
    )


@pytest.mark.parametrize("value", ["plain", "a$$b", "$(HOME)", "$(params.depth)", "$(run.id)", "costs 5$", "$$(HOME)"])
def test_a_parameter_reaches_the_container_as_it_is(value: str) -> None:
    container = trainer(parameters={"text": value}, args=["$(params.text)"])
    assert by_the_kubelet(container["args"][0], {"HOME": "/root"}) == value
    assert by_the_kubelet(environment(container)["PARAM_TEXT"], {"HOME": "/root"}) == value


def test_a_trainer_finds_its_run_and_its_parameters_in_the_environment() -> None:
    container = trainer(
        parameters={"depth": 8, "learning-rate": 0.1, "a.b": False}, env=[{"name": "MODE", "value": "x"}]
    )
    assert environment(container) == {
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "MLFLOW_EXPERIMENT_ID": "3",
        "MLFLOW_RUN_ID": "run-7",
        "PARAM_DEPTH": "8",
        "PARAM_LEARNING_RATE": "0.1",
        "PARAM_A_B": "false",
        "MODE": "x",
    }


def test_a_variable_of_the_users_goes_over_ours_of_the_same_name() -> None:
    ours = trainer(parameters={"depth": 8}, env=[{"name": "PARAM_DEPTH", "value": "9"}])
    assert environment(ours)["PARAM_DEPTH"] == "9"
    assert environment(server(env=[{"name": "MODEL_URI", "value": "models:/m/1"}]))["MODEL_URI"] == "models:/m/1"


def test_a_server_is_told_its_model() -> None:
    assert environment(server()) == {"MLFLOW_TRACKING_URI": "http://mlflow:5000", "MODEL_URI": "models:/churn/7"}


def test_resources_are_passed_on() -> None:
    resources = {"requests": {"cpu": "500m"}, "limits": {"memory": "2Gi"}}
    assert trainer(resources=resources)["resources"] == resources
    assert server(resources=resources)["resources"] == resources
    assert "resources" not in trainer()


def test_a_job_is_bounded_as_the_spec_says() -> None:
    spec = trainers.manifest(job(backoffLimit=5, activeDeadlineSeconds=60), ATTEMPT)["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (5, 60)
    assert "activeDeadlineSeconds" not in trainers.manifest(job(), ATTEMPT)["spec"]


def test_the_image_is_the_users_or_the_operators() -> None:
    defaults = Defaults(trainer_image="trainer:1")
    assert trainers.image_of(job(image="mine"), defaults) == "mine"
    assert trainers.image_of(job(), defaults) == "trainer:1"


def test_a_service_leads_to_one_revision() -> None:
    service = servers.service(deployment(), "0a1b2c3d4e")
    assert service["metadata"]["name"] == "churn"
    assert service["spec"]["selector"] == {Label.MODEL_DEPLOYMENT: "churn", Label.REVISION: "0a1b2c3d4e"}


def test_the_tags_of_a_run_are_the_users_and_ours() -> None:
    assert trainers.tags(job(tracking={"tags": {"team": "growth"}}), "5f0c1d2e3a", 2) == {
        "team": "growth",
        "serinus.uid": "uid-churn",
        "serinus.revision": "5f0c1d2e3a",
        "serinus.attempt": "2",
        "serinus.resource": "team/churn",
    }
