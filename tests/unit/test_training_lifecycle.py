"""The life of a TrainingJob, told step by step: what was observed, what was decided, and where it ends."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from serinus import training
from serinus.api import conditions
from serinus.api.names import Label
from serinus.asks import (
    Absent,
    Answer,
    Ask,
    EndRun,
    EnsureRun,
    FindRuns,
    Known,
    ReadRun,
    Run,
    RunStatus,
    Server,
    Trouble,
    TroubleKind,
)
from serinus.objects import JOB, POD, labels
from serinus.plan import Defaults, Plan
from tests.unit.fakes import DEFAULTS, NOON, Json, Story, as_json, pod, resource

GOLDEN = Path(__file__).parent / "golden"
COMPLETE = [{"type": "Complete", "status": "True"}]
FAILED = [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "3 pods failed"}]


class Mlflow:
    """Runs, as a server keeps them."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.keys: dict[str, str] = {}
        self.trouble: Trouble | None = None

    def __call__(self, ask: Ask[Any]) -> Answer[Any] | None:
        """The answer to an ask."""
        return self.trouble or Known(self._value(ask), NOON)

    def _value(self, ask: Ask[Any]) -> object:
        match ask:
            case FindRuns():
                found = [run for run in self.runs.values() if run.tags.get(ask.tag) == ask.value]
                return tuple(reversed(found))
            case EnsureRun():
                if ask.key not in self.keys:
                    self.keys[ask.key] = f"run-{len(self.runs) + 1}"
                    self.runs[self.keys[ask.key]] = Run(self.keys[ask.key], "1", "RUNNING", tags=dict(ask.tags))
                return self.runs[self.keys[ask.key]]
            case EndRun() if ask.run_id in self.runs:
                self.end(ask.run_id, ask.end, dict(ask.tags))
                return self.runs[ask.run_id]
            case _:
                return Absent("run")

    def end(self, run_id: str, status: RunStatus, tags: dict[str, str] | None = None) -> None:
        """The run ends, by whomever."""
        run = self.runs[run_id]
        self.runs[run_id] = replace(run, status=status, tags={**run.tags, **(tags or {})})

    def statuses(self) -> list[str]:
        """How the runs are, the oldest first."""
        return [run.status for run in self.runs.values()]


class Life(Story[Any]):
    """A TrainingJob, its Job as Kubernetes runs it, and MLflow."""

    def __init__(self, **spec: Json) -> None:
        self.mlflow = Mlflow()
        super().__init__(training.KIND, resource(training.KIND, spec), self.mlflow)

    def job_says(self, said: Json) -> None:
        """The Job ends."""
        (job,) = self.of(JOB)
        self.set_status(job, conditions=said)

    def pods_end(self) -> None:
        """What runs for Jobs that are gone ends."""
        self.children = {ref: one for ref, one in self.children.items() if ref.kind != POD}

    def back(self) -> None:
        """MLflow answers again."""
        self.mlflow.trouble = None
        self.forget_troubles()

    @property
    def status(self) -> dict[str, Json]:
        """The status, as it is stored."""
        status: dict[str, Json] = self.raw["status"]
        return status

    def place(self) -> Json:
        """Where it is, for people and programs; without times and words."""
        run = self.status.get("run", {}).get("id")
        return self.status["phase"], self.status.get("attempt"), run, self.status["revision"], self.conditions()


def training_life(**spec: Json) -> Life:
    life = Life(**spec)
    life.run()
    assert life.status["phase"] == "Running"
    return life


def test_first_a_run_is_looked_for_then_opened_then_a_job_trains() -> None:
    life = Life(parameters={"depth": 8})
    assert [type(ask) for ask in life.step().ask] == [FindRuns]
    assert life.conditions() == {"Ready": ("Unknown", "Pending"), "Reconciling": ("True", "Pending")}
    assert [type(ask) for ask in life.step().ask] == [FindRuns, EnsureRun]
    assert life.of(JOB) == []
    plan = life.step()
    (job,) = life.of(JOB)
    assert plan.apply[0].once
    assert labels(job)[Label.ATTEMPT] == "1"
    assert (life.status["phase"], life.status["attempt"], life.status["run"]["id"]) == ("Running", 1, "run-1")
    assert life.status["startedAt"] == "2026-01-01T12:00:00Z"
    assert life.status["resolved"] == {
        "image": "trainer:1",
        "trackingUri": "http://mlflow:5000",
        "experiment": "team/churn",
    }
    assert life.run().ask == (), "while it trains nothing is asked"


