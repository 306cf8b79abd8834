"""Runs that are not over: found wherever they are, and queued."""

import uuid
from dataclasses import replace

import pytest

from serinus.asks import Absent, EndRun, FindOpenRuns, QueueRun, ReadRun, Run, TroubleKind
from tests.contract.mlflow.desk import Desk
from tests.contract.mlflow.rest import Rest

pytestmark = pytest.mark.local


def test_open_runs_are_found_in_all_experiments_but_not_what_is_over_or_deleted(
    mlflow: Rest, desk: Desk, name: str
) -> None:
    cluster = f"it's {uuid.uuid4()}"
    one, other, gone = (mlflow.experiment(f"{name} {number}") for number in range(3))
    running, queued = mlflow.run(one, serinus__cluster=cluster), mlflow.run(other, serinus__cluster=cluster)
    mlflow.post("runs/update", run_id=queued, status="SCHEDULED")
    for status in ("FINISHED", "FAILED", "KILLED"):
        mlflow.post("runs/update", run_id=mlflow.run(one, serinus__cluster=cluster), status=status)
    mlflow.post("runs/delete", run_id=mlflow.run(one, serinus__cluster=cluster))
    mlflow.run(one, serinus__cluster="another")
    mlflow.run(one, serinus__cluster=cluster.upper())
    mlflow.run(gone, serinus__cluster=cluster)
    mlflow.post("experiments/delete", experiment_id=gone)
    found = desk.ask(FindOpenRuns(server=desk.server, tag="serinus.cluster", value=cluster))
    assert {run.id: run.status for run in found} == {running: "RUNNING", queued: "SCHEDULED"}
    operations = desk.meter.operations()
    assert operations["runs/search"] == operations["experiments/search"], "one for each thousand experiments"


def test_open_runs_are_found_over_all_pages(mlflow: Rest, desk: Desk, name: str) -> None:
    experiment = mlflow.experiment(name)
    made = [mlflow.run(experiment, start_time=start, serinus__cluster=name) for start in range(1, 104)]
    found = desk.ask(FindOpenRuns(server=desk.server, tag="serinus.cluster", value=name))
    assert [run.id for run in found] == made
    operations = desk.meter.operations()
    assert operations["runs/search"] == operations["experiments/search"] + 1


def test_open_runs_are_found_over_all_pages_of_experiments(
    mlflow: Rest, desk: Desk, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serinus.adapters.mlflow.search._EXPERIMENTS_PAGE", 20)
    made = {mlflow.run(mlflow.experiment(f"{name} {number}"), serinus__cluster=name) for number in range(45)}
    found = desk.ask(FindOpenRuns(server=desk.server, tag="serinus.cluster", value=name))
    assert {run.id for run in found} == made
    assert desk.meter.operations()["experiments/search"] >= 3


def test_where_nothing_is_open_nothing_is_found(desk: Desk, name: str) -> None:
    assert desk.ask(FindOpenRuns(server=desk.server, tag="serinus.cluster", value=name)) == ()
    both = desk.trouble(FindOpenRuns(server=desk.server, tag="serinus.cluster", value="""both ' and " """))
    assert both.kind == TroubleKind.REFUSED
    assert "quotes" in both.message


def test_a_run_is_queued_once_and_not_when_it_is_over(mlflow: Rest, desk: Desk, name: str) -> None:
    run_id = mlflow.run(mlflow.experiment(name))
    order = QueueRun(server=desk.server, run_id=run_id)
    queued = desk.ask(order)
    assert isinstance(queued, Run)
    assert queued.status == "SCHEDULED"
    assert desk.ask(ReadRun(server=desk.server, run_id=run_id)) == queued
    desk.meter.calls.clear()
    assert desk.ask(replace(order, since="once more")) == queued
    assert desk.meter.operations() == {"runs/get": 1}
    ended = desk.ask(EndRun(server=desk.server, run_id=run_id, end="FAILED"))
    assert desk.ask(order) == ended
    assert mlflow.get("runs/get", run_id=run_id)["run"]["info"]["status"] == "FAILED"


def test_a_run_that_is_gone_is_not_queued(mlflow: Rest, desk: Desk, name: str) -> None:
    deleted = mlflow.run(mlflow.experiment(name))
    mlflow.post("runs/delete", run_id=deleted)
    for run_id, what in ((deleted, f"run '{deleted}' (it is deleted)"), ("0" * 32, f"run '{'0' * 32}'")):
        assert desk.ask(QueueRun(server=desk.server, run_id=run_id)) == Absent(what)
