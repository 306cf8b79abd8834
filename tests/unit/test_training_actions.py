"""`retry`: what has failed or was rejected is tried again when somebody asks for it, once for each id."""

import pytest

from serinus.objects import JOB
from tests.unit.training_life import Life, ended_life, training_life

REGISTERING = {"gate": [{"metric": "val_f1", "min": 0.8}], "register": {"model": "churn"}}


def failed(**spec: int) -> Life:
    life = training_life(backoffLimit=0, **spec)
    life.fails()
    life.run()
    assert life.status["phase"] == "Failed"
    return life


def rejected() -> Life:
    life = ended_life(**REGISTERING)
    life.mlflow.metrics = {"val_f1": 0.7}
    life.run()
    assert life.status["phase"] == "Rejected"
    return life


def test_what_has_failed_is_tried_again_with_all_its_chances() -> None:
    life = failed()
    life.now = life.now.replace(hour=13)
    life.acts("retry@1")
    life.run()
    assert life.status["lastAction"] == {
        "id": "1",
        "verb": "retry",
        "result": "Done",
        "message": "another attempt was asked for by retry@1",
        "at": "2026-01-01T13:00:00Z",
    }
    assert {"finishedAt", "startedAt", "lastLogLines", "failures"}.isdisjoint(life.status)
    assert {"Failed", "Trained", "Stalled"}.isdisjoint(life.conditions())
    life.start()
    life.run()
    assert (life.status["phase"], life.status["attempt"], life.mlflow.attempts()) == (
        "Running",
        2,
        ["FAILED", "RUNNING"],
    )
    assert life.mlflow.runs["run-1"].tags["mlflow.parentRunId"] == life.status["run"]["id"]
    life.completes()
    life.run()
    assert life.status["phase"] == "Succeeded"


def test_what_was_rejected_is_trained_and_judged_again() -> None:
    life = rejected()
    life.acts("retry@again")
    life.run()
    assert "gate" not in life.status
    life.start()
    life.run()
    life.mlflow.metrics = {"val_f1": 0.9}
    life.completes()
    life.run()
    assert (life.status["phase"], life.status["registered"]["version"]) == ("Succeeded", "1")
    assert life.mlflow.orders[0].run_id == life.attempt["runId"] != "run-1"
    assert [one["reason"] for one in life.status["attempts"]] == ["Completed", "Completed"]


def test_an_id_is_answered_once_and_another_one_again() -> None:
    life = failed()
    life.acts("retry@1")
    life.run()
    life.start()
    life.run()
    life.fails()
    life.run()
    assert (life.status["phase"], life.status["attempt"]) == ("Failed", 2)
    life.restart()
    life.passes(3600)
    assert (life.status["phase"], life.status["attempt"]) == ("Failed", 2)
    life.acts("retry@2")
    life.run()
    assert life.status["attempt"] == 3


@pytest.mark.parametrize("phase", ["Pending", "Running", "Succeeded", "Suspended"])
def test_nothing_else_is_tried_again_and_goes_on_as_it_was(phase: str) -> None:
    life = {"Pending": Life, "Running": training_life, "Succeeded": ended_life, "Suspended": Life}[phase](
        suspend=phase == "Suspended"
    )
    life.run()
    before, effects = life.place(), list(life.effects)
    life.acts("retry@1")
    life.run()
    action = life.status["lastAction"]
    assert (action["result"], phase.lower() in action["message"]) == ("Refused", True)
    assert (life.place(), life.effects) == (before, effects)


@pytest.mark.parametrize("verb", ["promote", "pause", "rollback"])
def test_what_only_deployments_know_is_refused(verb: str) -> None:
    life = failed()
    life.acts(f"{verb}@1")
    life.run()
    message = f"a TrainingJob has no {verb}: it knows retry"
    assert (life.status["lastAction"]["message"], life.status["phase"]) == (message, "Failed")


@pytest.mark.parametrize("text", ["retry", "explode@1", "retry@a b"])
def test_what_is_no_action_is_told_once(text: str) -> None:
    life = failed()
    life.acts(text)
    life.run()
    action = life.status["lastAction"]
    assert action["result"] == "Refused"
    assert "is no action: write <verb>@<id>" in action["message"]
    life.now = life.now.replace(hour=15)
    life.run()
    assert life.status["lastAction"] == action
    life.acts("retry@1")
    life.run()
    assert (life.status["lastAction"]["result"], life.status["attempt"]) == ("Done", 2)


def test_an_action_that_is_taken_back_stays_answered() -> None:
    life = failed()
    life.acts("retry@1")
    life.run()
    life.raw["metadata"] = {key: value for key, value in life.raw["metadata"].items() if key != "annotations"}
    life.run()
    assert (life.status["lastAction"]["id"], life.status["attempt"]) == ("1", 2)


def test_a_retry_after_the_children_are_gone_makes_a_new_job() -> None:
    life = failed(ttlSecondsAfterFinished=60)
    life.passes(60)
    assert life.of(JOB) == []
    life.acts("retry@1")
    life.run()
    assert (len(life.of(JOB)), life.status["attempt"]) == (1, 2)


def test_a_retry_can_be_suspended_though_an_earlier_job_is_complete() -> None:
    life = rejected()
    life.acts("retry@1")
    life.run()
    life.start()
    life.run()
    assert life.status["phase"] == "Running"
    life.edit(suspend=True)
    life.run()
    assert (life.status["phase"], life.mlflow.attempts()) == ("Suspended", ["FINISHED", "KILLED"])
    life.edit(suspend=False)
    life.run()
    assert life.status["attempt"] == 3


def test_a_retry_that_is_suspended_stays_so_when_the_status_is_lost() -> None:
    life = rejected()
    life.acts("retry@1")
    life.run()
    life.start()
    life.run()
    life.edit(suspend=True)
    life.run()
    effects = list(life.effects)
    life.wipe()
    life.run()
    assert (life.status["phase"], life.effects) == ("Suspended", effects)
    life.edit(suspend=False)
    life.run()
    assert life.status["attempt"] == 3


def test_a_retry_of_what_was_left_and_gone_back_to_has_a_run_of_its_own() -> None:
    life = failed()
    life.edit(parameters={"depth": 9})
    life.run()
    life.start()
    life.run()
    life.completes()
    life.run()
    life.edit(parameters={})
    life.run()
    assert life.status["phase"] == "Failed"
    life.acts("retry@1")
    life.run()
    assert (life.status["attempt"], life.mlflow.runs["run-1"].status) == (2, "FAILED")
    assert life.attempt["runId"] not in {"run-1", "run-2"}
    life.start()
    life.run()
    life.completes()
    life.run()
    assert life.status["phase"] == "Succeeded"
