"""Runs: read, found, made, queued, ended and tagged."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from itertools import batched
from typing import Final

from serinus.adapters.mlflow.client import Client, Json
from serinus.adapters.mlflow.failures import EXISTS, Failed
from serinus.adapters.mlflow.search import entries, experiment_pages, run_pages, tagged, texts
from serinus.api.names import KEY_TAG
from serinus.asks import (
    Absent,
    EndRun,
    EnsureRun,
    FindOpenRuns,
    FindRuns,
    QueueRun,
    ReadRun,
    Run,
    TagRun,
    TroubleKind,
)

# What one log-batch takes of params, and of tags.
BATCH: Final = 100
_DELETED = "deleted"
_OPEN: Final = ("RUNNING", "SCHEDULED")
# MLflow has no list of what a status may be, but takes several that it may not be.
_NOT_OVER = " AND ".join(f"attributes.status != '{over}'" for over in ("FINISHED", "FAILED", "KILLED"))
_BY_NAME = "experiments/get-by-name"
# For how many seconds an experiment that was found is not looked for again.
_MOMENT = 30.0
_KNOWN = 1000


async def read(client: Client, ask: ReadRun) -> Run | Absent:
    """A run."""
    return await _get(client, ask.run_id)


async def find(client: Client, ask: FindRuns) -> tuple[Run, ...]:
    """The runs of an experiment that have a tag, newest first."""
    experiment = await _look_up(client, ask.experiment)
    if experiment is None or _is_deleted(experiment):
        return ()
    tag = tagged(client, ask.tag, ask.value)
    found = await run_pages(client, [experiment["experiment_id"]], "start_time DESC", filter_=tag)
    return tuple(run for run in map(run_of, found) if run.tags.get(ask.tag) == ask.value)


async def find_open(client: Client, ask: FindOpenRuns) -> tuple[Run, ...]:
    """The runs of all experiments that have a tag and are not over, each once though experiments come meanwhile."""
    filter_ = f"{tagged(client, ask.tag, ask.value)} AND {_NOT_OVER}"
    found: dict[str, Run] = {}
    async for experiments in experiment_pages(client):
        if experiments:
            page = await run_pages(client, experiments, "start_time ASC", filter_=filter_)
            found |= {run.id: run for run in map(run_of, page)}
    return tuple(run for run in found.values() if run.tags.get(ask.tag) == ask.value and run.status in _OPEN)


async def ensure(client: Client, ask: EnsureRun) -> Run:
    """The run with this key, made if it is missing. Params that are missing are logged, those that are there stay."""
    experiment = await _experiment(client, ask.experiment)
    run = await _by_key(client, experiment, ask.key) or await _create(client, experiment, ask)
    missing = {key: value for key, value in ask.params if key not in run.params}
    for batch in batched(entries(missing), BATCH, strict=False):
        await client.post("runs/log-batch", {"run_id": run.id, "params": batch})
    return replace(run, params={**run.params, **missing})


async def end(client: Client, ask: EndRun) -> Run | Absent:
    """The run with this end and these tags."""
    run = await tag(client, TagRun(server=ask.server, run_id=ask.run_id, tags=ask.tags))
    if isinstance(run, Absent) or run.status == ask.end:
        return run
    await client.post("runs/update", {"run_id": run.id, "status": ask.end, "end_time": client.now()})
    return replace(run, status=ask.end)


async def queue(client: Client, ask: QueueRun) -> Run | Absent:
    """The run, SCHEDULED unless it is over."""
    run = await _get(client, ask.run_id)
    if isinstance(run, Absent) or run.status != "RUNNING":
        return run
    await client.post("runs/update", {"run_id": run.id, "status": "SCHEDULED"})
    return replace(run, status="SCHEDULED")


async def tag(client: Client, ask: TagRun) -> Run | Absent:
    """The run with these tags."""
    run = await _get(client, ask.run_id)
    if isinstance(run, Absent):
        return run
    missing = {key: value for key, value in ask.tags if run.tags.get(key) != value}
    for batch in batched(entries(missing), BATCH, strict=False):
        await client.post("runs/log-batch", {"run_id": run.id, "tags": batch})
    return replace(run, tags={**run.tags, **missing})


async def look_up(client: Client, run_id: str) -> Json | Absent:
    """A run as MLflow has it. A deleted one is absent: MLflow shows it on request, and lets nobody change it."""
    found = await client.find("runs/get", {"run_id": run_id})
    if found is None:
        return Absent(f"run {run_id!r}")
    run: Json = found["run"]
    return Absent(f"run {run_id!r} (it is deleted)") if _is_deleted(run["info"]) else run


async def _get(client: Client, run_id: str) -> Run | Absent:
    found = await look_up(client, run_id)
    return found if isinstance(found, Absent) else run_of(found)


async def _experiment(client: Client, name: str) -> str:
    """The id of the experiment with this name, made if it is missing."""
    found = await _look_up(client, name)
    if found is None:
        try:
            return str((await client.post("experiments/create", {"name": name}))["experiment_id"])
        except Failed as failed:
            # Somebody else made it meanwhile.
            if failed.code != EXISTS:
                raise
            found = (await client.get(_BY_NAME, {"experiment_name": name}))["experiment"]
    return _active(client, found)


async def _look_up(client: Client, name: str) -> Json | None:
    """The experiment with this name. What was found active a moment ago is taken to be so still: many runs share it."""
    now = asyncio.get_running_loop().time()
    known, until = client.experiments.get(name, (None, now))
    if known is not None and now < until:
        return known
    found = await client.find(_BY_NAME, {"experiment_name": name})
    if len(client.experiments) >= _KNOWN:
        client.experiments.clear()
    if found is not None and not _is_deleted(found["experiment"]):
        client.experiments[name] = (found["experiment"], now + _MOMENT)
    return None if found is None else found["experiment"]


def _active(client: Client, experiment: Json) -> str:
    number, name = str(experiment["experiment_id"]), experiment["name"]
    if _is_deleted(experiment):
        raise client.party.trouble(
            TroubleKind.REFUSED,
            f"has experiment {name!r} as deleted, and runs cannot be made in it: restore it "
            f"(mlflow experiments restore --experiment-id {number}) or choose another",
        )
    return number


async def _by_key(client: Client, experiment_id: str, key: str) -> Run | None:
    """The run with this key; the oldest, where there are several by accident."""
    found = await run_pages(client, [experiment_id], "start_time ASC", filter_=tagged(client, KEY_TAG, key))
    # A database may compare without regard to case.
    ours = [run for run in found if texts(run["data"]["tags"]).get(KEY_TAG) == key]
    return run_of(min(ours, key=_age)) if ours else None


def _age(run: Json) -> tuple[int, str]:
    return int(run["info"].get("start_time", 0)), run["info"]["run_id"]


async def _create(client: Client, experiment_id: str, ask: EnsureRun) -> Run:
    """A new run with all its tags at once, so that it is never there without its key.

    Whoever else makes one at this moment means the older of the two as we do: therefore we look again.
    """
    tags = dict(ask.tags) | {KEY_TAG: ask.key}
    tags |= {"mlflow.runName": ask.name} if ask.name else {}
    tags |= {"mlflow.parentRunId": ask.parent} if ask.parent else {}
    body = {"experiment_id": experiment_id, "start_time": client.now(), "tags": entries(tags)}
    created = await client.post("runs/create", body)
    return await _by_key(client, experiment_id, ask.key) or run_of(created["run"])


def _is_deleted(thing: Json) -> bool:
    return bool(thing.get("lifecycle_stage") == _DELETED)


def run_of(run: Json) -> Run:
    """A run of MLflow's as a value."""
    info, data = run["info"], run["data"]
    outputs = run.get("outputs", {}).get("model_outputs", ())
    return Run(
        id=info["run_id"],
        experiment_id=info["experiment_id"],
        status=info["status"],
        name=info.get("run_name", ""),
        metrics=metrics_of(data),
        params=texts(data.get("params", ())),
        tags=texts(data.get("tags", ())),
        models=tuple(output["model_id"] for output in outputs),
    )


def metrics_of(data: Json) -> Mapping[str, float]:
    """MLflow keeps of each metric the value with the highest step; what is no number it sends as a text."""
    return {metric["key"]: float(metric.get("value", 0.0)) for metric in data.get("metrics", ())}
