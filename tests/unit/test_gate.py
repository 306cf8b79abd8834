"""The gate judges by numbers, says them, and is fooled neither by what is missing nor by what is no number."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.conditions import Reason
from serinus.api.trainingjob import Check
from serinus.training import gate
from serinus.training.gate import Rival, Rivals

LOGGED = {"val_f1": 0.84, "loss": 0.3, "bad": math.nan}
CHAMPION: Rivals = {"champion": Rival("3", {"val_f1": 0.845, "loss": 0.2})}
NOBODY: Rivals = {"champion": None}


def check(**fields: object) -> Check:
    """A check as it stands in a spec."""
    return Check.model_validate(fields, by_alias=True, by_name=False)


VERSUS = {"alias": "champion"}
CASES = [
    ("at least", check(metric="val_f1", min=0.8), CHAMPION, True, "val_f1 is 0.84"),
    ("at least, exactly", check(metric="val_f1", min=0.84), CHAMPION, True, "val_f1 is 0.84"),
    ("too little", check(metric="val_f1", min=0.9), CHAMPION, False, "val_f1: 0.84 is less than 0.9"),
    ("at most", check(metric="loss", max=0.3), CHAMPION, True, "loss is 0.3"),
    ("too much", check(metric="loss", max=0.29), CHAMPION, False, "loss: 0.3 is more than 0.29"),
    (
        "missing",
        check(metric="auc", min=0.5),
        CHAMPION,
        False,
        "auc was not logged; the run logged bad, loss, val_f1",
    ),
    ("not a number", check(metric="bad", max=1.0), CHAMPION, False, "bad is nan, which is no number to judge by"),
    (
        "a small loss is allowed",
        check(metric="val_f1", versus=VERSUS, minDelta=-0.005),
        CHAMPION,
        True,
        "val_f1 of 0.84 against 0.845 of version 3 (champion)",
    ),
    (
        "worse than the champion",
        check(metric="val_f1", versus=VERSUS, minDelta=0.0),
        CHAMPION,
        False,
        "val_f1 of 0.84 against 0.845 of version 3 (champion): -0.005 is less than 0",
    ),
    (
        "higher than the champion, where low is good",
        check(metric="loss", versus=VERSUS, maxDelta=0.05),
        CHAMPION,
        False,
        "loss of 0.3 against 0.2 of version 3 (champion): 0.1 is more than 0.05",
    ),
    (
        "no champion yet",
        check(metric="val_f1", versus=VERSUS, minDelta=0.0),
        NOBODY,
        True,
        "val_f1 is 0.84; there is no champion yet to compare with",
    ),
    (
        "a champion without the metric",
        check(metric="val_f1", versus=VERSUS, minDelta=0.0),
        {"champion": Rival("3", {})},
        False,
        "version 3 (champion) has none to compare with",
    ),
]


@pytest.mark.parametrize(("one", "rivals", "passes", "says"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_a_check_passes_or_not_and_says_why(one: Check, rivals: Rivals, passes: bool, says: str) -> None:  # noqa: FBT001
    result = gate.judge([one], LOGGED, rivals)
    assert (result.verdict == "Passed") is passes
    assert says in result.checks[0].message


def test_every_check_is_made_and_all_that_failed_are_told() -> None:
    checks = [check(metric="auc", min=0.5), check(metric="val_f1", min=0.8), check(metric="loss", max=0.1)]
    result = gate.judge(checks, LOGGED, CHAMPION)
    assert [one.verdict for one in result.checks] == ["Rejected", "Passed", "Rejected"]
    assert result.summary.startswith("2 of 3 checks failed: auc was not logged")
    assert "loss: 0.3 is more than 0.1" in result.summary


def test_the_reason_tells_a_missing_metric_from_a_bad_one() -> None:
    assert gate.reason(gate.judge([check(metric="auc", min=0)], LOGGED, {})) == Reason.METRIC_MISSING
    assert gate.reason(gate.judge([check(metric="loss", max=0)], LOGGED, {})) == Reason.CHECKS_FAILED
    assert gate.reason(gate.judge([check(metric="loss", max=1)], LOGGED, {})) == Reason.ALL_CHECKS_PASSED


def test_a_bound_is_not_missed_by_the_noise_of_binary_fractions() -> None:
    rivals: Rivals = {"champion": Rival("1", {"val_f1": 0.9})}
    one = check(metric="val_f1", versus=VERSUS, minDelta=-0.005)
    assert 0.895 - 0.9 < -0.005
    assert gate.judge([one], {"val_f1": 0.895}, rivals).verdict == "Passed"
    assert gate.judge([one], {"val_f1": 0.8949}, rivals).verdict == "Rejected"


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_value_passes_just_if_it_is_within_its_bounds(value: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    result = gate.judge([check(metric="m", min=low, max=high)], {"m": value}, {})
    assert (result.verdict == "Passed") is (low <= value <= high)


def test_many_metrics_are_not_all_named() -> None:
    logged = {f"m{number:02}": 1.0 for number in range(20)}
    result = gate.judge([check(metric="f1", min=0)], logged, {})
    assert result.checks[0].message.endswith("m06, m07 and 12 more")
