"""The life of a TrainingJob, told step by step: what was observed, what was decided, and where it ends."""

from dataclasses import replace
from datetime import timedelta

import pytest

from serinus.api.names import Label
from serinus.asks import EnsureRun, FindRuns, RunStatus, Trouble, TroubleKind
from serinus.objects import JOB, PVC, SERVICE, labels
from serinus.plan import Defaults, Plan
from tests.unit.fakes import DEFAULTS, Json
from tests.unit.training_life import AWAY, Life, ended_life, training_life


def test_first_a_run_is_looked_for_then_opened_then_a_job_is_made() -> None:
    life = Life(parameters={"depth": 8})
    assert [type(ask) for ask in life.step().ask] == [FindRuns]
    assert life.conditions() == {"Ready": ("Unknown", "Pending"), "Reconciling": ("True", "Pending")}
    assert [type(ask) for ask in life.step().ask] == [FindRuns, EnsureRun]
    assert life.of(JOB) == []
    plan = life.step()
    (job,) = life.of(JOB)
    assert plan.apply[0].once
    assert labels(job)[Label.ATTEMPT] == "1"
    assert (life.status["phase"], life.status["attempt"], life.status["run"]["id"]) == ("Pending", 1, "run-1")
    assert life.status["run"]["url"] == "http://mlflow:5000/#/experiments/1/runs/run-1"
    assert life.status["resolved"] == {
        "image": "trainer:1",
        "trackingUri": "http://mlflow:5000",
        "experiment": "team/churn",
    }


def test_the_run_has_the_parameters_and_the_tags_by_which_it_is_found_again() -> None:
    life = training_life(parameters={"depth": 8, "shuffle": True})
    (order,) = [ask for ask in life.asked if isinstance(ask, EnsureRun)]
    assert dict(order.params) == {"depth": "8", "shuffle": "true"}
    assert dict(order.tags)["serinus.uid"] == "uid-churn"


def test_a_job_that_completes_is_closed_in_mlflow_and_succeeds() -> None:
    life = ended_life()
    life.step()
    assert (life.status["phase"], life.mlflow.statuses()) == ("Running", ["FINISHED"]), "MLflow comes first"
    life.run()
    assert life.conditions() == {
        "Ready": ("True", "Succeeded"),
        "Complete": ("True", "Succeeded"),
        "Trained": ("True", "Completed"),
        "MLflowAvailable": ("True", "Reachable"),
    }
    assert (life.status["phase"], life.status["finishedAt"]) == ("Succeeded", "2026-01-01T12:00:00Z")
    assert life.events == ["Normal Training", "Normal Succeeded"]
    assert "failures" not in life.status


def test_a_run_that_was_deleted_in_mlflow_keeps_nothing_from_ending() -> None:
    life = ended_life()
    life.mlflow.runs.clear()
    life.run()
    assert life.status["phase"] == "Succeeded"
    assert life.status["message"].endswith("its run is gone from MLflow")


def test_while_mlflow_is_away_nothing_starts_and_it_is_said_once() -> None:
    life = Life()
    life.mlflow.trouble = AWAY
    life.run()
    assert life.of(JOB) == []
    assert life.conditions() == {
        "Ready": ("Unknown", "Pending"),
        "Reconciling": ("True", "Pending"),
        "MLflowAvailable": ("False", "Unreachable"),
    }
    assert life.events == ["Warning Unreachable"]
    life.back()
    life.run()
    assert (len(life.of(JOB)), life.conditions()["MLflowAvailable"]) == (1, ("True", "Reachable"))


def test_an_outage_while_it_trains_is_none_of_its_business() -> None:
    life = training_life()
    before = life.place()
    life.mlflow.trouble = AWAY
    life.passes(3600)
    assert life.place() == before


def test_an_outage_at_the_end_is_waited_out_and_the_end_is_not_lost() -> None:
    life = training_life(backoffLimit=0)
    life.mlflow.trouble = AWAY
    life.fails()
    life.run()
    assert (life.status["phase"], life.conditions()["MLflowAvailable"]) == ("Pending", ("False", "Unreachable"))
    life.lose(JOB)
    life.run()
    life.back()
    life.run()
    assert (life.status["phase"], life.mlflow.statuses()) == ("Failed", ["FAILED"])


def test_an_outage_at_a_good_end_loses_nothing_though_the_job_is_removed_meanwhile() -> None:
    life = ended_life()
    life.mlflow.trouble = AWAY
    life.run()
    assert (life.status["phase"], life.attempt["reason"]) == ("Evaluating", "Completed")
    life.lose(JOB)
    life.run()
    life.back()
    life.run()
    assert (life.status["phase"], life.mlflow.statuses(), life.of(JOB)) == ("Succeeded", ["FINISHED"], [])


STALLS = {
    TroubleKind.UNAUTHORIZED: "Unauthorized",
    TroubleKind.CREDENTIALS_MISSING: "ConfigurationMissing",
    TroubleKind.REFUSED: "InvalidSpec",
}


@pytest.mark.parametrize(("kind", "reason"), STALLS.items(), ids=STALLS.values())
def test_where_mlflow_lets_nobody_in_somebody_must_do_something(kind: TroubleKind, reason: str) -> None:
    life = Life()
    life.mlflow.trouble = Trouble(kind, "what to do")
    life.run()
    assert life.conditions()["Stalled"] == ("True", reason)
    assert life.status["message"] == "what to do"
    life.back()
    life.run()
    assert "Stalled" not in life.conditions()


