"""How far runs are: many of them with one search, and each as if it had been asked alone."""

import asyncio
import math
from pathlib import PurePosixPath

import pytest
from aiohttp import web

from serinus.asks import Absent, Progress, ReadProgress, Server, Trouble, TroubleKind
from tests.contract.mlflow.desk import Desk
from tests.contract.mlflow.proxy import forwarding
from tests.contract.mlflow.rest import Rest

pytestmark = pytest.mark.local


def _log(mlflow: Rest, run_id: str, key: str, value: float | str, step: int = 0) -> None:
    mlflow.post("runs/log-metric", run_id=run_id, key=key, value=value, step=step, timestamp=step)


def _asks(desk: Desk, experiment_id: str, *run_ids: str) -> list[ReadProgress]:
    return [ReadProgress(server=desk.server, experiment_id=experiment_id, run_id=run_id) for run_id in run_ids]


def test_it_is_the_last_value_of_each_metric_and_the_highest_step(mlflow: Rest, desk: Desk, name: str) -> None:
    experiment = mlflow.experiment(name)
    trains, begins = mlflow.run(experiment), mlflow.run(experiment)
    for step, value in ((0, 3.0), (20, 1.0), (10, 2.0)):
        _log(mlflow, trains, "loss", value, step)
    _log(mlflow, trains, "val_f1", 0.5, 3)
    _log(mlflow, trains, "odd", "NaN", 4)
    _log(mlflow, trains, "system/cpu_utilization_percentage", 12.0, 500)
    one, other = _asks(desk, experiment, trains, begins)
    alone = desk.ask(one)
    assert isinstance(alone, Progress)
    numbers = {key: value for key, value in alone.metrics.items() if key != "odd"}
    assert numbers == {"loss": 1.0, "val_f1": 0.5, "system/cpu_utilization_percentage": 12.0}
    assert math.isnan(alone.metrics["odd"])
    assert alone.step == 20
    # As text, for one NaN is not like another.
    assert [str(answer) for answer in asyncio.run(desk.answers(one, other))] == [str(alone), str(Progress())]


def test_without_steps_there_is_none(mlflow: Rest, desk: Desk, name: str) -> None:
    experiment = mlflow.experiment(name)
    run_id = mlflow.run(experiment)
    mlflow.post("runs/log-metric", run_id=run_id, key="val_f1", value=0.5, timestamp=1)
    assert desk.ask(*_asks(desk, experiment, run_id)) == Progress({"val_f1": 0.5}, None)


def test_a_hundred_and_twenty_runs_of_three_experiments_cost_two_requests(mlflow: Rest, desk: Desk, name: str) -> None:
    asks = []
    for number in range(3):
        experiment = mlflow.experiment(f"{name} {number}")
        asks += _asks(desk, experiment, *(mlflow.run(experiment) for _ in range(40)))
    for step, ask in enumerate(asks):
        _log(mlflow, ask.run_id, "loss", float(step), step)
    assert asyncio.run(desk.answers(*asks)) == [
        Progress({"loss": float(step)}, step or None) for step in range(len(asks))
    ]
    assert desk.meter.operations() == {"runs/search": 2}


def test_a_run_that_is_deleted_or_missing_is_absent_alone_and_among_others(mlflow: Rest, desk: Desk, name: str) -> None:
    experiment = mlflow.experiment(name)
    there, deleted, missing = mlflow.run(experiment), mlflow.run(experiment), "0" * 32
    mlflow.post("runs/delete", run_id=deleted)
    asks = _asks(desk, experiment, there, deleted, missing, "it's none")
    wanted = [
        Progress(),
        Absent(f"run '{deleted}' (it is deleted)"),
        Absent(f"run '{missing}'"),
    ]
    assert asyncio.run(desk.answers(*asks))[:3] == wanted
    assert [desk.ask(ask) for ask in asks[:3]] == wanted
    # MLflow has rules for ids, and says so: one that breaks them does not spoil the others.
    assert isinstance(asyncio.run(desk.answers(*asks))[3], Absent | Trouble)


def test_what_one_may_not_be_told_does_not_spoil_the_others(mlflow: Rest, name: str) -> None:
    """A server with permissions leaves out of a search what may not be read, and refuses to tell it alone."""
    experiment = mlflow.experiment(name)
    ours, theirs = mlflow.run(experiment), mlflow.run(experiment)
    mlflow.post("runs/delete", run_id=theirs)

    def denied(request: web.Request) -> web.Response | None:
        mine = request.query.get("run_id") != theirs
        return None if mine else web.Response(status=403, text="Permission denied")

    async def through() -> list[object]:
        async with forwarding(mlflow.address, denied) as address:
            at = Desk(Server(uri=address))
            return await at.answers(*_asks(at, experiment, ours, theirs))

    progress, trouble = asyncio.run(through())
    assert progress == Progress()
    assert isinstance(trouble, Trouble)
    assert trouble.kind == TroubleKind.UNAUTHORIZED


def test_a_server_that_knows_no_lists_is_asked_one_by_one(mlflow: Rest, name: str) -> None:
    experiment = mlflow.experiment(name)
    runs = [mlflow.run(experiment) for _ in range(3)]
    body = '{"error_code": "INVALID_PARAMETER_VALUE", "message": "Invalid comparator \'IN\'"}'

    def old(request: web.Request) -> web.Response | None:
        searches = PurePosixPath(request.path).name == "search"
        return web.Response(status=400, text=body, content_type="application/json") if searches else None

    async def through() -> list[object]:
        async with forwarding(mlflow.address, old) as address:
            at = Desk(Server(uri=address))
            return await at.answers(*_asks(at, experiment, *runs))

    assert asyncio.run(through()) == [Progress()] * 3
