"""Conditions: times change with the status only, and every transition is told once."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.conditions import Condition, ConditionType, Reason
from serinus.api.trainingjob_status import TrainingJobStatus
from serinus.progress import Said, Truth, conditions, progressing, settled, stalled, transitions, updated
from tests.unit.fakes import NOON

LATER = NOON + timedelta(minutes=5)
UNREACHABLE = Said(ConditionType.MLFLOW_AVAILABLE, "False", Reason.UNREACHABLE, "no answer")
REACHABLE = Said(ConditionType.MLFLOW_AVAILABLE, "True", Reason.REACHABLE, "it answers")


def said(*what: Said, before: tuple[Condition, ...] = (), now: datetime = NOON) -> tuple[Condition, ...]:
    return conditions(before, what, 3, now)


def by_type(*what: Condition) -> dict[str, tuple[str, str]]:
    return {one.type: (one.status, one.reason) for one in what}


def told(before: tuple[Condition, ...], after: tuple[Condition, ...]) -> list[tuple[str, str]]:
    return [(event.type, event.reason) for event in transitions(before, after)]


WAYS = {
    "work goes on": (
        progressing(Reason.TRAINING, "x"),
        {"Ready": ("Unknown", "Training"), "Reconciling": ("True", "Training")},
    ),
    "work goes on on what does not serve": (
        progressing(Reason.SCALING, "x", ready="False"),
        {"Ready": ("False", "Scaling"), "Reconciling": ("True", "Scaling")},
    ),
    "somebody must do something": (
        stalled(Reason.FORBIDDEN, "x"),
        {"Ready": ("False", "Forbidden"), "Stalled": ("True", "Forbidden")},
    ),
    "all is well": (settled(Reason.SUCCEEDED, "x"), {"Ready": ("True", "Succeeded")}),
    "nothing is to be done": (settled(Reason.SUSPENDED, "x", ready="False"), {"Ready": ("False", "Suspended")}),
}


@pytest.mark.parametrize(("what", "expected"), WAYS.values(), ids=WAYS.keys())
def test_each_way_a_resource_does_is_told_as_kstatus_reads_it(
    what: tuple[Said, ...], expected: dict[str, tuple[str, str]]
) -> None:
    assert by_type(*said(*what)) == expected
    everything = said(*stalled(Reason.PENDING, "x"), *progressing(Reason.PENDING, "x"))
    assert by_type(*said(*what, before=everything)) == expected


def test_a_condition_says_when_and_about_which_generation() -> None:
    (one,) = said(UNREACHABLE)
    assert (one.last_transition_time, one.observed_generation, one.message) == (NOON, 3, "no answer")


def test_the_time_stays_while_only_the_words_change() -> None:
    before = said(UNREACHABLE)
    (after,) = said(Said(UNREACHABLE.type, "False", Reason.UNAUTHORIZED, "401"), before=before, now=LATER)
    assert (after.reason, after.message, after.last_transition_time) == ("Unauthorized", "401", NOON)


def test_the_time_changes_with_the_status() -> None:
    (after,) = said(REACHABLE, before=said(UNREACHABLE), now=LATER)
    assert after.last_transition_time == LATER


def test_what_nothing_is_said_of_stays_as_it_was() -> None:
    before = said(UNREACHABLE, Said(ConditionType.TRAINED, "True", Reason.COMPLETED, "done"))
    after = said(REACHABLE, before=before, now=LATER)
    assert [one for one in after if one.type == "Trained"] == [one for one in before if one.type == "Trained"]


def test_a_message_is_one_line_and_not_too_long() -> None:
    (after,) = said(Said(ConditionType.READY, "False", Reason.ERROR, "Traceback:\n  File\tx\n" + "y" * 2000))
    assert after.message.startswith("Traceback: File x y")
    assert len(after.message) == 1024


def test_a_status_that_is_updated_is_clipped_and_keeps_the_rest() -> None:
    status = TrainingJobStatus(phase="Running", attempt=2)
    after = updated(status, message="x" * 2000)
    assert (after.phase, after.attempt, len(after.message)) == ("Running", 2, 1024)


def test_a_transition_is_told_once_in_the_words_that_say_most() -> None:
    failed = Said(ConditionType.FAILED, "True", Reason.BACKOFF_LIMIT_EXCEEDED, "in words")
    after = said(*stalled(Reason.BACKOFF_LIMIT_EXCEEDED, "x"), failed)
    (event,) = transitions((), after)
    assert (event.type, event.reason, event.message) == ("Warning", "BackoffLimitExceeded", "in words")
    assert told(after, after) == []


def test_what_was_warned_of_is_not_told_again_by_another_condition() -> None:
    attempt = Said(ConditionType.TRAINED, "False", Reason.INPUT_UNREADABLE, "no such file")
    whole = Said(ConditionType.FAILED, "True", Reason.INPUT_UNREADABLE, "no such file")
    before = said(*progressing(Reason.RETRYING, "no such file"), attempt)
    assert told((), before) == [("Warning", "InputUnreadable")]
    assert told(before, said(*stalled(Reason.INPUT_UNREADABLE, "no such file"), whole, before=before)) == []
    assert told(said(attempt), said(whole, *stalled(Reason.INPUT_UNREADABLE, "gone"), before=said(attempt))) != []


def test_other_words_for_the_same_are_no_transition() -> None:
    assert told(said(UNREACHABLE), said(Said(UNREACHABLE.type, "False", UNREACHABLE.reason, "other words"))) == []


QUIET = {
    "what is on its way": (progressing(Reason.PENDING, "x"), []),
    "that all answers": ((REACHABLE,), []),
    "that training goes on": (progressing(Reason.TRAINING, "x"), [("Normal", "Training")]),
    "that somebody must do something": (stalled(Reason.FORBIDDEN, "x"), [("Warning", "Forbidden")]),
    "that MLflow is away": ((UNREACHABLE,), [("Warning", "Unreachable")]),
    "that it succeeded": (settled(Reason.SUCCEEDED, "x"), [("Normal", "Succeeded")]),
    "that nothing serves before anything has": (
        (Said(ConditionType.AVAILABLE, "False", Reason.NO_READY_REPLICAS, "x"),),
        [],
    ),
}


@pytest.mark.parametrize(("what", "events"), QUIET.values(), ids=QUIET.keys())
def test_what_is_told(what: tuple[Said, ...], events: list[tuple[str, str]]) -> None:
    assert told((), said(*what)) == events


def test_that_nothing_serves_any_more_is_told() -> None:
    before = said(Said(ConditionType.AVAILABLE, "True", Reason.MINIMUM_REPLICAS_AVAILABLE, "x"))
    after = said(Said(ConditionType.AVAILABLE, "False", Reason.NO_READY_REPLICAS, "x"), before=before)
    assert told(before, after) == [("Warning", "NoReadyReplicas")]


def test_warnings_come_first() -> None:
    after = said(*progressing(Reason.TRAINING, "x"), UNREACHABLE)
    assert told((), after) == [("Warning", "Unreachable"), ("Normal", "Training")]


REASONS = st.sampled_from(list(Reason))
TRUTHS: st.SearchStrategy[Truth] = st.sampled_from(["True", "False", "Unknown"])
WHATS = st.one_of(
    st.builds(progressing, REASONS, st.text(), ready=TRUTHS),
    st.builds(stalled, REASONS, st.text()),
    st.builds(settled, REASONS, st.text(), ready=TRUTHS),
    st.builds(Said, st.just(ConditionType.MLFLOW_AVAILABLE), TRUTHS | st.none(), REASONS, st.text()).map(
        lambda one: (one,)
    ),
)


@given(st.lists(WHATS, max_size=8))
def test_whatever_is_said_a_resource_is_never_reconciling_and_stalled(story: list[tuple[Said, ...]]) -> None:
    now: tuple[Condition, ...] = ()
    for step, what in enumerate(story):
        before, time = now, NOON + timedelta(minutes=step)
        now = conditions(before, what, step, time)
        types = [one.type for one in now]
        assert not {"Reconciling", "Stalled"} <= set(types)
        assert types == sorted(set(types))
        old = {one.type: one for one in before}
        for one in now:
            same = one.type in old and old[one.type].status == one.status
            assert one.last_transition_time == (old[one.type].last_transition_time if same else time)
        assert transitions(now, now) == ()
        reasons = [event.reason for event in transitions(before, now)]
        assert len(reasons) == len(set(reasons))
