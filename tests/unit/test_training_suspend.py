"""Suspended and queued: what may not run does not, what was reached is kept, and it goes on where it was."""

from datetime import timedelta

import pytest

from serinus.api.names import Label
from serinus.asks import QueueRun
from serinus.objects import JOB, labels
from tests.unit.training_life import AWAY, Life, ended_life, training_life

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"


def test_what_is_suspended_from_the_start_makes_no_run() -> None:
    life = Life(suspend=True)
    life.run()
    assert (life.status["phase"], life.mlflow.runs, life.of(JOB)) == ("Suspended", {}, [])
    says = {kind: said for kind, said in life.conditions().items() if kind != "MLflowAvailable"}
    assert says == {"Ready": ("False", "Suspended"), "Suspended": ("True", "Suspended")}


def test_a_suspend_stops_the_pods_and_closes_the_run_and_a_resume_is_the_next_attempt() -> None:
    life = training_life()
    life.edit(suspend=True)
    life.run()
    assert (life.status["phase"], life.of(JOB), life.mlflow.statuses()) == ("Suspended", [], ["KILLED"])
    assert life.mlflow.tags_of("run-1")["reason"] == "Suspended"
    assert (life.attempt["reason"], life.attempt["counted"]) == ("Suspended", False)
    life.edit(suspend=False)
    life.run()
    life.start()
    life.run()
    assert life.mlflow.attempts() == ["KILLED", "RUNNING"]
    assert (life.status["phase"], life.status["attempt"], life.attempt["runId"]) == ("Running", 2, "run-3")
    assert life.mlflow.runs["run-1"].tags["mlflow.parentRunId"] == life.status["run"]["id"] == "run-2"
    assert "Suspended" not in life.conditions()
    life.completes()
    life.run()
    assert (life.status["phase"], life.status["attempt"]) == ("Succeeded", 2)


def test_a_suspend_waits_for_the_pods_before_it_says_that_nothing_runs() -> None:
    life = training_life()
    life.pods_linger = True
    life.edit(suspend=True)
    life.run()
    assert (life.status["phase"], life.of(JOB), life.mlflow.statuses()) == ("Pending", [], ["RUNNING"])
    life.pods_end()
    life.run()
    assert (life.status["phase"], life.mlflow.statuses()) == ("Suspended", ["KILLED"])


def test_a_training_that_is_complete_is_not_lost_by_a_suspend() -> None:
    life = ended_life()
    life.edit(suspend=True)
    life.run()
    life.edit(suspend=False)
    life.run()
    assert (life.status["phase"], len(life.mlflow.runs)) == ("Succeeded", 1)


def test_after_an_outage_a_suspended_job_says_that_mlflow_is_back() -> None:
    life = training_life()
    life.mlflow.trouble = AWAY
    life.edit(suspend=True)
    life.run()
    life.back()
    life.run()
    assert life.status["phase"] == "Suspended"
    assert life.conditions().get("MLflowAvailable") != ("False", "Unreachable")


def test_failures_before_a_suspend_count_after_it_as_they_did() -> None:
    life = training_life(backoffLimit=1)
    life.fails()
    life.run()
    life.edit(suspend=True)
    life.run()
    assert (life.status["phase"], life.mlflow.attempts()) == ("Suspended", ["FAILED"])
    life.edit(suspend=False)
    life.begins_again()
    assert (life.status["attempt"], life.status["failures"]) == (2, 1)
    life.fails()
    life.run()
    assert (life.status["phase"], life.status["failures"]) == ("Failed", 2)


@pytest.mark.parametrize("how", ["the status is lost", "the Job is lost", "both are lost"])
def test_a_suspend_between_two_attempts_counts_nothing_twice_whatever_is_lost_meanwhile(how: str) -> None:
    life = training_life()
    life.fails()
    life.run()
    life.edit(suspend=True)
    life.run()
    if how != "the status is lost":
        life.lose(JOB)
    if how != "the Job is lost":
        life.wipe()
    life.run()
    life.edit(suspend=False)
    life.begins_again()
    assert (life.status["attempt"], life.status["failures"], life.mlflow.attempts()) == (2, 1, ["FAILED", "RUNNING"])


def test_a_suspend_in_the_middle_of_the_second_attempt_ends_it_and_the_run_above() -> None:
    life = training_life()
    life.fails()
    life.run()
    life.begins_again()
    life.edit(suspend=True)
    life.run()
    assert (life.mlflow.attempts(), life.mlflow.runs["run-2"].status) == (["FAILED", "KILLED"], "KILLED")
    life.edit(suspend=False)
    life.run()
    life.start()
    life.run()
    assert (life.status["attempt"], life.status["run"]["id"], life.status["failures"]) == (3, "run-2", 1)
    life.completes()
    life.run()
    assert life.mlflow.attempts() == ["FAILED", "KILLED", "FINISHED"]
    assert (life.status["phase"], life.mlflow.runs["run-2"].status) == ("Succeeded", "FINISHED")