def test_a_request_that_mlflow_refuses_does_not_make_mlflow_unavailable() -> None:
    life = Life()
    life.mlflow.trouble = Trouble(TroubleKind.REFUSED, "experiment churn is deleted: restore it")
    life.run()
    assert life.conditions().get("MLflowAvailable") != ("False", "Unauthorized")


FETCHED = {"image": "mine", "inputs": [{"name": "train", "uri": "s3://data/a", "mountPath": "/data/a"}]}


@pytest.mark.parametrize(
    ("spec", "defaults", "word"),
    [
        ({}, replace(DEFAULTS, tracking_uri=""), "spec.tracking.uri"),
        ({}, replace(DEFAULTS, trainer_image=""), "spec.image"),
        (FETCHED, replace(DEFAULTS, trainer_image=""), "SERINUS_TRAINER_IMAGE"),
    ],
    ids=["no server", "no image", "nobody to fetch"],
)
def test_what_is_not_configured_is_said_and_nothing_is_asked(spec: Json, defaults: Defaults, word: str) -> None:
    life = Life(**spec)
    life.defaults = defaults
    plan = life.run()
    assert (life.conditions()["Stalled"], plan.ask) == (("True", "ConfigurationMissing"), ())
    assert word in life.status["message"]


def test_an_edit_while_it_trains_stops_it_first_then_closes_its_run_then_trains_anew() -> None:
    life = training_life()
    life.pods_linger = True
    (job,) = life.of(JOB)
    life.edit(parameters={"depth": 9})
    life.step()
    assert life.conditions()["Reconciling"] == ("True", "Stopping")
    assert life.effects[-1] == f"delete Job {job['metadata']['name']}"
    life.run()
    assert (life.of(JOB), life.mlflow.statuses()) == ([], ["RUNNING"]), "its pod still runs"
    life.pods_end()
    life.run()
    assert life.mlflow.statuses() == ["KILLED", "RUNNING"]
    assert life.mlflow.tags_of("run-1")["reason"] == "Superseded"
    (new,) = life.of(JOB)
    assert labels(new)[Label.REVISION] != labels(job)[Label.REVISION]
    assert (life.status["run"]["id"], life.status["attempt"]) == ("run-2", 1)
    assert [past["outcome"] for past in life.status["history"]] == ["Killed"]


def test_a_pod_of_an_earlier_spec_that_is_lost_with_its_node_is_not_waited_for_forever() -> None:
    life = training_life()
    life.pods_linger = True
    life.edit(parameters={"depth": 9})
    life.deleted_at()
    plan = life.run()
    assert (plan.requeue_after, life.of(JOB)) == (timedelta(seconds=60), [])
    life.passes(59)
    assert life.of(JOB) == []
    life.passes(1)
    assert (life.status["attempt"], len(life.of(JOB))) == (1, 1)


def test_an_edit_of_what_does_not_change_the_result_disturbs_nothing() -> None:
    life = training_life()
    effects = list(life.effects)
    life.edit(ttlSecondsAfterFinished=60)
    life.run()
    assert (life.effects, life.status["observedGeneration"], life.status["phase"]) == (effects, 2, "Running")


@pytest.mark.parametrize("by_the_trainer", ["FINISHED", "FAILED", "KILLED"])
def test_the_end_of_the_job_counts_and_not_what_the_trainer_told_mlflow(by_the_trainer: RunStatus) -> None:
    life = training_life(backoffLimit=0)
    life.mlflow.end("run-1", by_the_trainer)
    life.wipe()
    life.run()
    assert (life.status["phase"], len(life.of(JOB)), len(life.mlflow.runs)) == ("Running", 1, 1)
    if by_the_trainer == "FINISHED":
        life.fails()
    else:
        life.completes()
    life.run()
    assert life.status["phase"] == ("Failed" if by_the_trainer == "FINISHED" else "Succeeded")


@pytest.mark.parametrize("tag", ["", "x"], ids=["removed", "changed"])
def test_a_tag_that_somebody_changed_in_mlflow_is_no_mistake_of_ours(tag: str) -> None:
    life = training_life()
    run = life.mlflow.runs["run-1"]
    others = {key: value for key, value in run.tags.items() if key != "serinus.attempt"}
    life.mlflow.runs["run-1"] = replace(run, tags={**others, **({"serinus.attempt": tag} if tag else {})})
    life.wipe()
    life.run()
    assert life.status["phase"] == "Running"


def test_children_are_removed_when_their_time_is_over_and_not_before() -> None:
    life = ended_life(ttlSecondsAfterFinished=60, workers=2, checkpoints={"size": "1Gi"})
    life.run()
    assert life.status["phase"] == "Succeeded"
    assert life.step().requeue_after == timedelta(seconds=60)
    life.now += timedelta(seconds=59)
    assert life.step().requeue_after == timedelta(seconds=1)
    life.now += timedelta(seconds=1)
    assert [delete.ref.kind for delete in life.step().delete] == [JOB, SERVICE, PVC]
    assert life.run() == Plan(status=life.step().status)
    assert (life.status["phase"], life.children) == ("Succeeded", {})


def test_what_attempts_shared_goes_with_its_revision() -> None:
    life = training_life(workers=2, checkpoints={"size": "1Gi"})
    before = [one["metadata"]["name"] for kind in (SERVICE, PVC) for one in life.of(kind)]
    assert len(before) == 2
    life.edit(parameters={"depth": 9})
    life.run()
    after = [one["metadata"]["name"] for kind in (SERVICE, PVC) for one in life.of(kind)]
    assert len(after) == 2
    assert set(after).isdisjoint(before)
    life.edit(workers=1, checkpoints=None)
    life.run()
    assert (life.of(SERVICE), life.of(PVC)) == ([], [])
