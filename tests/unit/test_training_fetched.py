"""What the container that fetches leaves behind is read with care: others may write there too."""

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serinus import training
from serinus.api.conditions import Reason
from serinus.api.trainingjob import TrainingJob
from serinus.training import capsule, fetched
from tests.unit.fakes import Json, parsed, pod, resource
from tests.unit.training_life import Life, ended, training_life

INPUTS = [
    {"name": "train", "uri": "s3://data/train.parquet", "mountPath": "/data/train"},
    {"name": "test", "uri": "s3://data/test.csv", "mountPath": "/data/test"},
]
JOB = parsed(TrainingJob, resource(training.KIND, {"inputs": INPUTS}))
SHA = hashlib.sha256(b"train").hexdigest()
SHORT = base64.urlsafe_b64encode(bytes.fromhex(SHA)).decode().rstrip("=")


def left(code: int, message: object) -> Json:
    """A pod's status in which it ended with this code and these words."""
    text = message if isinstance(message, str) else json.dumps(message)
    return {"initContainerStatuses": [ended("serinus-fetch", code, text)]}


def of_pod(message: object, code: int = 0) -> fetched.Fetched | None:
    return fetched.of_pod(JOB, pod("p", {}, **left(code, message)))


def failure(message: object, code: int = 65) -> fetched.Failure | None:
    return fetched.failure(left(code, message))


def test_inputs_are_told_in_their_order_with_digest_and_rows() -> None:
    found = of_pod({"commit": "0a1b", "inputs": [[SHORT, 20], [SHORT, None]]})
    assert found is not None
    assert [(one.name, one.sha256, one.rows) for one in found.inputs] == [("train", SHA, 20), ("test", SHA, None)]
    assert found.commit == "0a1b"


def test_an_input_that_could_not_be_read_is_left_out() -> None:
    found = of_pod({"inputs": [None, [SHORT, 3]]}, 65)
    assert found is not None
    assert [one.name for one in found.inputs] == ["test"]


@pytest.mark.parametrize("text", ["", "Traceback: no such file", '{"inputs":[["', "[]", "3", "null"])
def test_the_words_of_somebody_else_say_nothing(text: str) -> None:
    assert of_pod(text) is None
    assert failure(text) is None


@pytest.mark.parametrize("entry", ["text", [], [1, 2], ["a"], ["Zürich", 1], ["a", 1], ["a", "b"], {}, True], ids=str)
def test_an_entry_that_is_no_input_is_left_out(entry: object) -> None:
    assert of_pod({"commit": "0a1b", "inputs": [entry]}) == fetched.Fetched("0a1b")


def test_only_one_that_has_failed_has_failed() -> None:
    told = {"failure": {"reason": "InputUnreadable", "message": "train: no answer"}}
    assert failure(told, 0) is None
    assert failure(told, 1) == fetched.Failure(Reason.INPUT_UNREADABLE, "train: no answer", permanent=False)
    assert failure(told, 65) == fetched.Failure(Reason.INPUT_UNREADABLE, "train: no answer", permanent=True)


@pytest.mark.parametrize("reason", ["Succeeded", "", None, 3, [], {}], ids=str)
def test_a_reason_that_is_not_its_own_is_none(reason: object) -> None:
    assert failure({"failure": {"reason": reason, "message": "x"}}) is None


def test_what_was_broken_is_told_and_how_much_more_there_is() -> None:
    broken = [{"input": "train", "column": "age", "expected": "at least 0", "found": "-1 in row 7"}]
    told = failure(
        {"broken": broken, "more": 3, "failure": {"reason": "ExpectationsBroken", "message": "train: age is -1"}}
    )
    assert told is not None
    assert told.message == "train: age is -1 (and 3 more)"
    assert [one.wire() for one in told.broken] == broken


@pytest.mark.parametrize("broken", [{}, 3, [3], [{}], [{"input": "train"}]], ids=str)
def test_what_was_broken_is_left_out_where_it_cannot_be_read(broken: object) -> None:
    told = failure({"broken": broken, "failure": {"reason": "ExpectationsBroken", "message": "age"}})
    assert told is not None
    assert told.broken == ()


