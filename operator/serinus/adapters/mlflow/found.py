"""Models that a run logged: as MLflow 3 keeps them, or as a folder among the files of the run."""

import math
from collections.abc import AsyncIterator, Iterable, Mapping
from itertools import islice
from typing import Any, Final

from serinus.adapters.mlflow import runs
from serinus.adapters.mlflow.client import Client, Json, all_of
from serinus.adapters.mlflow.failures import INVALID, Failed, one_line
from serinus.adapters.mlflow.search import equal, is_plain
from serinus.asks import Absent, FindModel, LoggedModel, ReadRun

_READY = "LOGGED_MODEL_READY"
# A logged model comes with everything that was ever logged to it: a page is small, and so is their number.
_PAGE = 5
_PAGES = 20
# How many names are given of what is there instead.
_NAMES: Final = 5
_HISTORIES = 100


async def find(client: Client, ask: FindModel) -> LoggedModel | Absent:
    """The model that a run logged under this name, or into this folder."""
    if (model := await _newest(client, ask)) is not None:
        model_id = model["info"]["model_id"]
        return LoggedModel(f"models:/{model_id}", model_id, await _metrics(client, model.get("data", {})))
    run = await runs.read(client, ReadRun(server=ask.server, run_id=ask.run_id))
    if isinstance(run, Absent):
        return run
    if await _is_folder(client, ask):
        return LoggedModel(f"runs:/{ask.run_id}/{_folder(ask)}")
    there = ", ".join(await _names(client, ask)) or "nothing"
    return Absent(one_line(f"model {ask.artifact!r} in run {ask.run_id!r}; it logged: {there}"))


async def _newest(client: Client, ask: FindModel) -> Json | None:
    """The newest logged model of this name whose files are all there."""
    # MLflow gives no names with quotes, and does not take them in a filter.
    named = f" AND {equal(client, 'name', ask.artifact)}" if is_plain(ask.artifact) else ""
    async for page in _logged(client, ask, named):
        for model in page:
            if model["info"]["name"] == ask.artifact and model["info"].get("status") == _READY:
                return model
    return None


async def _logged(client: Client, ask: FindModel, also: str = "") -> AsyncIterator[list[Json]]:
    """The logged models of a run, newest first, page by page."""
    body: dict[str, Any] = {"experiment_ids": [ask.experiment_id], "max_results": _PAGE}
    body |= {"filter": f"{equal(client, 'source_run_id', ask.run_id)}{also}"}
    body |= {"order_by": [{"field_name": "creation_timestamp", "ascending": False}]}
    for _ in range(_PAGES):
        page = await client.post("logged-models/search", body)
        yield page.get("models", [])
        if not (token := page.get("next_page_token")):
            return
        body["page_token"] = token


async def _metrics(client: Client, data: Json) -> Mapping[str, float]:
    """Of each metric the value with the highest step."""
    last: dict[str, Json] = {}
    for metric in sorted(data.get("metrics", ()), key=_step):
        last[metric["key"]] = metric
    values = {key: float(metric.get("value", 0.0)) for key, metric in last.items()}
    # MLflow keeps what is no number as a 0 with a logged model, and as what it is only with the run that it came from.
    doubtful = [last[key] for key, value in sorted(values.items()) if value == 0]
    checked = await all_of(_exact(client, metric) for metric in doubtful[:_HISTORIES])
    unchecked = [math.nan] * len(doubtful[_HISTORIES:])
    return values | dict(zip((metric["key"] for metric in doubtful), checked + unchecked, strict=True))


async def _exact(client: Client, metric: Json) -> float:
    """What a run logged where its logged model has a 0: no number, unless it is sure to be one."""
    step, at = _step(metric)
    query = {"run_ids": metric["run_id"], "metric_key": metric["key"], "start_step": step, "end_step": step}
    history = await client.get("metrics/get-history-bulk-interval", query)
    same = [float(one.get("value", 0.0)) for one in history.get("metrics", ()) if _step(one) == (step, at)]
    return 0.0 if same and not any(map(math.isnan, same)) else math.nan


def _step(metric: Json) -> tuple[int, int]:
    return int(metric.get("step", 0)), int(metric.get("timestamp", 0))


def _folder(ask: FindModel) -> str:
    return ask.artifact.strip("/")


async def _is_folder(client: Client, ask: FindModel) -> bool:
    """Whether the run has a model's files in this folder, by exactly this path: MLflow also lists others by it."""
    folder = _folder(ask)
    if not {"", ".", ".."}.isdisjoint(folder.split("/")):
        return False
    try:
        async for page in _files(client, ask.run_id, folder):
            if any(file["path"] == f"{folder}/MLmodel" and not file.get("is_dir") for file in page):
                return True
    except Failed as failed:
        # There can be no such path.
        if failed.code != INVALID:
            raise
    return False


async def _files(client: Client, run_id: str, folder: str = "") -> AsyncIterator[list[Json]]:
    """What is in a folder of a run, page by page."""
    query = {"run_id": run_id} | ({"path": folder} if folder else {})
    for _ in range(_PAGES):
        page = await client.find("artifacts/list", query) or {}
        yield page.get("files", [])
        if not (token := page.get("next_page_token")):
            return
        query["page_token"] = token


async def _names(client: Client, ask: FindModel) -> Iterable[str]:
    """Some of what the run logged: the newest models, and folders."""
    names: dict[str, bool] = {}
    async for page in _logged(client, ask):
        for model in page:
            name, ready = model["info"]["name"], model["info"].get("status") == _READY
            names[name] = names.get(name, False) or ready
        if len(names) >= _NAMES:
            break
    async for page in _files(client, ask.run_id):
        names |= {file["path"]: True for file in page if file.get("is_dir") and file["path"] not in names}
        if len(names) >= _NAMES:
            break
    return [f"{name!r}{'' if ready else ' (not ready)'}" for name, ready in islice(names.items(), _NAMES)]
