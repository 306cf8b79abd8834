"""What becomes of training that has ended: closed, judged, registered; each once, whatever happens in between."""

import pytest

from serinus.asks import Absent, LoggedModel
from tests.unit.training_life import AWAY, ended_life

REGISTER = {"model": "churn", "alias": "challenger", "tags": {"team": "growth"}, "description": "weekly"}
GATE = [{"metric": "val_f1", "min": 0.8}]
VERSUS = [{"metric": "val_f1", "versus": {"alias": "champion"}, "minDelta": 0}]


def test_what_passes_the_gate_is_registered_once_with_tags_and_alias() -> None:
    life = ended_life(gate=GATE, register=REGISTER)
    assert life.phases()[-1] == "Succeeded"
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
    life = ended_life(gate=GATE, register=REGISTER)
    life.mlflow.metrics = {"val_f1": 0.7}
    assert life.phases()[-1] == "Rejected"
    assert life.mlflow.versions == {}
    assert life.mlflow.statuses() == ["FINISHED"]
    assert life.conditions()["Complete"] == ("True", "GateRejected")
    assert life.conditions()["Stalled"] == ("True", "GateRejected")
    assert life.conditions()["GatePassed"] == ("False", "ChecksFailed")
    assert "0.7 is less than 0.8" in life.status["message"]


def test_without_a_gate_everything_is_registered_and_without_registration_nothing() -> None:
    registering = ended_life(register=REGISTER)
    assert registering.phases()[-1] == "Succeeded"
    assert registering.conditions()["GatePassed"] == ("True", "NoChecks")
    judging = ended_life(gate=GATE)
    assert judging.phases()[-1] == "Succeeded"
    assert (judging.mlflow.versions, "registered" in judging.status) == ({}, False)


def test_the_champion_is_what_the_alias_points_at() -> None:
    life = ended_life(gate=VERSUS, register=REGISTER)
    life.mlflow.aliases["champion"] = "7"
    life.mlflow.metrics = {"val_f1": 0.84}
    assert life.phases()[-1] == "Rejected"
    assert "against 0.85 of version 7 (champion)" in life.status["message"]


def test_metrics_of_the_model_count_and_those_of_the_run_come_first() -> None:
    life = ended_life(gate=[{"metric": "val_f1", "min": 0.8}, {"metric": "auc", "min": 0.5}], register=REGISTER)
    life.mlflow.model = LoggedModel("models:/m-1", "m-1", {"auc": 0.6, "val_f1": 0.1})
    assert life.phases()[-1] == "Succeeded"


def test_a_run_that_logged_no_such_model_has_failed_and_what_it_logged_is_said() -> None:
    life = ended_life(register=REGISTER)
    life.mlflow.model = Absent("model 'model' in run 'run-1'; it logged: 'classifier'")
    assert life.phases()[-1] == "Failed"
    assert life.conditions()["Failed"] == ("True", "ArtifactMissing")
    assert "it logged: 'classifier'" in life.status["message"]


@pytest.mark.parametrize("passes", range(6))
def test_an_outage_at_any_moment_delays_and_does_nothing_twice(passes: int) -> None:
    life = ended_life(gate=[*GATE, *VERSUS], register=REGISTER)
    for _ in range(passes):
        life.step()
    life.mlflow.trouble = AWAY
    life.run()
    life.back()
    life.run()
    assert life.status["phase"] == "Succeeded"
    assert len(life.mlflow.versions) == 1
    assert life.conditions()["MLflowAvailable"] == ("True", "Reachable")


@pytest.mark.parametrize("passes", range(10))
def test_another_operator_at_any_moment_does_nothing_twice(passes: int) -> None:
    life = ended_life(gate=[*GATE, *VERSUS], register=REGISTER)
    for _ in range(passes):
        life.step()
    life.restart()
    life.run()
    assert (life.status["phase"], life.status["registered"]["version"]) == ("Succeeded", "1")
    assert (len(life.mlflow.versions), len(life.mlflow.runs)) == (1, 1)


@pytest.mark.parametrize("passes", range(8))
def test_a_lost_status_at_any_moment_ends_in_the_same_version(passes: int) -> None:
    life = ended_life(gate=VERSUS, register={**REGISTER, "alias": "champion"})
    for _ in range(passes):
        life.step()
    life.wipe()
    life.run()
    assert (life.status["phase"], life.status["registered"]["version"]) == ("Succeeded", "1")
    assert len(life.mlflow.versions) == 1
    assert len(life.mlflow.runs) == 1
