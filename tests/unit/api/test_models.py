"""What the API server has becomes a model, or an answer to which field is wrong; and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.invalid import Invalid, Problem
from serinus.api.resource import Resource
from tests.crd.objects import PARSE, VALID, Json, put, without

JOB: Json = VALID["trainingjob"]
DEPLOYMENT: Json = VALID["modeldeployment"]

each_valid = pytest.mark.parametrize("raw", VALID.values(), ids=VALID.keys())


def parse(raw: Json) -> Resource | Invalid:
    return PARSE[raw["kind"]](raw)


def parsed(raw: Json) -> Json:
    result = parse(raw)
    assert not isinstance(result, Invalid), result.message
    return result


def problems(raw: Json) -> tuple[Problem, ...]:
    result = parse(raw)
    assert isinstance(result, Invalid), "it was accepted"
    return result.problems


@each_valid
def test_a_valid_object_survives_the_way_to_a_model_and_back(raw: Json) -> None:
    once = parsed(raw)
    again = parsed(raw | {"spec": once.spec.wire(), "status": once.status.wire()})
    assert again == once
    assert once.status.observed_generation == raw.get("status", {}).get("observedGeneration", -1)


def test_nothing_is_lost_of_what_was_written() -> None:
    spec = parsed(JOB).spec.wire()
    assert spec["parameters"] == JOB["spec"]["parameters"]
    assert spec["gate"] == JOB["spec"]["gate"]
    assert spec["resources"] == JOB["spec"]["resources"]
    assert spec["inputs"][0]["expect"] == JOB["spec"]["inputs"][0]["expect"]
    steps = parsed(DEPLOYMENT).spec.rollout.wire()["steps"]
    assert steps[2:] == DEPLOYMENT["spec"]["rollout"]["steps"][2:]


def test_a_default_that_was_written_down_is_as_one_that_was_left_out() -> None:
    written = put(JOB, "spec.backoffLimit", 2)
    left_out = without(JOB, "spec.backoffLimit")
    assert parsed(written).spec.wire() == parsed(left_out).spec.wire()


@pytest.mark.parametrize("left", ["60s", "1m", "60000ms", "30s30s"])
def test_durations_that_mean_the_same_are_written_the_same(left: str) -> None:
    soak = parsed(put(DEPLOYMENT, "spec.rollout.soak.duration", left)).spec.rollout.soak
    assert soak.wire() == {"duration": "1m"}


WRONG = [
    (put(JOB, "spec.wokers", 2), "spec.wokers", "is not a field"),
    (put(JOB, "spec.inputs[0].expect.min_rows", 2), "spec.inputs[0].expect.min_rows", "is not a field"),
    (put(JOB, "spec.gate[0].min", "0.8"), "spec.gate[0].min", "valid number, not '0.8'"),
    (put(JOB, "spec.workers", 0), "spec.workers", "greater than or equal to 1, not 0"),
    (put(JOB, "spec.suspend", "yes"), "spec.suspend", "valid boolean, not 'yes'"),
    (without(JOB, "spec.gate[0].metric"), "spec.gate[0].metric", "is required"),
    (without(JOB, "spec"), "spec", "is required"),
    (put(JOB, "spec.gate[0].versus", {"alias": "champion"}), "spec.gate[0]", "min and max do not go with versus"),
    (put(JOB, "spec.parameters", {"lr": [1]}), "spec.parameters.lr", "a parameter is a text"),
    (put(JOB, "spec.parameters", {"lr": "x" * 6001}), "spec.parameters.lr", "at most 6000 characters"),
    (put(JOB, "spec.parameters", {"1": 1}), "spec.parameters", "'1' is no name of a parameter"),
    (put(JOB, "spec.parameters", {"a-b": 1, "a_b": 1}), "spec.parameters", "the same environment variable"),
    (
        put(JOB, "spec.parameters", {f"p{number}": "x" * 6000 for number in range(11)}),
        "spec.parameters",
        "all parameters together take 66111 bytes as JSON, and 65536 at most: use an input",
    ),
    (put(JOB, "spec.checkpoints.storageClass", "Not A Name"), "spec.checkpoints.storageClass", "should match pattern"),
    (put(JOB, "spec.args", ["$(params.deep)"]), "spec", "$(params.deep), which is unknown: parameters has no"),
    (put(JOB, "spec.command", ["$(run.name)"]), "spec", "$(run.name), which is unknown"),
    (put(JOB, "spec.env[1].name", "MODE"), "spec.env", "name MODE is there more than once"),
    (put(JOB, "metadata.name", "Churn"), "", "metadata.name must have 40 characters at most"),
    (put(DEPLOYMENT, "spec.rollout.soak.duration", "15"), "spec.rollout.soak.duration", "write a duration from 0s to"),
    (put(DEPLOYMENT, "spec.rollout.soak.duration", 15), "spec.rollout.soak.duration", "valid timedelta"),
    (put(DEPLOYMENT, "spec.model.version", "7"), "spec.model", "exactly one of alias (followed) and version (pinned)"),
]


@pytest.mark.parametrize(("raw", "field", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_an_invalid_object_says_which_field_is_wrong(raw: Json, field: str, message: str) -> None:
    (problem,) = problems(raw)
    assert problem.field == field
    assert message in problem.message


def test_a_message_lists_what_is_wrong_in_one_line_and_shows_no_objects() -> None:
    wrong = JOB | {"spec": {f"x{i}": {"password": "hunter2"} for i in range(7)}}
    result = parse(wrong)
    assert isinstance(result, Invalid)
    assert result.message.startswith("spec.x0: is not a field")
    assert result.message.endswith("; and 2 more")
    assert "hunter2" not in result.message
    assert "\n" not in result.message


@pytest.mark.parametrize("raw", [{}, {"metadata": None, "spec": 3}, {"metadata": {"name": 1}, "spec": []}])
def test_garbage_is_invalid_and_nothing_worse(raw: dict[str, Json]) -> None:
    for parse_kind in PARSE.values():
        assert isinstance(parse_kind(raw), Invalid)


@pytest.mark.parametrize("status", [None, 3, {"phase": "Dancing"}, {"conditions": [{"type": 1}]}])
def test_a_status_that_cannot_be_read_counts_as_lost(status: object) -> None:
    assert parsed(JOB | {"status": status}).status.observed_generation == -1


def test_a_status_of_a_newer_operator_is_read_as_far_as_it_is_known() -> None:
    assert parsed(put(JOB, "status.future", {"a": 1})).status == parsed(JOB).status


def test_status_is_clipped_to_its_bounds() -> None:
    status = parsed(JOB).status
    long = type(status)(message="x" * 2000, history=status.history * 30)
    assert len(long.message) == 1024
    assert len(long.history) == 10


@given(st.data())
def test_whatever_is_left_out_a_valid_object_survives(data: st.DataObject) -> None:
    raw = data.draw(st.sampled_from([JOB, DEPLOYMENT]))
    fields = [f"spec.{name}.{below}" for name, part in raw["spec"].items() if isinstance(part, dict) for below in part]
    for path in data.draw(st.lists(st.sampled_from(fields), unique=True)):
        raw = without(raw, path)
    result = parse(raw)
    if not isinstance(result, Invalid):
        assert parsed(raw | {"spec": result.spec.wire()}).spec == result.spec  # type: ignore[attr-defined]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def paths(document: Json, path: str) -> list[str]:
    if isinstance(document, dict):
        return [path, *(below for key in document if "." not in key for below in paths(document[key], f"{path}.{key}"))]
    if isinstance(document, list):
        return [path, *(below for index, item in enumerate(document) for below in paths(item, f"{path}[{index}]"))]
    return [path]


PATHS = [
    (name, path) for name, raw in VALID.items() for part in raw for path in paths(raw[part], part) if part != "kind"
]


@given(st.sampled_from(PATHS), JSON)
def test_whatever_stands_anywhere_the_answer_is_a_model_or_what_is_wrong(place: tuple[str, str], value: Json) -> None:
    name, path = place
    result = parse(put(VALID[name], path, value))
    assert isinstance(result, Resource) or result.message
