"""The revision: what changes the result makes a new one, what is only written otherwise or done otherwise does not."""

from typing import Any

import pytest

from serinus import rollout, training
from serinus.asks import Ask, Known, ModelVersion, ResolveVersion
from serinus.plan import Plan
from tests.crd.objects import VALID, put, without
from tests.unit.fakes import DEFAULTS, NOON, Json, Story, resource

CHECK = {"metric": "f1", "min": 0.5}
INPUT = {"name": "train", "uri": "s3://data/a", "mountPath": "/data"}

JOB: dict[str, Json] = {"parameters": {"depth": 8}, "tracking": {"experiment": "churn"}, "register": {"model": "churn"}}
# Another value for each field of a TrainingJob's spec, and whether it makes another revision.
JOB_FIELDS: dict[str, tuple[Json, bool]] = {
    "image": ("mine", True),
    "command": (["train"], True),
    "args": (["--fast"], True),
    "source": ({"configMap": {"name": "code"}}, True),
    "parameters": ({"depth": 9}, True),
    "env": ([{"name": "MODE", "value": "x"}], True),
    "envFrom": ([{"secretRef": {"name": "s3"}}], True),
    "resources": ({"limits": {"memory": "2Gi"}}, True),
    "podTemplate": ({"spec": {"nodeSelector": {"zone": "a"}}}, True),
    "workers": (2, True),
    "tracking": ({"experiment": "other"}, True),
    "inputs": ([INPUT], True),
    "checkpoints": ({"size": "1Gi"}, True),
    "gate": ([CHECK], True),
    "register": ({"model": "other"}, True),
    "backoffLimit": (7, False),
    "activeDeadlineSeconds": (60, False),
    "ttlSecondsAfterFinished": (60, False),
    "suspend": (True, False),
    "queue": ("gpus", False),
}
# Written down or left out: the same.
JOB_DEFAULTS: dict[str, Json] = {
    "image": "",
    "command": [],
    "source": None,
    "env": [],
    "resources": {},
    "podTemplate": {"metadata": {"labels": {}}, "spec": {}},
    "workers": 1,
    "inputs": [],
    "backoffLimit": 2,
    "suspend": False,
    "gate": [],
    "checkpoints": None,
}
DEFAULT_PLACES: dict[str, Json] = {
    "tracking.uri": "",
    "tracking.tags": {},
    "register.artifact": "model",
    "register.tags": {},
}


def unanswered(_: Ask[Any]) -> None:
    return None


def job_revision(spec: Json) -> str:
    status = Story(training.KIND, resource(training.KIND, spec), unanswered).step().status
    assert status.revision  # type: ignore[union-attr]
    return str(status.revision)  # type: ignore[union-attr]


def test_the_table_names_every_field_of_a_training_job() -> None:
    fields = training.KIND.resource.model_fields["spec"].annotation.model_fields  # type: ignore[union-attr]
    assert {field.serialization_alias or field.alias for field in fields.values()} == JOB_FIELDS.keys()


@pytest.mark.parametrize(("field", "other"), JOB_FIELDS.items(), ids=JOB_FIELDS.keys())
def test_a_field_of_a_training_job_makes_another_revision_or_not(field: str, other: tuple[Json, bool]) -> None:
    value, matters = other
    assert (job_revision({**JOB, field: value}) != job_revision(JOB)) == matters


@pytest.mark.parametrize(("field", "value"), JOB_DEFAULTS.items(), ids=JOB_DEFAULTS.keys())
def test_a_default_of_a_training_job_that_is_written_down_is_the_same_revision(field: str, value: Json) -> None:
    assert job_revision({**JOB, field: value}) == job_revision(JOB)


@pytest.mark.parametrize(("path", "value"), DEFAULT_PLACES.items(), ids=DEFAULT_PLACES.keys())
def test_a_default_further_down_that_is_written_down_is_the_same_revision(path: str, value: Json) -> None:
    assert job_revision(put(JOB, path, value)) == job_revision(JOB)


def test_the_name_and_the_labels_of_a_resource_are_not_its_revision() -> None:
    one = resource(training.KIND, JOB)
    other = resource(training.KIND, JOB, name="other", labels={"a": "b"}, annotations={"c": "d"})
    revisions = {Story(training.KIND, raw, unanswered).step().status.wire()["revision"] for raw in (one, other)}
    assert len(revisions) == 1


@pytest.mark.parametrize("name", [name for name in VALID if "trainingjob" in name])
def test_the_order_of_fields_is_not_the_revision(name: str) -> None:
    spec = VALID[name]["spec"]
    assert job_revision(spec) == job_revision(dict(reversed(spec.items())))