def test_the_run_has_the_parameters_and_the_tags_by_which_it_is_found_again() -> None:
    life = training_life(parameters={"depth": 8, "shuffle": True})
    (order,) = [ask for ask in life.asked if isinstance(ask, EnsureRun)]
    assert dict(order.params) == {"depth": "8", "shuffle": "true"}
    assert dict(order.tags)["serinus.uid"] == "uid-churn"


def test_a_job_that_completes_is_closed_in_mlflow_and_succeeds() -> None:
    life = training_life()
    life.job_says(COMPLETE)
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


@pytest.mark.parametrize("reason", ["BackoffLimitExceeded", "DeadlineExceeded"])
def test_a_job_that_fails_is_closed_in_mlflow_and_fails(reason: str) -> None:
    life = training_life()
    life.job_says([{**FAILED[0], "reason": reason}])
    life.run()
    assert life.mlflow.statuses() == ["FAILED"]
    assert (life.status["phase"], life.status["message"]) == ("Failed", "3 pods failed")
    stops = {kind: life.conditions()[kind] for kind in ("Ready", "Stalled", "Failed")}
    assert stops == {"Ready": ("False", reason), "Stalled": ("True", reason), "Failed": ("True", reason)}
    assert life.events == ["Normal Training", f"Warning {reason}"]
    assert life.mlflow.runs["run-1"].tags["serinus.reason"] == reason


def test_a_run_that_was_deleted_in_mlflow_keeps_nothing_from_ending() -> None:
    life = training_life()
    life.mlflow.runs.clear()
    life.job_says(COMPLETE)
    life.run()
    assert life.status["phase"] == "Succeeded"
    assert life.status["message"].endswith("its run is gone from MLflow")


def test_while_mlflow_is_away_nothing_starts_and_it_is_said_once() -> None:
    life = Life()
    life.mlflow.trouble = Trouble(TroubleKind.UNREACHABLE, "no answer from http://mlflow:5000")
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
    assert (life.status["phase"], life.conditions()["MLflowAvailable"]) == ("Running", ("True", "Reachable"))


def test_an_outage_while_it_trains_is_none_of_its_business() -> None:
    life = training_life()
    before = life.place()
    life.mlflow.trouble = Trouble(TroubleKind.UNREACHABLE, "no answer")
    life.run()
    assert life.place() == before


def test_an_outage_at_the_end_is_waited_out_and_the_end_is_not_lost() -> None:
    life = training_life()
    life.mlflow.trouble = Trouble(TroubleKind.UNREACHABLE, "no answer")
    life.job_says(FAILED)
    life.run()
    assert (life.status["phase"], life.conditions()["MLflowAvailable"]) == ("Evaluating", ("False", "Unreachable"))
    life.back()
    life.run()
    assert (life.status["phase"], life.mlflow.statuses()) == ("Failed", ["FAILED"])


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


@pytest.mark.parametrize(
    ("defaults", "word"),
    [(replace(DEFAULTS, tracking_uri=""), "spec.tracking.uri"), (replace(DEFAULTS, trainer_image=""), "spec.image")],
    ids=["no server", "no image"],
)
def test_what_is_not_configured_is_said_and_nothing_is_asked(defaults: Defaults, word: str) -> None:
    life = Life()
    life.defaults = defaults
    plan = life.run()
    assert (life.conditions()["Stalled"], plan.ask) == (("True", "ConfigurationMissing"), ())
    assert word in life.status["message"]


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "CreateContainerConfigError"])
def test_a_pod_that_cannot_start_is_said_and_waited_for(reason: str) -> None:
    life = training_life()
    (job,) = life.of(JOB)
    waiting = [{"state": {"waiting": {"reason": reason, "message": "no such thing"}}}]
    life.put(POD, pod("churn-x", labels(job), "Pending", containerStatuses=waiting))
    life.run()
    assert life.conditions()["Stalled"][0] == "True"
    assert life.status["message"] == "pod churn-x does not start: no such thing"
    life.put(POD, pod("churn-x", labels(job)))
    life.run()
    assert life.conditions()["Reconciling"] == ("True", "Training")


