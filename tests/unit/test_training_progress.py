"""How far training is: seen in what the code logs anyway, now and then, and told when it has changed."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.trainingjob_status import TrainingJobStatus
from serinus.asks import Absent, Progress, ReadProgress
from serinus.training.running import EVERY, progress_of
from tests.unit.fakes import NOON, Json
from tests.unit.training_life import AWAY, Life, training_life

GATE = [{"metric": "val_f1", "min": 0.8}, {"metric": "auc", "min": 0.5}]


def logging_life(step: int | None = 3, **metrics: float) -> Life:
    life = training_life(gate=GATE)
    life.mlflow.progress = Progress(metrics, step)
    return life


def asked(life: Life) -> list[ReadProgress]:
    return [ask for ask in life.run().ask if isinstance(ask, ReadProgress)]


def test_it_is_not_asked_before_it_may_be_worth_it() -> None:
    life = logging_life(loss=0.5)
    assert life.run().requeue_after == timedelta(seconds=20)
    life.passes(19)
    assert (asked(life), life.run().requeue_after) == ([], timedelta(seconds=1))
    life.passes(1)
    (ask,) = asked(life)
    assert (ask.run_id, ask.experiment_id, ask.every) == ("run-1", "1", EVERY)
    assert life.run().requeue_after is None, "the answer wakes it"


@pytest.mark.parametrize(("poll", "every"), [(5, 30), (30, 30), (300, 300)])
def test_it_is_asked_no_more_often_than_the_registry_is_polled(poll: int, every: int) -> None:
    life = logging_life(loss=0.5)
    life.defaults = type(life.defaults)(
        life.defaults.tracking_uri, life.defaults.trainer_image, registry_poll=timedelta(seconds=poll)
    )
    life.passes(20)
    assert [ask.every for ask in asked(life)] == [timedelta(seconds=every)]


def test_what_was_logged_is_told_the_metrics_of_the_gate_first() -> None:
    life = logging_life(step=7, loss=0.25, val_f1=0.75, accuracy=0.5, progress=0.4)
    life.passes(20)
    assert life.status["progress"] == {
        "percent": 40.0,
        "step": 7,
        "metrics": [
            {"name": "val_f1", "value": 0.75},
            {"name": "accuracy", "value": 0.5},
            {"name": "loss", "value": 0.25},
        ],
        "at": "2026-01-01T12:00:20Z",
    }
    assert life.status["message"] == "attempt 1 of run run-1 is training, 40 %, step 7"


def test_what_has_not_changed_is_not_written_again() -> None:
    life = logging_life(loss=0.5)
    life.passes(20)
    before = life.raw["status"]
    life.forget_troubles()
    life.passes(60)
    assert life.raw["status"] == before
    life.mlflow.progress = Progress({"loss": 0.4}, 4)
    life.forget_troubles()
    life.run()
    assert life.status["progress"]["metrics"] == [{"name": "loss", "value": 0.4}]
    assert life.status["progress"]["at"] == "2026-01-01T12:01:20Z"


@pytest.mark.parametrize("answer", [Absent("run"), Progress({}, None)], ids=["no run", "nothing logged"])
def test_where_nothing_was_logged_nothing_is_told(answer: Progress | Absent) -> None:
    life = logging_life()
    life.mlflow.progress = answer
    life.passes(20)
    assert "progress" not in life.status


def test_while_mlflow_is_away_what_was_seen_last_stays() -> None:
    life = logging_life(loss=0.5)
    life.passes(20)
    before = life.status["progress"]
    life.mlflow.trouble = AWAY
    life.restart()
    life.passes(60)
    assert (life.status["progress"], life.status["phase"]) == (before, "Running")


def test_another_attempt_begins_with_no_progress() -> None:
    life = logging_life(loss=0.5)
    life.passes(20)
    life.fails()
    life.run()
    life.begins_again()
    assert "progress" not in life.status
    assert asked(life) == []
    life.passes(20)
    assert [ask.run_id for ask in asked(life)] == [life.attempt["runId"]] == ["run-3"]


PERCENT = [
    (0.0, 0.0),
    (0.5, 50.0),
    (0.123456, 12.3),
    (1.0, 100.0),
    (1.5, 1.5),
    (50.0, 50.0),
    (100.0, 100.0),
    (101.0, None),
    (-0.1, None),
    (math.nan, None),
    (math.inf, None),
]


@pytest.mark.parametrize(("logged", "percent"), PERCENT)
def test_a_metric_named_progress_is_a_share_or_a_percentage(logged: float, percent: float | None) -> None:
    seen = progress_of(Progress({"progress": logged, "loss": 1.0}, 1), [], None, NOON)
    assert seen is not None
    assert seen.percent == percent


def test_a_metric_that_is_no_number_is_left_out_for_no_status_can_hold_it() -> None:
    life = logging_life(loss=math.nan, val_f1=math.inf, auc=0.5)
    life.passes(20)
    assert life.status["progress"]["metrics"] == [{"name": "auc", "value": 0.5}]


NAMES = st.text(min_size=1, max_size=250)


@given(st.dictionaries(NAMES, st.floats(), max_size=12), st.lists(NAMES, max_size=4), st.none() | st.integers(0, 2**40))
def test_whatever_was_logged_fits_into_the_status_and_is_told_once(
    metrics: dict[str, float], gate: list[str], step: int | None
) -> None:
    seen = progress_of(Progress(metrics, step), gate, None, NOON)
    assert progress_of(Progress(metrics, step), gate, seen, NOON + timedelta(hours=1)) == seen
    wire: Json = TrainingJobStatus(progress=seen).wire()
    shown = wire.get("progress", {}).get("metrics", [])
    assert len(shown) <= 8
    assert all(math.isfinite(one["value"]) for one in shown)
