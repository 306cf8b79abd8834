"""At every stage of a TrainingJob's life: a status that is lost, another operator, an upgrade end in the same place."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import timedelta

import pytest

from serinus.api.conditions import TRAINING_JOB
from serinus.objects import JOB
from serinus.plan import Defaults
from tests.unit.fakes import DEFAULTS, Json
from tests.unit.training_life import Life, ended, training_life

INPUT = {"name": "train", "uri": "s3://data/a", "mountPath": "/data/a"}
REGISTERING = {"gate": [{"metric": "val_f1", "min": 0.8}], "register": {"model": "churn", "alias": "challenger"}}


def starting() -> Life:
    life = Life()
    life.run()
    return life


def queued() -> Life:
    life = Life(queue="gpus")
    life.run()
    return life


def finished() -> Life:
    life = training_life()
    life.completes()
    life.run()
    return life


def registered() -> Life:
    life = training_life(**REGISTERING)
    life.completes()
    life.run()
    return life


def waiting() -> Life:
    life = training_life()
    life.fails()
    life.run()
    return life


def waiting_uncounted() -> Life:
    life = training_life()
    life.put_pod("Failed", reason="NodeShutdown")
    life.job_fails()
    life.run()
    return life


def again() -> Life:
    life = waiting()
    life.begins_again()
    return life


def again_and_waiting() -> Life:
    life = again()
    life.fails(137, reason="OOMKilled")
    life.run()
    return life


def again_and_finished() -> Life:
    life = again()
    life.completes()
    life.run()
    return life


def failed() -> Life:
    life = training_life(backoffLimit=0)
    life.fails()
    life.run()
    return life


def failed_twice() -> Life:
    life = training_life(backoffLimit=1)
    life.fails()
    life.run()
    life.begins_again()
    life.fails(137, reason="OOMKilled")
    life.run()
    return life


def failed_for_good() -> Life:
    life = training_life(inputs=[INPUT])
    said = '{"failure":{"reason":"ExpectationsBroken","message":"train: too few rows"}}'
    life.put_pod("Failed", initContainerStatuses=[ended("serinus-fetch", 65, said)])
    life.job_fails()
    life.run()
    return life


def late() -> Life:
    life = training_life(activeDeadlineSeconds=60)
    life.passes(60)
    return life


def suspended() -> Life:
    life = training_life()
    life.edit(suspend=True)
    life.run()
    return life


def resumed() -> Life:
    life = suspended()
    life.edit(suspend=False)
    life.run()
    life.start()
    life.run()
    return life


def resumed_and_finished() -> Life:
    life = resumed()
    life.completes()
    life.run()
    return life


def suspended_while_waiting() -> Life:
    life = waiting()
    life.edit(suspend=True)
    life.run()
    return life


type Stage = Callable[[], Life]
STAGES: dict[str, Stage] = {
    "starting": starting,
    "queued": queued,
    "training": training_life,
    "finished": finished,
    "registered": registered,
    "waiting for another attempt": waiting,
    "waiting after what does not count": waiting_uncounted,
    "in the second attempt": again,
    "waiting for a third attempt": again_and_waiting,
    "finished in the second attempt": again_and_finished,
    "failed": failed,
    "failed twice": failed_twice,
    "failed for good": failed_for_good,
    "too late": late,
    "suspended": suspended,
    "resumed": resumed,
    "resumed and finished": resumed_and_finished,
    "suspended while waiting": suspended_while_waiting,
}
OVER: dict[str, Stage] = {
    "finished": finished,
    "registered": registered,
    "finished in the second attempt": again_and_finished,
    "resumed and finished": resumed_and_finished,
    "failed": failed,
    "failed twice": failed_twice,
    "failed for good": failed_for_good,
    "too late": late,
}
each_stage = pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES.keys())
each_end = pytest.mark.parametrize("stage", OVER.values(), ids=OVER.keys())


def where(life: Life) -> Json:
    """Where it is, and what will count. How earlier attempts went is not said again while another one is on its way."""
    phase, *others, says = life.place()
    is_over = "finishedAt" in life.status
    failures = life.status.get("failures", 0) if phase != "Suspended" else "counted when it goes on"
    return phase, others, failures, {kind: said for kind, said in says.items() if is_over or kind != "Trained"}


@each_stage
def test_a_status_that_is_wiped_ends_in_the_same_place_with_no_second_run(stage: Stage) -> None:
    life = stage()
    before, runs, effects = where(life), dict(life.mlflow.runs), list(life.effects)
    life.wipe()
    life.run()
    assert (where(life), life.effects) == (before, effects)
    assert life.mlflow.runs == runs


@each_end
def test_a_status_that_is_wiped_after_the_children_went_ends_in_the_same_place(stage: Stage) -> None:
    life = stage()
    before, runs = life.place(), dict(life.mlflow.runs)
    life.children = {}
    life.wipe()
    life.run()
    assert life.place() == before
    assert (life.mlflow.runs, life.of(JOB)) == (runs, [])


@each_stage
def test_another_operator_that_takes_over_writes_nothing_to_what_is_settled(stage: Stage) -> None:
    life = stage()
    before, events = life.raw, list(life.events)
    life.restart()
    for _ in range(5):
        life.step()
        assert life.raw["status"] == before["status"]
    assert life.events == events


@each_stage
def test_an_upgrade_of_the_operator_writes_nothing_to_what_is_settled(stage: Stage) -> None:
    life = stage()
    before, effects = life.raw, list(life.effects)
    life.defaults = replace(DEFAULTS, tracking_uri="http://new:5000", trainer_image="trainer:2")
    if life.status["phase"] != "Suspended":
        life.run()
        assert (life.raw["status"], life.effects) == (before["status"], effects)
    life.defaults = Defaults()
    if life.status["phase"] in {"Succeeded", "Failed"}:
        life.run()
        assert life.raw["status"] == before["status"]


@each_stage
def test_only_reasons_of_the_closed_lists_are_given(stage: Stage) -> None:
    life = stage()
    known: Mapping[str, AbstractSet[str]] = {kind.value: reasons for kind, reasons in TRAINING_JOB.items()}
    wrong = {kind: said for kind, said in life.conditions().items() if said[1] not in known[kind]}
    assert wrong == {}


# --- at every step of a story with two failures and a version at its end


def whole_story(*, disturb: Callable[[Life], None], at: int) -> Life:
    """Two attempts fail, the third is registered; at one of the passes something happens."""
    life = Life(**REGISTERING)
    passes = 0

    def settled() -> None:
        nonlocal passes
        for _ in range(8):
            if passes == at:
                disturb(life)
            passes += 1
            life.step()
        life.run()

    settled()
    for number in (1, 2):
        life.start()
        settled()
        life.fails()
        settled()
        while life.status["attempt"] == number:
            life.now += life.run().requeue_after or timedelta()
            settled()
    life.start()
    settled()
    life.completes()
    settled()
    return life


@pytest.mark.parametrize("at", range(64))
@pytest.mark.parametrize("disturb", [Life.wipe, Life.restart], ids=["a lost status", "another operator"])
def test_whatever_happens_at_any_moment_each_attempt_has_one_run_and_the_last_one_version(
    disturb: Callable[[Life], None], at: int
) -> None:
    life = whole_story(disturb=disturb, at=at)
    assert (life.status["phase"], life.status["registered"]["version"]) == ("Succeeded", "1")
    assert life.mlflow.attempts() == ["FAILED", "FAILED", "FINISHED"]
    assert (len(life.mlflow.runs), len(life.mlflow.versions)) == (4, 1)
    assert [effect for effect in life.effects if not effect.startswith("make Job")] == []
    assert len(life.effects) == 3
    assert {key: life.status[key] for key in ("attempt", "failures")} == {"attempt": 3, "failures": 2}
