"""Edits: another spec is another revision, and one that was finished earlier is not trained or judged again."""

from collections.abc import Callable

import pytest

from serinus.objects import JOB
from tests.unit.fakes import Json
from tests.unit.training_life import Life, ended, ended_life, training_life

REGISTERING = {"gate": [{"metric": "val_f1", "min": 0.8}], "register": {"model": "churn"}}


def finished(life: Life, good: float = 0.9) -> None:
    """What trains, trains to its end with this result."""
    life.mlflow.metrics = {"val_f1": good}
    life.start()
    life.run()
    life.completes()
    life.run()


def test_an_edit_back_to_what_has_succeeded_does_not_train_or_register_again() -> None:
    life = ended_life(**REGISTERING)
    life.run()
    life.edit(parameters={"depth": 9})
    life.run()
    finished(life)
    assert (life.status["run"]["id"], life.status["registered"]["version"]) == ("run-2", "2")
    jobs = [effect for effect in life.effects if effect.startswith("make")]
    life.edit(parameters={})
    life.run()
    assert [effect for effect in life.effects if effect.startswith("make")] == jobs
    assert (life.status["phase"], life.status["run"]["id"]) == ("Succeeded", "run-1")
    assert (life.status["registered"]["version"], len(life.mlflow.versions)) == ("1", 2)


def test_an_edit_back_to_what_has_succeeded_in_its_second_attempt_finds_that_one() -> None:
    life = training_life(**REGISTERING)
    life.fails()
    life.run()
    life.begins_again()
    life.completes()
    life.run()
    life.edit(parameters={"depth": 9})
    life.run()
    life.edit(parameters={})
    life.run()
    assert (life.status["phase"], life.status["run"]["id"], life.status["attempt"]) == ("Succeeded", "run-2", 2)
    assert [one["reason"] for one in life.status["attempts"]] == ["Error", "Completed"]


def test_what_was_finished_is_told_in_the_history() -> None:
    life = ended_life(**REGISTERING)
    life.run()
    revision = life.status["revision"]
    life.edit(parameters={"depth": 9})
    life.run()
    assert life.status["history"] == [
        {
            "revision": revision,
            "outcome": "Succeeded",
            "reason": "Succeeded",
            "runId": "run-1",
            "version": "1",
            "finishedAt": "2026-01-01T12:00:00Z",
            "message": "version 1 of churn is registered",
        }
    ]


def test_the_history_has_each_revision_once_the_last_ten_of_them() -> None:
    life = training_life()
    for depth in [*range(12), 11, 10]:
        life.edit(parameters={"depth": depth})
        life.run()
    revisions = [past["revision"] for past in life.status["history"]]
    assert len(revisions) == len(set(revisions)) == 10
    assert {past["outcome"] for past in life.status["history"]} == {"Killed"}


def test_an_edit_back_to_what_was_rejected_is_not_judged_again() -> None:
    life = ended_life(**REGISTERING)
    life.mlflow.metrics = {"val_f1": 0.7}
    life.run()
    before = life.status
    assert before["phase"] == "Rejected"
    life.edit(parameters={"depth": 9})
    life.run()
    finished(life)
    assert life.status["phase"] == "Succeeded"
    life.edit(parameters={})
    life.run()
    assert life.status["phase"] == "Rejected"
    assert [life.status[key] for key in ("message", "finishedAt")] == [before[key] for key in ("message", "finishedAt")]
    assert life.conditions()["Complete"] == ("True", "GateRejected")
    assert (len(life.mlflow.versions), len(life.mlflow.runs)) == (1, 2)


FAILURES: dict[str, tuple[Json, str]] = {
    "too often": ({"containerStatuses": [ended("main", 1)]}, "BackoffLimitExceeded"),
    "for good": (
        {"initContainerStatuses": [ended("serinus-fetch", 65, '{"failure":{"reason":"DigestMismatch"}}')]},
        "DigestMismatch",
    ),
}


@pytest.mark.parametrize(("pod", "reason"), FAILURES.values(), ids=FAILURES.keys())
def test_an_edit_back_to_what_has_failed_has_failed(pod: Json, reason: str) -> None:
    life = training_life(backoffLimit=0)
    life.put_pod("Failed", **pod)
    life.job_fails()
    life.run()
    assert life.status["phase"] == "Failed"
    life.edit(parameters={"depth": 9})
    life.run()
    finished(life)
    life.edit(parameters={})
    life.run()
    assert (life.status["phase"], life.status["run"]["id"]) == ("Failed", "run-1")
    assert {life.conditions()[kind] for kind in ("Stalled", "Failed")} == {("True", reason)}
    assert len(life.mlflow.runs) == 2


def succeeded_once() -> Life:
    life = ended_life(**REGISTERING)
    life.run()
    return life


def rejected_once() -> Life:
    life = ended_life(**REGISTERING)
    life.mlflow.metrics = {"val_f1": 0.7}
    life.run()
    return life


def failed_once() -> Life:
    life = training_life(**REGISTERING, backoffLimit=0)
    life.fails()
    life.run()
    return life


@pytest.mark.parametrize("stage", [succeeded_once, rejected_once, failed_once])
def test_an_edit_back_to_what_was_finished_stops_what_trains_meanwhile(stage: Callable[[], Life]) -> None:
    life = stage()
    before = life.status["phase"]
    life.edit(parameters={"depth": 9})
    life.run()
    life.start()
    life.run()
    assert (life.status["phase"], len(life.of(JOB))) == ("Running", 1)
    life.pods_linger = True
    life.edit(parameters={})
    life.run()
    assert (life.status["phase"], life.conditions()["Reconciling"]) == ("Pending", ("True", "Stopping"))
    life.pods_end()
    life.run()
    assert (life.status["phase"], life.status["run"]["id"], life.of(JOB)) == (before, "run-1", [])


def test_an_edit_back_to_what_was_stopped_goes_on_with_its_next_attempt() -> None:
    life = training_life()
    life.edit(parameters={"depth": 9})
    life.run()
    life.edit(parameters={})
    life.run()
    assert (life.status["attempt"], life.mlflow.statuses()[:2]) == (2, ["KILLED", "KILLED"])
    finished(life)
    assert life.status["phase"] == "Succeeded"


def test_an_edit_while_the_next_attempt_is_waited_for_trains_the_new_revision_at_once() -> None:
    life = training_life()
    life.fails()
    life.run()
    life.edit(parameters={"depth": 9})
    life.run()
    assert (life.status["attempt"], life.status.get("failures", 0), len(life.status["attempts"])) == (1, 0, 1)
    assert life.mlflow.statuses() == ["FAILED", "RUNNING"]
    finished(life)
    assert life.status["phase"] == "Succeeded"


def test_a_rejected_revision_stays_rejected_when_only_the_time_to_live_is_changed() -> None:
    life = ended_life(**REGISTERING)
    life.mlflow.metrics = {"val_f1": 0.7}
    life.run()
    life.edit(ttlSecondsAfterFinished=0)
    life.run()
    assert (life.status["phase"], life.status["observedGeneration"], life.of(JOB)) == ("Rejected", 2, [])