# --- whatever is left there

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
ENTRY = JSON | st.tuples(st.text(max_size=12), JSON).map(list)
REASON = JSON | st.sampled_from(sorted(fetched.REASONS))
FAILURE = st.fixed_dictionaries({"reason": REASON, "message": JSON})
WORDS = st.fixed_dictionaries(
    {},
    optional={
        "commit": JSON,
        "inputs": JSON | st.lists(ENTRY, max_size=3),
        "broken": JSON | st.lists(JSON, max_size=3),
        "more": JSON,
        "failure": JSON | FAILURE,
    },
)
LONE = '{"commit":"\\ud800","failure":{"reason":"InputUnreadable","message":"\\ud800"}}'


@given(st.text() | WORDS.map(json.dumps) | JSON.map(json.dumps), st.integers(0, 255))
@example(LONE, 65)
@example('{"failure":{"reason":[],"message":""}}', 65)
@example('{"commit":null,"inputs":[["ü",1]]}', 0)
def test_whatever_it_left_the_story_goes_on(text: str, code: int) -> None:
    status = left(code, text)
    life = Life(inputs=INPUTS, backoffLimit=0)
    life.run()
    life.put_pod("Failed" if code else "Running", **status)
    if code:
        life.job_fails()
    life.run()
    assert life.status["phase"] == ("Failed" if code else "Running")
    json.dumps(life.raw["status"]).encode()
    assert life.status["resolved"].get("commit") != "None"


# --- and what becomes of it


def test_what_was_fetched_is_told_while_it_trains() -> None:
    life = Life(inputs=INPUTS)
    life.run()
    life.start(**left(0, {"inputs": [[SHORT, 20], [SHORT, None]]}))
    life.run()
    assert life.status["resolved"]["inputs"] == [
        {"name": "train", "sha256": SHA, "rows": 20},
        {"name": "test", "sha256": SHA},
    ]
    assert life.conditions()["DataValid"] == ("True", "AllExpectationsMet")


def test_the_next_attempt_has_the_commit_of_the_first_whatever_its_branch_points_at() -> None:
    git = {"url": "https://git.example/churn.git", "ref": "main"}
    life = Life(source={"git": git})
    life.run()
    life.start(**left(0, {"commit": "0a1b2c"}))
    life.run()
    life.fails()
    life.run()
    life.begins_again()
    (fetcher,) = life.job["spec"]["template"]["spec"]["initContainers"]
    order = json.loads(next(one["value"] for one in fetcher["env"] if one["name"] == "SERINUS_FETCH"))
    assert order["source"]["git"] == {**git, "commit": "0a1b2c"}
    life.edit(parameters={"depth": 9})
    life.run()
    (fetcher,) = life.job["spec"]["template"]["spec"]["initContainers"]
    assert "0a1b2c" not in str(fetcher)


def test_broken_expectations_are_listed_until_there_is_another_try() -> None:
    broken = [{"input": "train", "column": "age", "expected": "at least 0", "found": "-1 in row 7"}]
    life = Life(inputs=INPUTS)
    life.run()
    told = {"broken": broken, "failure": {"reason": "ExpectationsBroken", "message": "train: age is -1"}}
    life.put_pod("Failed", **left(65, told))
    life.job_fails()
    life.run()
    assert (life.status["phase"], life.status["brokenExpectations"]) == ("Failed", broken)
    assert life.conditions()["DataValid"] == ("False", "ExpectationsBroken")
    life.acts("retry@1")
    life.run()
    assert "brokenExpectations" not in life.status
    assert "DataValid" not in life.conditions()


def test_a_digest_is_what_the_capsule_and_the_run_know_of_an_input() -> None:
    life = training_life(inputs=INPUTS)
    life.completes(**left(0, {"inputs": [[SHORT, 20], [SHORT, None]]}))
    life.run()
    assert life.mlflow.tags_of("run-1")["input.train"] == SHA
    logged = life.mlflow.inputs["run-1"].inputs
    assert [(one.name, one.uri, one.sha256, one.rows) for one in logged] == [
        ("train", "s3://data/train.parquet", SHA, 20),
        ("test", "s3://data/test.csv", SHA, None),
    ]
    assert capsule.datasets(JOB, training_status(life)) == logged


def training_status(life: Life) -> Any:  # noqa: ANN401 (a part of the status)
    return parsed(TrainingJob, life.raw).status.resolved
