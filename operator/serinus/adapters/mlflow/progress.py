"""How far runs are: read one by one, or many with one search."""

from collections.abc import Mapping, Sequence
from itertools import batched
from typing import Final

from serinus.adapters.mlflow import runs
from serinus.adapters.mlflow.client import Client, Json, all_of
from serinus.adapters.mlflow.search import any_in, is_plain
from serinus.asks import Absent, Progress, ReadProgress

# One search costs the server little more than one run.
WORTHWHILE: Final = 2
_LENGTH = 100
# The search must not end in a page that is full: MLflow would have us ask whether there is another one.
_PAGE = 2 * _LENGTH
# MLflow itself measures the machine, and counts its samples as steps.
_OF_THE_MACHINE = "system/"


async def read(client: Client, ask: ReadProgress) -> Progress | Absent:
    """How far a run is."""
    found = await runs.look_up(client, ask.run_id)
    return found if isinstance(found, Absent) else _progress(found)


def fits(ask: ReadProgress) -> bool:
    """Whether an ask can be part of a search."""
    return is_plain(ask.run_id)


async def read_all(client: Client, asks: Sequence[ReadProgress]) -> Mapping[ReadProgress, Progress]:
    """How far those runs are that a search finds.

    It leaves out alike what is not there, what is deleted and what we may not read.
    """
    pages = await all_of(_search(client, together) for together in batched(asks, _LENGTH, strict=False))
    found = {run["info"]["run_id"]: run for page in pages for run in page}
    return {ask: _progress(found[ask.run_id]) for ask in asks if ask.run_id in found}


async def _search(client: Client, asks: Sequence[ReadProgress]) -> Sequence[Json]:
    body = {
        "experiment_ids": sorted({ask.experiment_id for ask in asks}),
        "filter": any_in("attributes.run_id", sorted({ask.run_id for ask in asks})),
        "max_results": _PAGE,
        "run_view_type": "ACTIVE_ONLY",
    }
    return list((await client.post("runs/search", body)).get("runs", ()))


def _progress(run: Json) -> Progress:
    """MLflow gives each metric by its highest step, and writes 0 where no step was named."""
    steps = (
        int(metric.get("step", 0))
        for metric in run["data"].get("metrics", ())
        if not metric["key"].startswith(_OF_THE_MACHINE)
    )
    return Progress(runs.metrics_of(run["data"]), max(steps, default=0) or None)