def test_an_edit_while_it_trains_stops_it_first_then_closes_its_run_then_trains_anew() -> None:
    life = training_life()
    (job,) = life.of(JOB)
    life.put(POD, pod("churn-x", labels(job)))
    life.edit(parameters={"depth": 9})
    life.step()
    assert life.conditions()["Reconciling"] == ("True", "Stopping")
    assert life.effects[-1] == f"delete Job {job['metadata']['name']}"
    life.run()
    assert (life.of(JOB), life.mlflow.statuses()) == ([], ["RUNNING"]), "its pod still runs"
    life.pods_end()
    life.run()
    assert life.mlflow.statuses() == ["KILLED", "RUNNING"]
    (new,) = life.of(JOB)
    assert labels(new)[Label.REVISION] != labels(job)[Label.REVISION]
    assert (life.status["phase"], life.status["run"]["id"], life.status["attempt"]) == ("Running", "run-2", 1)


def test_an_edit_of_what_does_not_change_the_result_disturbs_nothing() -> None:
    life = training_life()
    effects = list(life.effects)
    life.edit(ttlSecondsAfterFinished=60)
    life.run()
    assert (life.effects, life.status["observedGeneration"], life.status["phase"]) == (effects, 2, "Running")


def test_an_edit_back_to_what_was_finished_does_not_train_again() -> None:
    life = training_life()
    life.job_says(COMPLETE)
    life.run()
    life.edit(parameters={"depth": 9})
    life.run()
    life.job_says(COMPLETE)
    life.run()
    made = life.effects.copy()
    life.edit(parameters={})
    life.run()
    assert [one for one in life.effects[len(made) :] if one.startswith("make")] == []
    assert (life.status["phase"], life.status["run"]["id"]) == ("Succeeded", "run-1")


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
    life.edit(suspend=False)
    life.run()
    assert life.mlflow.statuses() == ["KILLED", "RUNNING"]
    assert (life.status["phase"], life.status["attempt"], life.status["run"]["id"]) == ("Running", 2, "run-2")
    assert "Suspended" not in life.conditions()
    life.job_says(COMPLETE)
    life.run()
    assert (life.status["phase"], life.status["attempt"]) == ("Succeeded", 2)


def test_a_training_that_is_complete_is_not_lost_by_a_suspend() -> None:
    life = training_life()
    life.job_says(COMPLETE)
    life.edit(suspend=True)
    life.run()
    life.edit(suspend=False)
    life.run()
    assert (life.status["phase"], len(life.mlflow.runs)) == ("Succeeded", 1)


def test_after_an_outage_a_suspended_job_says_that_mlflow_is_back() -> None:
    life = training_life()
    life.mlflow.trouble = Trouble(TroubleKind.UNREACHABLE, "no answer")
    life.edit(suspend=True)
    life.run()
    life.back()
    life.run()
    assert life.status["phase"] == "Suspended"
    assert life.conditions().get("MLflowAvailable") != ("False", "Unreachable")


def finished() -> Life:
    life = training_life()
    life.job_says(COMPLETE)
    life.run()
    return life


def failed() -> Life:
    life = training_life()
    life.job_says(FAILED)
    life.run()
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
    return life


def resumed_and_finished() -> Life:
    life = resumed()
    life.job_says(COMPLETE)
    life.run()
    return life


STAGES = {
    "training": training_life,
    "finished": finished,
    "failed": failed,
    "suspended": suspended,
    "resumed": resumed,
    "resumed and finished": resumed_and_finished,
}
each_stage = pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES.keys())


@each_stage
def test_a_status_that_is_wiped_ends_in_the_same_place_with_no_second_run(stage: Any) -> None:  # noqa: ANN401 (a stage)
    life = stage()
    before, runs, effects = life.place(), dict(life.mlflow.runs), list(life.effects)
    life.wipe()
    life.run()
    assert (life.place(), life.effects) == (before, effects)
    assert life.mlflow.runs == runs


