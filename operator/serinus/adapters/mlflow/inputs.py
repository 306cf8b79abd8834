"""What a run has read: datasets, as MLflow keeps them."""

import json
from collections.abc import Iterable, Mapping
from typing import Final

from yarl import URL

from serinus.adapters.mlflow import runs
from serinus.adapters.mlflow.client import Client, Json
from serinus.adapters.mlflow.search import entries
from serinus.asks import Absent, Dataset, LogInputs, Run

# MLflow takes no longer ones; the whole digest is in the profile.
_DIGEST_LENGTH = 36
# What MLflow calls the sources of these addresses. It shows any other name as it is, and can only not load from there.
_SOURCES: Final[Mapping[str, str]] = {"s3": "s3", "gs": "gs", "http": "http", "https": "http"}
_OURS = "serinus"
_CONTEXT = {"mlflow.data.context": "training"}


async def log(client: Client, ask: LogInputs) -> Run | Absent:
    """The run, once it has these inputs.

    An input is known by name and digest. The first of them in an experiment says for all of its runs where it is from:
    MLflow keeps a dataset once.
    """
    found = await runs.look_up(client, ask.run_id)
    if isinstance(found, Absent):
        return found
    there = {_identity(entry["dataset"]) for entry in found.get("inputs", {}).get("dataset_inputs", ())}
    missing = [entry for entry in _listed(ask.inputs) if _identity(entry["dataset"]) not in there]
    if missing:
        await client.post("runs/log-inputs", {"run_id": ask.run_id, "datasets": missing})
    return runs.run_of(found)


def _listed(inputs: Iterable[Dataset]) -> Iterable[Json]:
    return ({"tags": entries(_CONTEXT), "dataset": _dataset(one)} for one in inputs)


def _identity(dataset: Json) -> tuple[str, str]:
    return dataset.get("name", ""), dataset.get("digest", "")


def _dataset(dataset: Dataset) -> Json:
    uri = _bare(dataset.uri)
    kind = _SOURCES.get(uri.partition("://")[0], _OURS)
    # MLflow reads an address of the web under another key than all others.
    source = {"uri": uri} | ({"url": uri} if kind == "http" else {})
    profile = ({} if dataset.rows is None else {"num_rows": dataset.rows}) | {"sha256": dataset.sha256}
    return {
        "name": dataset.name,
        "digest": dataset.sha256[:_DIGEST_LENGTH],
        "source_type": kind,
        "source": json.dumps(source),
        "profile": json.dumps(profile),
    }


def _bare(uri: str) -> str:
    """The address without a user and password: more people read MLflow than the resource."""
    return str(URL(uri, encoded=True).with_user(None)) if "@" in uri and uri.startswith("http") else uri
