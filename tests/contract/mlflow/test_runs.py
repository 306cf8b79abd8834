"""Runs: what is read, made, ended and tagged in a real MLflow."""

import asyncio
import math
from dataclasses import replace

import pytest

from serinus.asks import Absent, EndRun, EnsureRun, FindRuns, ReadRun, Run, TagRun, TroubleKind, pairs
from tests.contract.mlflow.desk import Desk
from tests.contract.mlflow.rest import Rest

pytestmark = pytest.mark.local


def _ensure(desk: Desk, name: str) -> EnsureRun:
    return EnsureRun(server=desk.server, experiment=name, key=f"ml/{name}/1")


def test_a_run_is_read_with_its_last_metrics_and_the_models_it_logged(mlflow: Rest, desk: Desk, name: str) -> None:
    experiment = mlflow.experiment(name)
    run_id = mlflow.run(experiment, mlflow__runName=name, owner="")
    for step, value in ((0, 3.0), (2, 1.0), (1, 2.0)):
        mlflow.post("runs/log-metric", run_id=run_id, key="loss", value=value, step=step, timestamp=step)
    model_id = mlflow.logged_model(experiment, run_id)
    of_model = {"key": "val_f1", "value": 0.5, "step": 0, "timestamp": 1, "model_id": model_id}
    mlflow.post("runs/log-metric", run_id=run_id, **of_model)
    mlflow.post("runs/log-metric", run_id=run_id, key="odd", value="NaN", step=0, timestamp=1)
    mlflow.post("runs/log-parameter", run_id=run_id, key="depth", value="7")
    run = desk.ask(ReadRun(server=desk.server, run_id=run_id))
    assert isinstance(run, Run)
    assert (run.id, run.experiment_id, run.status, run.name) == (run_id, experiment, "RUNNING", name)
    assert {key: value for key, value in run.metrics.items() if key != "odd"} == {"loss": 1.0, "val_f1": 0.5}
    assert math.isnan(run.metrics["odd"])
    assert run.params == {"depth": "7"}
    assert run.tags["owner"] == ""
    assert run.models == (model_id,)


def test_a_run_that_is_not_there_is_absent(mlflow: Rest, desk: Desk, name: str) -> None:
    deleted = mlflow.run(mlflow.experiment(name))
    mlflow.post("runs/delete", run_id=deleted)
    server = desk.server
    for run_id, what in ((deleted, f"run '{deleted}' (it is deleted)"), ("0" * 32, f"run '{'0' * 32}'")):
        assert desk.ask(ReadRun(server=server, run_id=run_id)) == Absent(what)
        assert desk.ask(EndRun(server=server, run_id=run_id, end="FAILED")) == Absent(what)
        assert desk.ask(TagRun(server=server, run_id=run_id, tags=(("a", "b"),))) == Absent(what)


def test_runs_are_found_by_a_tag_newest_first_over_all_pages(mlflow: Rest, desk: Desk, name: str) -> None:
    experiment = mlflow.experiment(name)
    made = [mlflow.run(experiment, start_time=start, serinus__job="it's ml/a") for start in range(1, 104)]
    mlflow.run(experiment, serinus__job="it's ml/b")
    mlflow.post("runs/delete", run_id=made.pop())
    ask = FindRuns(server=desk.server, experiment=name, tag="serinus.job", value="it's ml/a")
    assert [run.id for run in desk.ask(ask)] == made[::-1]
    assert desk.meter.operations()["runs/search"] == 2


def test_an_experiment_that_is_missing_or_deleted_has_no_runs(mlflow: Rest, desk: Desk, name: str) -> None:
    ask = FindRuns(server=desk.server, experiment=name, tag="a", value="b")
    assert desk.ask(ask) == ()
    experiment = mlflow.experiment(name)
    mlflow.run(experiment, a="b")
    assert len(desk.ask(ask)) == 1
    mlflow.post("experiments/delete", experiment_id=experiment)
    assert desk.ask(ask) == ()


def test_a_run_is_made_once_with_all_that_was_ordered(mlflow: Rest, desk: Desk, name: str) -> None:
    parent = desk.ask(_ensure(desk, name))
    params = pairs({f"param/{number}": "é" * 7000 if number == 7 else number for number in range(250)} | {"empty": ""})
    tags = pairs({f"tag.{number}": number for number in range(150)})
    order = replace(_ensure(desk, name), key=f"{name}/child's", name=name, parent=parent.id, params=params, tags=tags)
    made = desk.ask(order)
    assert (made.status, made.name) == ("RUNNING", name)
    assert made.tags.items() >= {**dict(tags), "mlflow.parentRunId": parent.id, "serinus.key": order.key}.items()
    assert made.params == dict(params)
    desk.meter.calls.clear()
    again = desk.ask(order)
    assert again.id == made.id
    assert desk.meter.operations() == {"experiments/get-by-name": 1, "runs/search": 1}
    # What is longer than MLflow keeps, it cuts.
    assert again.params == {**dict(params), "param/7": again.params["param/7"]}
    assert len(again.params["param/7"]) == 6000
    assert len(mlflow.runs(made.experiment_id)) == 2


