"""Feedback: labels find their predictions for a while, count once, and become accuracy, error or calibration."""

import math
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families as plain

from serinus_server.exposition import expose
from serinus_server.feedback import MOST, Feedback
from serinus_server.problems import RequestProblem

type Anything = Any


class Clock:
    """It stands until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def shown(feedback: Feedback) -> dict[str, float]:
    text = expose(feedback.families())[0].decode()
    lines = [one for family in plain(text) for one in family.samples]
    return {
        one.name.removeprefix("serinus_server_feedback_")
        + "".join(f" {one.labels[name]}" for name in ("result", "bin") if name in one.labels): one.value
        for one in lines
    }


def statuses(feedback: Feedback, *items: Anything) -> list[str]:
    return [one["status"] for one in feedback.submit(list(items))]


def test_classes_are_right_or_wrong() -> None:
    feedback = Feedback("7")
    feedback.remember("a", np.array([1]), 1)
    feedback.remember("b", np.array(["cat", "dog"], object), 2)
    assert feedback.submit({"request_id": "a", "label": 1}) == [{"request_id": "a", "status": "joined"}]
    assert statuses(feedback, {"request_id": "b", "labels": ["cat", "cat"]}) == ["joined"]
    figures = shown(feedback)
    assert (figures["classes_total"], figures["classes_right_total"]) == (3, 2)
    assert figures["accuracy"] == pytest.approx(2 / 3)
    assert 'version="7"' in expose(feedback.families())[0].decode()


@pytest.mark.parametrize("label", [1, 1.0, True, "1"])
def test_a_class_may_be_written_in_several_ways(label: Anything) -> None:
    feedback = Feedback()
    feedback.remember("a", np.array([1]), 1)
    feedback.submit({"request_id": "a", "label": label})
    assert shown(feedback)["accuracy"] == 1


def test_numbers_have_errors() -> None:
    feedback = Feedback()
    feedback.remember("a", np.array([10.0, 20.0], np.float32), 2)
    assert statuses(feedback, {"request_id": "a", "labels": [13, 16]}) == ["joined"]
    figures = shown(feedback)
    assert figures["mean_absolute_error"] == 3.5
    assert figures["root_mean_squared_error"] == pytest.approx(math.sqrt(12.5))
    assert figures["bias"] == 0.5
    assert "brier_score" not in figures


def test_probabilities_of_one_class_are_calibrated() -> None:
    feedback = Feedback()
    feedback.remember("a", np.array([0.75, 0.75, 1.0]), 3)
    feedback.submit({"request_id": "a", "labels": [1, 0, True]})
    figures = shown(feedback)
    assert figures["brier_score"] == pytest.approx((0.0625 + 0.5625) / 3)
    assert figures["reliability_rows_total 0.7"] == 2
    assert figures["reliability_hits_total 0.7"] == 1
    assert figures["reliability_probability_total 0.9"] == 1


def test_probabilities_of_several_classes_are_judged_by_the_most_probable() -> None:
    feedback = Feedback(classes=("no", "yes"))
    feedback.remember("a", np.array([[0.2, 0.8], [0.6, 0.4]]), 2)
    feedback.remember("b", pd.DataFrame({"cat": [0.9], "dog": [0.1]}), 1)
    assert statuses(feedback, {"request_id": "a", "labels": ["yes", "yes"]}) == ["joined"]
    figures = shown(feedback)
    assert figures["accuracy"] == 0.5
    assert figures["brier_score"] == pytest.approx((0.08 + 0.72) / 2)
    other = Feedback()
    other.remember("b", pd.DataFrame({"cat": [0.9], "dog": [0.1]}), 1)
    assert statuses(other, {"request_id": "b", "label": "cat"}) == ["joined"]
    assert shown(other)["accuracy"] == 1


def test_the_first_label_counts() -> None:
    feedback = Feedback()
    feedback.remember("a", np.array([1]), 1)
    item = {"request_id": "a", "label": 1}
    assert statuses(feedback, item, {"request_id": "a", "label": 0}, item) == ["joined", "repeated", "repeated"]
    assert shown(feedback)["accuracy"] == 1
    assert shown(feedback)["total repeated"] == 2


def test_an_unknown_request_is_told_so_beside_others_that_are_known() -> None:
    feedback = Feedback()
    feedback.remember("a", np.array([1]), 1)
    assert statuses(feedback, {"request_id": "x", "label": 1}, {"request_id": "a", "label": 1}) == ["unknown", "joined"]
    assert shown(feedback)["total unknown"] == 1


@pytest.mark.parametrize(
    ("outputs", "labels"),
    [
        (np.array([1]), [1, 2]),
        (np.array([1.5]), ["a"]),
        (np.array([1.5]), [math.inf]),
        (np.array([1.5]), [10**400]),
        (np.array([math.nan]), [1]),
        (np.array([[0.5, 0.5]]), [7]),
        (np.array([[3.0, 4.0]]), [0]),
        (None, [1]),
        (np.zeros((1, 0)), [1]),
    ],
)
def test_what_does_not_belong_together_counts_nothing_and_may_be_mended(outputs: Anything, labels: list[Any]) -> None:
    feedback = Feedback()
    feedback.remember("a", outputs, 1)
    item = {"request_id": "a", "labels": labels}
    assert statuses(feedback, item, item) == ["mismatched", "mismatched"]
    figures = shown(feedback)
    assert figures["classes_total"] == figures["numbers_total"] == figures["probabilities_total"] == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (3, "item 0 is not an object"),
        ([{}], "has no request_id"),
        ({"request_id": 5, "label": 1}, "has no request_id"),
        ({"request_id": "a"}, "needs either label"),
        ({"request_id": "a", "label": 1, "labels": [1]}, "needs either label"),
        ({"request_id": "a", "labels": 1}, "is no list"),
        ({"request_id": "a", "label": {"a": 1}}, "neither text nor"),
        ({"request_id": "a", "label": None}, "neither text nor"),
        ([{}] * (MOST + 1), "are more than"),
    ],
)
def test_a_body_that_is_none_is_refused_whole(body: Anything, message: str) -> None:
    feedback = Feedback()
    with pytest.raises(RequestProblem, match=message) as refused:
        feedback.submit(body)
    assert refused.value.status == 400


def test_it_remembers_so_many_rows() -> None:
    feedback = Feedback(rows=160)
    for at in range(1000):
        feedback.remember(str(at), np.array([1]), 1)
        assert shown(feedback)["remembered_requests"] <= 160 if at % 50 == 0 else True
    assert statuses(feedback, {"request_id": "860", "label": 1}, {"request_id": "839", "label": 1}) == [
        "joined",
        "unknown",
    ]


def test_it_remembers_for_so_long() -> None:
    clock = Clock()
    feedback = Feedback(seconds=160, clock=clock)
    for at in range(200):
        clock.now = float(at)
        feedback.remember(str(at), np.array([1]), 1)
    known = [at for at in range(200) if statuses(feedback, {"request_id": str(at), "label": 1}) == ["joined"]]
    assert min(known) in range(199 - 172, 199 - 140)
    clock.now = 1000
    assert statuses(feedback, {"request_id": "199", "label": 1}) == ["unknown"]
    assert shown(feedback)["remembered_requests"] == 0


def test_a_giant_request_does_not_push_out_the_others() -> None:
    feedback = Feedback(rows=160)
    feedback.remember("small", np.array([1]), 1)
    feedback.remember("giant", np.zeros(100_000), 100_000)
    assert statuses(feedback, {"request_id": "small", "label": 1}, {"request_id": "giant", "label": 1}) == [
        "joined",
        "unknown",
    ]


def test_remembering_costs_little() -> None:
    feedback, ids, outputs = Feedback(), [str(at) for at in range(20_000)], np.array([1])
    started = time.process_time()
    for one in ids:
        feedback.remember(one, outputs, 1)
    # Generous: it is a fifth of that on a machine that does nothing else.
    assert (time.process_time() - started) / 20_000 < 3e-6