def test_failures_that_are_not_listed_any_more_are_not_counted_again() -> None:
    life = training_life(backoffLimit=100)
    for _ in range(12):
        life.fails()
        life.run()
        life.begins_again()
    life.edit(suspend=True)
    life.run()
    life.edit(suspend=False)
    life.run()
    assert (life.status["failures"], life.status["attempt"], len(life.status["attempts"])) == (12, 14, 10)


# --- the queue


def queued_life() -> Life:
    life = Life(queue="gpus", activeDeadlineSeconds=3600)
    life.run()
    return life


def admit(life: Life) -> None:
    """Kueue gives the Job its place, and its pod runs."""
    life.put(JOB, {**life.job, "spec": {**life.job["spec"], "suspend": False}})
    life.start()


def take_back(life: Life) -> None:
    """Kueue takes the place away, and the pod."""
    life.put(JOB, {**life.job, "spec": {**life.job["spec"], "suspend": True}})
    life.pods_end()


def test_a_job_for_a_queue_is_made_suspended_with_the_name_of_the_queue() -> None:
    life = queued_life()
    assert (life.job["spec"]["suspend"], labels(life.job)[QUEUE_LABEL]) == (True, "gpus")
    assert labels(life.job)[Label.ATTEMPT] == "1"
    assert QUEUE_LABEL not in life.job["spec"]["template"]["metadata"]["labels"]
    without = training_life()
    assert "suspend" not in without.job["spec"]
    assert QUEUE_LABEL not in labels(without.job)


def test_what_waits_in_a_queue_says_so_and_its_run_does_too() -> None:
    life = queued_life()
    assert (life.status["phase"], life.status["message"]) == ("Queued", "waiting for a place in queue gpus")
    assert life.conditions()["Reconciling"] == ("True", "Queued")
    assert life.mlflow.statuses() == ["SCHEDULED"]
    assert "startedAt" not in life.status


def test_what_is_admitted_trains_and_the_time_in_the_queue_is_none_of_its_time() -> None:
    life = queued_life()
    life.passes(10_000)
    assert life.status["phase"] == "Queued"
    admit(life)
    life.run()
    assert (life.status["phase"], life.status["startedAt"]) == ("Running", "2026-01-01T14:46:40Z")
    assert [ask for ask in life.run().ask if isinstance(ask, QueueRun)] == []


def test_what_is_taken_back_waits_again_and_goes_on_as_the_same_attempt() -> None:
    life = queued_life()
    admit(life)
    life.run()
    life.mlflow.end("run-1", "RUNNING")
    take_back(life)
    life.run()
    assert (life.status["phase"], life.mlflow.statuses()) == ("Queued", ["SCHEDULED"])
    admit(life)
    life.run()
    assert (life.status["phase"], life.status["attempt"], len(life.mlflow.runs)) == ("Running", 1, 1)


def test_what_is_taken_back_is_looked_at_when_its_time_is_over() -> None:
    life = queued_life()
    admit(life)
    life.run()
    life.now += timedelta(seconds=600)
    take_back(life)
    assert life.run().requeue_after == timedelta(seconds=3000)
    life.passes(3000)
    assert (life.status["phase"], life.of(JOB)) == ("Failed", [])


def test_a_job_that_somebody_suspended_says_who_has_to_resume_it() -> None:
    life = training_life()
    take_back(life)
    life.run()
    assert life.status["phase"] == "Queued"
    assert life.status["message"].endswith("is suspended: whoever suspended it has to resume it")


def test_a_job_that_was_deleted_in_the_queue_is_followed_by_another_one_that_waits_anew() -> None:
    life = queued_life()
    life.lose(JOB)
    life.run()
    assert (life.attempt["reason"], life.attempt["counted"]) == ("PodDeleted", False)
    life.on_time()
    assert (life.status["phase"], life.status["attempt"], life.job["spec"]["suspend"]) == ("Queued", 2, True)
    assert life.mlflow.attempts() == ["FAILED", "SCHEDULED"]


def test_each_attempt_waits_for_a_place_of_its_own() -> None:
    life = queued_life()
    admit(life)
    life.run()
    life.fails()
    life.run()
    life.on_time()
    assert (life.status["phase"], life.status["attempt"]) == ("Queued", 2)
    assert life.mlflow.attempts() == ["FAILED", "SCHEDULED"]


def test_a_suspend_in_the_queue_takes_the_job_out_of_it() -> None:
    life = queued_life()
    life.edit(suspend=True)
    life.run()
    assert (life.status["phase"], life.of(JOB), life.mlflow.statuses()) == ("Suspended", [], ["KILLED"])
