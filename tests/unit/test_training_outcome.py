"""What becomes of training that has ended: closed, judged, registered; each once, whatever happens in between."""

from dataclasses import replace
from typing import Any

import pytest

from serinus import training
from serinus.asks import (
    Absent,
    Ask,
    EnsureVersion,
    FindModel,
    FindVersions,
    LoggedModel,
    ModelVersion,
    ReadRun,
    ResolveVersion,
    Run,
    SetAlias,
    Trouble,
    TroubleKind,
)
from tests.unit.fakes import Json, resource
from tests.unit.test_training_lifecycle import COMPLETE, Life, Mlflow

REGISTER = {"model": "churn", "alias": "challenger", "tags": {"team": "growth"}, "description": "weekly"}
GATE = [{"metric": "val_f1", "min": 0.8}]
VERSUS = [{"metric": "val_f1", "versus": {"alias": "champion"}, "minDelta": 0}]
AWAY = Trouble(TroubleKind.UNREACHABLE, "no answer from http://mlflow:5000")


class Registry(Mlflow):
    """Runs, what they logged, and the versions that are made of it."""

    def __init__(self) -> None:
        super().__init__()
        self.metrics = {"val_f1": 0.9}
        self.model: LoggedModel | Absent = LoggedModel("models:/m-1", "m-1")
        self.versions: dict[str, ModelVersion] = {}
        self.aliases: dict[str, str] = {}
        self.orders: list[EnsureVersion] = []

    def _value(self, ask: Ask[Any]) -> object:  # noqa: PLR0911 (one line for each ask)
        match ask:
            case ReadRun(run_id=run_id) if run_id in self.runs:
                return replace(self.runs[run_id], metrics=self.metrics)
            case ReadRun(run_id="champion's"):
                return Run("champion's", "1", "FINISHED", metrics={"val_f1": 0.85})
            case FindModel():
                return self.model
            case FindVersions(value=key):
                return tuple(version for other, version in self.versions.items() if other == key)
            case EnsureVersion(key=key):
                self.orders.append(ask)
                self.versions.setdefault(key, ModelVersion(ask.model, str(len(self.versions) + 1), ready=True))
                return self.versions[key]
            case SetAlias(alias=alias, version=version):
                self.aliases[alias] = version
                return ModelVersion(ask.model, version, ready=True)
            case ResolveVersion(alias=alias):
                found = self.aliases.get(alias)
                return ModelVersion(ask.model, found, ready=True, run_id="champion's") if found else Absent("alias")
            case _:
                return super()._value(ask)


class Ended(Life):
    """A TrainingJob whose Job is complete."""

    def __init__(self, **spec: Json) -> None:
        super().__init__(**spec)
        self.mlflow: Registry = Registry()
        super(Life, self).__init__(training.KIND, resource(training.KIND, spec), self.mlflow)
        self.run()
        self.job_says(COMPLETE)

    def passes(self) -> list[str]:
        """The phases on the way to the end."""
        phases: list[str] = []
        while not self.status.get("finishedAt") and len(phases) < 20:
            self.step()
            phases.append(self.status["phase"])
        return phases


def test_what_passes_the_gate_is_registered_once_with_tags_and_alias() -> None:
    life = Ended(gate=GATE, register=REGISTER)
    assert life.passes()[-1] == "Succeeded"
    assert life.status["gate"]["verdict"] == "Passed"
    registered = life.status["registered"]
    assert (registered["model"], registered["version"], registered["alias"]) == ("churn", "1", "challenger")
    assert life.mlflow.aliases == {"challenger": "1"}
    assert life.conditions() == {
        "Ready": ("True", "Succeeded"),
        "Complete": ("True", "Succeeded"),
        "Trained": ("True", "Completed"),
        "GatePassed": ("True", "AllChecksPassed"),
        "Registered": ("True", "VersionRegistered"),
        "MLflowAvailable": ("True", "Reachable"),
    }
    order = life.mlflow.orders[0]
    assert (order.source, order.model_id, order.description) == ("models:/m-1", "m-1", "weekly")
    tags = dict(order.tags)
    assert (tags["team"], tags["serinus.uid"], tags["serinus.resource"]) == ("growth", "uid-churn", "team/churn")


def test_what_the_gate_rejects_is_not_registered_and_is_no_failure() -> None:
    life = Ended(gate=GATE, register=REGISTER)
    life.mlflow.metrics = {"val_f1": 0.7}
    assert life.passes()[-1] == "Rejected"
    assert life.mlflow.versions == {}
    assert life.mlflow.statuses() == ["FINISHED"]
    assert life.conditions()["Complete"] == ("True", "GateRejected")
    assert life.conditions()["Stalled"] == ("True", "GateRejected")
    assert life.conditions()["GatePassed"] == ("False", "ChecksFailed")
    assert "0.7 is less than 0.8" in life.status["message"]


def test_without_a_gate_everything_is_registered_and_without_registration_nothing() -> None:
    registering = Ended(register=REGISTER)
    assert registering.passes()[-1] == "Succeeded"
    assert registering.conditions()["GatePassed"] == ("True", "NoChecks")
    judging = Ended(gate=GATE)
    assert judging.passes()[-1] == "Succeeded"
    assert (judging.mlflow.versions, "registered" in judging.status) == ({}, False)


def test_the_champion_is_what_the_alias_points_at() -> None:
    life = Ended(gate=VERSUS, register=REGISTER)
    life.mlflow.aliases["champion"] = "7"
    life.mlflow.metrics = {"val_f1": 0.84}
    assert life.passes()[-1] == "Rejected"
    assert "against 0.85 of version 7 (champion)" in life.status["message"]


def test_metrics_of_the_model_count_and_those_of_the_run_come_first() -> None:
    life = Ended(gate=[{"metric": "val_f1", "min": 0.8}, {"metric": "auc", "min": 0.5}], register=REGISTER)
    life.mlflow.model = LoggedModel("models:/m-1", "m-1", {"auc": 0.6, "val_f1": 0.1})
    assert life.passes()[-1] == "Succeeded"


def test_a_run_that_logged_no_such_model_has_failed_and_what_it_logged_is_said() -> None:
    life = Ended(register=REGISTER)
    life.mlflow.model = Absent("model 'model' in run 'run-1'; it logged: 'classifier'")
    assert life.passes()[-1] == "Failed"
    assert life.conditions()["Failed"] == ("True", "ArtifactMissing")
    assert "it logged: 'classifier'" in life.status["message"]


@pytest.mark.parametrize("passes", range(6))
def test_an_outage_at_any_moment_delays_and_does_nothing_twice(passes: int) -> None:
    life = Ended(gate=[*GATE, *VERSUS], register=REGISTER)
    for _ in range(passes):
        life.step()
    life.mlflow.trouble = AWAY
    life.run()
    life.back()
    life.run()
    assert life.status["phase"] == "Succeeded"
    assert len(life.mlflow.versions) == 1
    assert life.conditions()["MLflowAvailable"] == ("True", "Reachable")


@pytest.mark.parametrize("passes", range(8))
def test_a_lost_status_at_any_moment_ends_in_the_same_version(passes: int) -> None:
    life = Ended(gate=VERSUS, register={**REGISTER, "alias": "champion"})
    for _ in range(passes):
        life.step()
    life.wipe()
    life.run()
    assert (life.status["phase"], life.status["registered"]["version"]) == ("Succeeded", "1")
    assert len(life.mlflow.versions) == 1
    assert len(life.mlflow.runs) == 1