@pytest.mark.parametrize("stage", [finished, failed, resumed_and_finished], ids=["ok", "failed", "second attempt"])
def test_a_status_that_is_wiped_after_the_children_went_ends_in_the_same_place(stage: Any) -> None:  # noqa: ANN401
    life = stage()
    before, runs = life.place(), dict(life.mlflow.runs)
    life.children = {}
    life.wipe()
    life.run()
    assert life.place() == before
    assert (life.mlflow.runs, life.of(JOB)) == (runs, [])


@each_stage
def test_another_operator_that_takes_over_writes_nothing_to_what_is_settled(stage: Any) -> None:  # noqa: ANN401
    life = stage()
    before, events = life.raw, list(life.events)
    life.restart()
    for _ in range(5):
        life.step()
        assert life.raw["status"] == before["status"]
    assert life.events == events


@each_stage
def test_an_upgrade_of_the_operator_writes_nothing_to_what_is_settled(stage: Any) -> None:  # noqa: ANN401
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


@pytest.mark.parametrize("by_the_trainer", ["FINISHED", "FAILED", "KILLED"])
def test_the_end_of_the_job_counts_and_not_what_the_trainer_told_mlflow(by_the_trainer: RunStatus) -> None:
    life = training_life()
    life.mlflow.end("run-1", by_the_trainer)
    life.wipe()
    life.run()
    assert (life.status["phase"], len(life.of(JOB)), len(life.mlflow.runs)) == ("Running", 1, 1)
    life.job_says(FAILED if by_the_trainer == "FINISHED" else COMPLETE)
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
    life = training_life(ttlSecondsAfterFinished=60)
    life.job_says(COMPLETE)
    life.run()
    assert life.status["phase"] == "Succeeded"
    assert life.step().requeue_after == timedelta(seconds=60)
    life.now += timedelta(seconds=59)
    assert life.step().requeue_after == timedelta(seconds=1)
    life.now += timedelta(seconds=1)
    assert [delete.ref.name for delete in life.step().delete] == [life.effects[0].removeprefix("make Job ")]
    assert life.run() == Plan(status=life.step().status)
    assert life.status["phase"] == "Succeeded"


@each_stage
def test_only_reasons_of_the_closed_lists_are_given(stage: Any) -> None:  # noqa: ANN401
    life = stage()
    wrong = {kind: said for kind, said in life.conditions().items() if said[1] not in conditions.TRAINING_JOB[kind]}
    assert wrong == {}


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("trainingjob-*.yaml")))
def test_the_plan_is_as_it_is_written_down(name: str) -> None:
    text = (GOLDEN / f"{name}.yaml").read_text()
    found = golden_life(yaml.safe_load(text)).step().status.wire()["revision"]
    golden = yaml.safe_load(text.replace("REVISION", found))
    assert as_json(golden_life(golden).step()) == golden["plan"]


def golden_life(golden: Json) -> Life:
    """The resource with its children; MLflow knows of its run, which is open."""
    life = Life()
    life.raw = golden["resource"]
    if run := life.raw["status"].get("run"):
        server = Server("http://mlflow.ml:5000", "team", "mlflow")
        ask = ReadRun(server=server, run_id=run["id"], since="its Job is gone")
        life.answers[ask] = Known(Run(run["id"], run["experimentId"], "RUNNING"), NOON)
    for child in golden["children"]:
        life.put({"Job": JOB, "Pod": POD}[child["kind"]], child)
    return life


@pytest.mark.parametrize("field", ["source", "inputs", "checkpoints", "queue", "workers"])
def test_what_is_not_built_yet_is_refused_by_name(field: str) -> None:
    values = {
        "source": {"configMap": {"name": "code"}},
        "inputs": [{"name": "train", "uri": "s3://data/train.parquet", "mountPath": "/data/train.parquet"}],
        "checkpoints": {"size": "1Gi"},
        "queue": "gpus",
        "workers": 2,
    }
    life = Life(**{field: values[field]})
    life.run()
    assert life.conditions()["Stalled"] == ("True", "InvalidSpec")
    assert life.status["message"].startswith(f"spec.{field}: not built yet")
    assert life.of(JOB) == []