def test_params_are_completed_after_a_crash_and_what_a_user_logged_stays(mlflow: Rest, desk: Desk, name: str) -> None:
    run_id = mlflow.run(mlflow.experiment(name), serinus__key=f"ml/{name}/1")
    mlflow.post("runs/log-parameter", run_id=run_id, key="depth", value="from the code")
    made = desk.ask(replace(_ensure(desk, name), params=pairs({"depth": 7, "rate": 0.1})))
    assert made.id == run_id
    assert made.params == {"depth": "from the code", "rate": "0.1"}
    assert desk.ask(ReadRun(server=desk.server, run_id=run_id)) == made


def test_of_two_runs_with_one_key_the_older_is_meant(mlflow: Rest, desk: Desk, name: str) -> None:
    experiment = mlflow.experiment(name)
    mlflow.run(experiment, start_time=2000, serinus__key=f"ml/{name}/1")
    older = mlflow.run(experiment, start_time=1000, serinus__key=f"ml/{name}/1")
    assert desk.ask(_ensure(desk, name)).id == older


def test_two_operators_at_once_end_up_with_one_run(mlflow: Rest, desk: Desk, name: str) -> None:
    async def both() -> tuple[Run, Run]:
        (one,), (other,) = await asyncio.gather(desk.answers(_ensure(desk, name)), desk.answers(_ensure(desk, name)))
        return one, other

    one, other = asyncio.run(both())
    meant = desk.ask(_ensure(desk, name))
    made = {run["info"]["run_id"] for run in mlflow.runs(meant.experiment_id)}
    assert {meant.id} <= {one.id, other.id} <= made


def test_runs_cannot_be_made_in_a_deleted_experiment(mlflow: Rest, desk: Desk, name: str) -> None:
    experiment = mlflow.experiment(name)
    mlflow.post("experiments/delete", experiment_id=experiment)
    trouble = desk.trouble(_ensure(desk, name))
    assert trouble.kind == TroubleKind.REFUSED
    assert f"mlflow experiments restore --experiment-id {experiment}" in trouble.message


def test_what_mlflow_refuses_is_refused_with_its_words(desk: Desk, name: str) -> None:
    long = desk.trouble(replace(_ensure(desk, name), params=(("k" * 251, "v"),)))
    assert long.kind == TroubleKind.REFUSED
    assert "exceeds the maximum length of 250" in long.message
    key = desk.trouble(EnsureRun(server=desk.server, experiment=name, key="""both ' and " """))
    assert key.kind == TroubleKind.REFUSED
    assert "quotes" in key.message


def test_a_run_is_ended_once_and_an_end_can_be_corrected(mlflow: Rest, desk: Desk, name: str) -> None:
    run_id = desk.ask(_ensure(desk, name)).id
    tags = pairs({f"serinus.reason.{number}": "OOMKilled" for number in range(120)})
    failed = EndRun(server=desk.server, run_id=run_id, end="FAILED", tags=tags)
    ended = desk.ask(failed)
    assert isinstance(ended, Run)
    assert (ended.status, ended.tags.items() >= dict(tags).items()) == ("FAILED", True)
    assert desk.ask(ReadRun(server=desk.server, run_id=run_id)) == ended
    end_time = mlflow.get("runs/get", run_id=run_id)["run"]["info"]["end_time"]
    desk.meter.calls.clear()
    assert desk.ask(failed) == ended
    assert desk.meter.operations() == {"runs/get": 1}
    assert mlflow.get("runs/get", run_id=run_id)["run"]["info"]["end_time"] == end_time
    desk.ask(EndRun(server=desk.server, run_id=run_id, end="FINISHED"))
    assert mlflow.get("runs/get", run_id=run_id)["run"]["info"]["status"] == "FINISHED"


def test_tags_are_written_where_they_differ(desk: Desk, name: str) -> None:
    run = desk.ask(replace(_ensure(desk, name), tags=(("a", "1"), ("b", "2"))))
    order = TagRun(server=desk.server, run_id=run.id, tags=(("a", "1"), ("b", "ü"), ("c", "")))
    tagged = desk.ask(order)
    assert isinstance(tagged, Run)
    assert tagged.tags.items() >= {"a": "1", "b": "ü", "c": ""}.items()
    assert desk.ask(ReadRun(server=desk.server, run_id=run.id)) == tagged
    desk.meter.calls.clear()
    assert desk.ask(order) == tagged
    assert desk.meter.operations() == {"runs/get": 1}