DEPLOYMENT: dict[str, Json] = {
    "model": {"name": "churn", "alias": "champion"},
    "registry": {"uri": "http://mlflow:5000"},
    "server": {"image": "server:1", "replicas": 2},
}
# Another value at each place of a ModelDeployment's spec, and whether it makes another revision.
DEPLOYMENT_PLACES: dict[str, tuple[Json, bool]] = {
    "model.name": ("fraud", True),
    "registry.uri": ("http://elsewhere:5000", True),
    "server.image": ("mine", True),
    "server.resources": ({"limits": {"memory": "2Gi"}}, True),
    "server.environment": ("Model", True),
    "server.batching": ({"maxSize": 1}, True),
    "server.env": ([{"name": "MODE", "value": "x"}], True),
    "server.podTemplate": ({"spec": {"nodeSelector": {"zone": "a"}}}, True),
    "model.alias": ("challenger", False),
    "registry.credentialsSecret": ("mlflow", False),
    "server.replicas": (3, False),
    "server.autoscaling": ({"maxReplicas": 3}, False),
    "traffic": ({"path": "/churn"}, False),
    "rollout": ({"steps": [{"setWeight": 5}]}, False),
}


def version_7(ask: Ask[Any]) -> Known[ModelVersion]:
    assert isinstance(ask, ResolveVersion)
    return Known(ModelVersion(ask.model, ask.version or "7", ready=True), NOON)


UNBUILT = {"server.autoscaling", "server.environment", "server.batching", "traffic", "rollout"}


def deployment_plan(spec: Json) -> Plan:
    story = Story(rollout.KIND, resource(rollout.KIND, spec), version_7)
    story.step()
    return story.step()


def deployment_revision(spec: Json) -> str:
    return str(deployment_plan(spec).status.wire()["canary"]["revision"])


@pytest.mark.parametrize(("path", "other"), DEPLOYMENT_PLACES.items(), ids=DEPLOYMENT_PLACES.keys())
def test_a_field_of_a_model_deployment_makes_another_revision_or_not(path: str, other: tuple[Json, bool]) -> None:
    value, matters = other
    if path in UNBUILT:
        refused = deployment_plan(put(without(DEPLOYMENT, "server.replicas"), path, value)).status
        assert f"spec.{path}: not built yet" in refused.message
        return
    base = without(DEPLOYMENT, "server.replicas") if "scaling" in path else DEPLOYMENT
    assert (deployment_revision(put(base, path, value)) != deployment_revision(base)) == matters


def test_the_table_names_every_part_of_a_model_deployment_and_every_field_of_its_server() -> None:
    spec = rollout.KIND.resource.model_fields["spec"].annotation
    server = spec.model_fields["server"].annotation  # type: ignore[union-attr]
    parts = {path.split(".")[0] for path in DEPLOYMENT_PLACES}
    assert {field.alias for field in spec.model_fields.values()} == parts  # type: ignore[union-attr]
    named = {path.removeprefix("server.") for path in DEPLOYMENT_PLACES if path.startswith("server.")}
    assert {field.alias for field in server.model_fields.values()} == named


def test_another_version_is_another_revision() -> None:
    pinned = {**DEPLOYMENT, "model": {"name": "churn", "version": "8"}}
    assert deployment_revision(pinned) != deployment_revision(DEPLOYMENT)


def test_a_version_is_the_same_whether_it_is_pinned_or_followed() -> None:
    pinned = {**DEPLOYMENT, "model": {"name": "churn", "version": "7"}}
    assert deployment_revision(pinned) == deployment_revision(DEPLOYMENT)


@pytest.mark.parametrize("path", ["server.environment", "server.batching", "server.env", "server.podTemplate"])
def test_a_default_of_a_model_deployment_that_is_written_down_is_the_same_revision(path: str) -> None:
    written: dict[str, Json] = {
        "server.environment": "Image",
        "server.batching": {"maxSize": 64, "maxDelay": "0s"},
        "server.env": [],
        "server.podTemplate": {"spec": {}},
    }
    assert deployment_revision(put(DEPLOYMENT, path, written[path])) == deployment_revision(DEPLOYMENT)


def test_the_operators_image_is_not_the_revision_so_that_its_upgrade_rolls_out_nothing() -> None:
    spec = without(DEPLOYMENT, "server.image")
    assert DEFAULTS.server_image == "server:1"
    assert deployment_revision(spec) != deployment_revision(DEPLOYMENT)
