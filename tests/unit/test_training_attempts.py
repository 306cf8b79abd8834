"""Attempts: each has a Job and a run of its own; what failed is tried again after a while, and not forever."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.names import Label
from serinus.api.trainingjob_status import Attempt, TrainingJobStatus
from serinus.asks import EndRun
from serinus.objects import JOB, labels
from serinus.training import attempts
from tests.unit.fakes import NOON, Json
from tests.unit.training_life import AWAY, Life, disrupted, ended, training_life

REGISTER = {"model": "churn", "alias": "challenger"}
GATE = [{"metric": "val_f1", "min": 0.8}]


def failing_life(**spec: Json) -> Life:
    """Its first attempt has failed, and the next one is waited for."""
    life = training_life(**spec)
    life.fails(log="loading\nValueError: no such column")
    life.run()
    return life


def preempted(life: Life) -> None:
    """The pod of the last attempt makes room for a more important one."""
    life.put_pod("Failed", conditions=[disrupted("PreemptionByScheduler", "it makes room")])
    life.job_fails()


def test_what_failed_is_written_down_first_then_its_run_is_closed_then_it_waits() -> None:
    life = training_life()
    life.fails(log="loading\nValueError: no such column")
    life.step()
    assert life.attempt == {
        "number": 1,
        "runId": "run-1",
        "startedAt": "2026-01-01T12:00:00Z",
        "finishedAt": "2026-01-01T12:00:00Z",
        "reason": "Error",
        "exitCode": 1,
        "message": f"container main of pod {life.pod()['metadata']['name']} failed with exit code 1: "
        "ValueError: no such column",
        "node": "node-1",
    }
    assert (life.status["failures"], life.status["lastLogLines"]) == (1, ["loading", "ValueError: no such column"])
    assert life.mlflow.statuses() == ["RUNNING"]
    assert isinstance(life.step().ask[0], EndRun)
    assert life.mlflow.statuses() == ["FAILED"]
    plan = life.run()
    assert plan.requeue_after == timedelta(seconds=10)
    assert life.status["message"].endswith("the next starts 12:00:10 UTC")
    assert (life.status["phase"], life.conditions()["Trained"]) == ("Pending", ("False", "Error"))
    assert len(life.of(JOB)) == 1


def test_the_run_of_a_failed_attempt_tells_why_it_failed() -> None:
    life = failing_life()
    tags = life.mlflow.tags_of("run-1")
    assert (tags["reason"], tags["exitCode"], tags["log"]) == ("Error", "1", "loading\nValueError: no such column")
    assert tags["message"] == life.attempt["message"]
    assert "outcome" not in tags, "there is another attempt"
    assert "counted" not in tags
    assert (tags["attempt"], tags["node"], tags["image"]) == ("1", "node-1", "trainer:1")


def test_after_two_failures_the_third_attempt_gives_the_result() -> None:
    life = failing_life(gate=GATE, register=REGISTER)
    life.begins_again()
    life.fails(2)
    life.run()
    life.begins_again()
    life.mlflow.logged = {"run-1": {"val_f1": 0.1}, "run-3": {"val_f1": 0.2}, "run-4": {"val_f1": 0.95}}
    life.completes()
    life.run()
    assert (life.status["phase"], life.status["run"]["id"], life.status["attempt"]) == ("Succeeded", "run-2", 3)
    assert life.mlflow.attempts() == ["FAILED", "FAILED", "FINISHED"]
    assert life.mlflow.runs["run-2"].status == "FINISHED"
    parents = {run.id: run.tags.get("mlflow.parentRunId") for run in life.mlflow.runs.values()}
    assert parents == {"run-1": "run-2", "run-2": None, "run-3": "run-2", "run-4": "run-2"}
    assert [labels(job)[Label.ATTEMPT] for job in life.of(JOB)] == ["1", "2", "3"]
    assert life.status["gate"]["checks"][0]["value"] == 0.95
    (order,) = life.mlflow.orders
    assert (order.run_id, dict(order.tags)["serinus.attempt"]) == ("run-4", "3")
    assert life.mlflow.tags_of("run-2")["result"] == "run-4"
    assert [one["reason"] for one in life.status["attempts"]] == ["Error", "Error", "Completed"]
    assert life.conditions()["Trained"] == ("True", "Completed")
    assert "Stalled" not in life.conditions()


def test_with_one_attempt_there_is_one_run_and_nothing_above_it() -> None:
    life = training_life()
    life.completes()
    life.run()
    assert list(life.mlflow.runs) == ["run-1"]
    assert "mlflow.parentRunId" not in life.mlflow.runs["run-1"].tags


def test_the_address_of_the_run_is_that_of_the_one_above_the_attempts() -> None:
    life = failing_life()
    life.begins_again()
    assert life.status["run"] == {
        "id": "run-2",
        "experimentId": "1",
        "url": "http://mlflow:5000/#/experiments/1/runs/run-2",
    }
    assert life.attempt["runId"] == "run-3"
    variables = {one["name"]: one.get("value") for one in life.job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert variables["MLFLOW_RUN_ID"] == "run-3"


def test_what_fails_more_often_than_it_may_has_failed() -> None:
    life = failing_life(backoffLimit=1)
    life.begins_again()
    life.fails(7)
    life.run()
    assert life.status["phase"] == "Failed"
    assert life.status["message"].startswith("2 attempts failed, and backoffLimit is 1; the last: container main of")
    says = {kind: life.conditions()[kind] for kind in ("Ready", "Stalled", "Failed", "Trained")}
    exceeded = "BackoffLimitExceeded"
    assert says == {
        "Ready": ("False", exceeded),
        "Stalled": ("True", exceeded),
        "Failed": ("True", exceeded),
        "Trained": ("False", exceeded),
    }
    assert life.mlflow.statuses() == ["FAILED", "FAILED", "FAILED"]
    assert life.mlflow.tags_of("run-3")["outcome"] == life.mlflow.tags_of("run-2")["outcome"] == "BackoffLimitExceeded"
    first = ["Normal Training", "Warning Error", "Normal Retrying"]
    assert life.events == [*first, "Normal Training", f"Warning {exceeded}"]
    life.passes(3600)
    assert len(life.of(JOB)) == 2


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_there_are_so_many_attempts_after_the_first(limit: int) -> None:
    life = failing_life(backoffLimit=limit)
    while "finishedAt" not in life.status:
        life.begins_again()
        life.fails()
        life.run()
    assert (len(life.of(JOB)), life.status["failures"]) == (limit + 1, limit + 1)


def test_what_would_end_no_better_is_not_tried_again() -> None:
    life = training_life(inputs=[{"name": "train", "uri": "s3://data/a", "mountPath": "/data/a"}])
    said = '{"failure":{"reason":"DigestMismatch","message":"train: it is not 0123"}}'
    life.put_pod("Failed", initContainerStatuses=[ended("serinus-fetch", 65, said)])
    life.job_fails()
    life.run()
    assert (life.status["phase"], life.status["message"]) == ("Failed", "train: it is not 0123")
    assert (len(life.of(JOB)), life.attempt["final"]) == (1, True)
    mismatch = "DigestMismatch"
    says = {kind: life.conditions()[kind] for kind in ("Ready", "Failed", "Trained", "DataValid")}
    assert says == {
        "Ready": ("False", mismatch),
        "Failed": ("True", mismatch),
        "Trained": ("False", mismatch),
        "DataValid": ("False", mismatch),
    }


# --- how long it waits


def test_each_pause_is_twice_as_long_as_the_last_up_to_six_minutes() -> None:
    life = failing_life(backoffLimit=100)
    waits = []
    for _ in range(8):
        waits.append(life.run().requeue_after)
        life.begins_again()
        life.fails()
        life.run()
    assert [wait.total_seconds() for wait in waits if wait] == [10, 20, 40, 80, 160, 320, 360, 360]


def test_what_has_run_for_a_while_waits_no_longer_than_at_first() -> None:
    life = failing_life(backoffLimit=100)
    life.begins_again()
    life.now += timedelta(minutes=10)
    life.fails()
    assert life.run().requeue_after == timedelta(seconds=10)


SECONDS = st.integers(0, 2000)


def tried(*lasted: int) -> TrainingJobStatus:
    every = enumerate(lasted, start=1)
    made = [Attempt(number=one, started_at=NOON, finished_at=NOON + timedelta(seconds=took)) for one, took in every]
    return TrainingJobStatus(attempts=tuple(made[-10:]), failures=len(made))


@given(st.lists(SECONDS, min_size=1, max_size=30))
def test_a_pause_is_never_shorter_than_the_first_or_longer_than_the_longest(lasted: list[int]) -> None:
    assert attempts.FIRST <= attempts.delay(tried(*lasted)) <= attempts.MOST


@given(st.lists(SECONDS, min_size=1, max_size=30), st.integers(0, 599))
def test_another_failure_that_comes_soon_never_makes_the_pause_shorter(lasted: list[int], soon: int) -> None:
    assert attempts.delay(tried(*lasted, soon)) >= attempts.delay(tried(*lasted))


@given(st.lists(SECONDS, max_size=30), st.integers(600, 100_000))
def test_after_a_failure_that_came_late_the_pause_is_the_first_one(lasted: list[int], late: int) -> None:
    assert attempts.delay(tried(*lasted, late)) == attempts.FIRST


# --- what does not count


def test_what_was_taken_away_is_tried_again_however_often() -> None:
    life = training_life(backoffLimit=0)
    for _ in range(12):
        preempted(life)
        life.run()
        assert life.attempt["reason"] == "Preempted"
        life.begins_again()
    assert (life.status["phase"], life.status["attempt"], life.status.get("failures", 0)) == ("Running", 13, 0)
    assert len(life.status["attempts"]) == 10
    assert life.mlflow.tags_of("run-1")["counted"] == "false"
    life.completes()
    life.run()
    assert (life.status["phase"], life.mlflow.attempts()) == ("Succeeded", ["FAILED"] * 12 + ["FINISHED"])


def test_failures_count_whatever_was_taken_away_between_them() -> None:
    life = failing_life(backoffLimit=1)
    life.begins_again()
    preempted(life)
    life.run()
    assert (life.status["failures"], life.status["phase"]) == (1, "Pending")
    life.begins_again()
    life.fails()
    life.run()
    assert (life.status["failures"], life.status["phase"]) == (2, "Failed")


def test_a_limit_that_is_raised_while_it_waits_gives_another_chance_and_one_that_is_lowered_none() -> None:
    raised = failing_life(backoffLimit=1)
    raised.edit(backoffLimit=5)
    raised.begins_again()
    raised.fails()
    raised.run()
    assert raised.status["phase"] == "Pending"
    lowered = failing_life()
    lowered.edit(backoffLimit=0)
    lowered.run()
    assert (lowered.status["phase"], lowered.conditions()["Failed"]) == ("Failed", ("True", "BackoffLimitExceeded"))


# --- pods that linger


def test_the_next_attempt_waits_for_the_pods_of_the_last() -> None:
    life = training_life(workers=2)
    life.put_pod("Failed", worker=0, containerStatuses=[ended("main", 1)])
    life.put_pod("Running", worker=1)
    life.job_fails()
    life.run()
    plan = life.passes(10)
    assert (len(life.of(JOB)), life.conditions()["Reconciling"]) == (1, ("True", "Retrying"))
    assert life.mlflow.statuses() == ["RUNNING"], "what is at work may tell MLflow of another end"
    assert plan.requeue_after == timedelta(seconds=60)
    life.put_pod("Failed", worker=1, containerStatuses=[ended("main", 143)])
    life.run()
    assert len(life.of(JOB)) == 2


# --- Jobs that somebody deletes


@pytest.mark.parametrize("has_started", [False, True], ids=["before it started", "while it ran"])
def test_a_job_that_was_deleted_is_followed_by_another_attempt_and_that_does_not_count(*, has_started: bool) -> None:
    life = Life(backoffLimit=0)
    life.run()
    if has_started:
        life.start()
        life.run()
    life.lose(JOB)
    life.run()
    assert (life.attempt["reason"], life.attempt["counted"]) == ("PodDeleted", False)
    life.begins_again()
    assert (life.status["phase"], life.status["attempt"], life.mlflow.attempts()) == (
        "Running",
        2,
        ["FAILED", "RUNNING"],
    )


def test_a_job_that_was_deleted_after_its_run_was_finished_is_a_success() -> None:
    life = training_life()
    life.mlflow.end("run-1", "FINISHED")
    life.lose(JOB)
    life.run()
    assert (life.status["phase"], life.of(JOB)) == ("Succeeded", [])


def test_a_job_that_was_deleted_after_its_run_had_failed_is_a_failure() -> None:
    life = training_life(backoffLimit=0)
    life.mlflow.end("run-1", "FAILED")
    life.lose(JOB)
    life.run()
    assert (life.status["phase"], life.attempt["reason"]) == ("Failed", "Error")


def test_while_mlflow_is_away_nothing_is_made_of_a_job_that_was_deleted() -> None:
    life = training_life()
    life.mlflow.trouble = AWAY
    life.lose(JOB)
    life.run()
    assert (life.status["phase"], "finishedAt" in life.attempt) == ("Running", False)
    assert life.conditions()["MLflowAvailable"] == ("False", "Unreachable")


# --- the deadline


def test_a_run_that_takes_too_long_is_stopped_and_has_failed() -> None:
    life = training_life(activeDeadlineSeconds=60)
    life.passes(20)
    assert life.run().requeue_after == timedelta(seconds=40)
    life.passes(39)
    assert life.status["phase"] == "Running"
    life.passes(1)
    assert (life.status["phase"], life.of(JOB), life.mlflow.statuses()) == ("Failed", [], ["FAILED"])
    assert life.status["message"] == "activeDeadlineSeconds of 60 are over"
    assert life.conditions()["Failed"] == ("True", "DeadlineExceeded")


def test_all_attempts_together_have_until_the_deadline() -> None:
    life = training_life(activeDeadlineSeconds=100)
    life.now += timedelta(seconds=30)
    life.fails()
    life.run()
    life.begins_again()
    life.passes(59)
    assert life.status["phase"] == "Running"
    life.passes(1)
    assert (life.status["phase"], life.attempt["reason"]) == ("Failed", "DeadlineExceeded")


def test_an_attempt_that_could_only_begin_after_the_deadline_is_not_waited_for() -> None:
    life = training_life(activeDeadlineSeconds=40)
    life.now += timedelta(seconds=31)
    life.fails()
    life.run()
    assert (life.status["phase"], life.conditions()["Failed"]) == ("Failed", ("True", "DeadlineExceeded"))
    assert life.status["message"].startswith("activeDeadlineSeconds of 40 are over, before another attempt; the last:")


def test_that_it_was_the_deadline_is_known_after_all_else_was_lost() -> None:
    life = training_life(activeDeadlineSeconds=40)
    life.now += timedelta(seconds=31)
    life.lose(JOB)
    life.run()
    assert life.conditions()["Failed"] == ("True", "DeadlineExceeded")
    life.lose(JOB)
    life.wipe()
    life.edit(activeDeadlineSeconds=None)
    life.run()
    assert (life.status["phase"], life.conditions()["Failed"]) == ("Failed", ("True", "DeadlineExceeded"))


def test_a_deadline_that_is_shortened_counts_at_once() -> None:
    running = training_life(activeDeadlineSeconds=3600)
    running.passes(100)
    running.edit(activeDeadlineSeconds=60)
    running.run()
    assert (running.status["phase"], running.of(JOB)) == ("Failed", [])
    waiting = failing_life()
    waiting.edit(activeDeadlineSeconds=5)
    waiting.run()
    assert (waiting.status["phase"], waiting.conditions()["Failed"]) == ("Failed", ("True", "DeadlineExceeded"))


def test_a_deadline_that_is_extended_counts_at_once() -> None:
    life = training_life(activeDeadlineSeconds=60)
    life.passes(50)
    life.edit(activeDeadlineSeconds=3600)
    life.run()
    life.passes(3000)
    assert (life.status["phase"], life.status["attempt"]) == ("Running", 1)


def test_while_it_is_suspended_no_time_passes() -> None:
    life = training_life(activeDeadlineSeconds=60)
    life.edit(suspend=True)
    life.run()
    life.pods_end()
    life.passes(3600)
    life.edit(suspend=False)
    life.run()
    life.start()
    life.run()
    assert life.status["phase"] == "Running"


def test_work_that_is_done_is_not_lost_to_the_deadline() -> None:
    life = training_life(activeDeadlineSeconds=60)
    life.now += timedelta(seconds=61)
    life.completes()
    life.run()
    assert life.status["phase"] == "Succeeded"
