"""What is generated from the models is checked in, up to date, and says everything about them."""

from collections.abc import Iterator

import pytest

from serinus.api.conditions import MODEL_DEPLOYMENT, TRAINING_JOB, ConditionType, Reason
from serinus.api.generate import generated
from tests.crd.objects import CHECKOUT, DEFINITIONS, Json, schema_of

GENERATED = generated()


def nodes(schema: Json, path: str) -> Iterator[tuple[str, Json]]:
    """Each schema in a schema, with its path."""
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from nodes(part, f"{path}.{name}")
    for keyword, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        if keyword in schema:
            yield from nodes(schema[keyword], path + suffix)


NODES = {path: node for kind in DEFINITIONS for path, node in nodes(schema_of(kind), kind)}


@pytest.mark.parametrize("path", GENERATED)
def test_the_file_in_the_checkout_is_what_would_be_generated(path: str) -> None:
    assert (CHECKOUT / path).read_text() == GENERATED[path], "→ make generate"


def test_every_field_has_a_description() -> None:
    fields = {
        path: node for path, node in NODES.items() if path[-1] not in "]*" and not path.endswith(".metadata.name")
    }
    said = {path: node.get("description", "") for path, node in fields.items() if not path.endswith(".metadata")}
    assert [path for path, text in said.items() if not text.endswith((".", "`."))] == []
    assert [path for path, text in said.items() if "  " in text] == []


def test_only_status_has_a_default() -> None:
    defaults = {path: node["default"] for path, node in NODES.items() if "default" in node}
    assert defaults == {f"{kind}.status": {"observedGeneration": -1} for kind in DEFINITIONS}


def test_every_text_list_and_map_of_a_spec_is_bounded() -> None:
    bounds = {"array": "maxItems", "string": "maxLength"}
    unbounded = [
        path
        for path, node in NODES.items()
        if ".spec" in path and "enum" not in node and bounds.get(node.get("type"), "type") not in {*node, "type"}
    ]
    assert unbounded == []
    assert [
        path for path, node in NODES.items() if "additionalProperties" in node and "maxProperties" not in node
    ] == []


def test_every_rule_says_what_is_wrong_and_what_to_do() -> None:
    messages = [rule["message"] for node in NODES.values() for rule in node.get("x-kubernetes-validations", [])]
    assert messages
    assert [text for text in messages if len(text) < 30 or "\n" in text] == []


def test_every_reason_belongs_to_a_condition_and_every_condition_to_a_kind() -> None:
    both = [*TRAINING_JOB.items(), *MODEL_DEPLOYMENT.items()]
    assert {type_ for type_, _ in both} == set(ConditionType)
    assert {reason for _, reasons in both for reason in reasons} == set(Reason)


def test_what_is_outside_the_revision_says_so() -> None:
    outside = [path for path, node in NODES.items() if "Not part of the revision." in node.get("description", "")]
    assert outside == [
        "ModelDeployment.spec.server.replicas",
        "ModelDeployment.spec.server.autoscaling",
        "TrainingJob.spec.backoffLimit",
        "TrainingJob.spec.activeDeadlineSeconds",
        "TrainingJob.spec.ttlSecondsAfterFinished",
        "TrainingJob.spec.suspend",
        "TrainingJob.spec.queue",
    ]
