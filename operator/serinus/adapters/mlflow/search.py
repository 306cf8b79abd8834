"""MLflow's search: filters, and the pages of what they find."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from serinus.adapters.mlflow.client import Client, Json
from serinus.asks import TroubleKind

# A run may have hundreds of metrics. A version is small, and of models MLflow gives no more than this.
_RUNS_PAGE = 100
_MODELS_PAGE = 1000
_EXPERIMENTS_PAGE = 1000
# Proxies commonly take 8 KiB of request line.
_FILTER_LENGTH = 4000
# What means something inside a list of a filter; elsewhere only quotes do.
_SPECIAL = frozenset("'\"\\\n\r\t\0")


def equal(client: Client, attribute: str, value: str) -> str:
    """A filter for what has this value. There is no way to write one with both kinds of quotes: that is refused."""
    mark = '"' if "'" in value else "'"
    if mark in value:
        raise client.party.trouble(
            TroubleKind.REFUSED, f"cannot be searched for {value!r}: take one of the two kinds of quotes out of it"
        )
    return f"{attribute} = {mark}{value}{mark}"


def tagged(client: Client, tag: str, value: str) -> str:
    """A filter for what has a tag."""
    if "`" in tag:
        raise client.party.trouble(TroubleKind.REFUSED, f"cannot be searched for the tag {tag!r}: take the ` out of it")
    return equal(client, f"tags.`{tag}`", value)


def is_plain(name: str) -> bool:
    """Whether a name can be in a list."""
    return bool(name) and not _SPECIAL.intersection(name)


def any_of(names: Iterable[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Filters for what has one of these plain names, each short enough for an address, and the names in each."""
    chosen: list[str] = []
    length = 0
    for name in sorted(set(names)):
        size = len(quote(f"'{name}',"))
        if chosen and length + size > _FILTER_LENGTH:
            yield tuple(chosen), any_in("name", chosen)
            chosen, length = [], 0
        chosen.append(name)
        length += size
    if chosen:
        yield tuple(chosen), any_in("name", chosen)


def any_in(attribute: str, values: Iterable[str]) -> str:
    """A filter for what has one of these plain values."""
    return f"{attribute} IN ({','.join(f"'{value}'" for value in values)})"


async def model_pages(client: Client, operation: str, what: str, order: str, *, filter_: str) -> Sequence[Json]:
    """All that a search of the registry finds; `what` is their name in the answer."""
    found: list[Json] = []
    query: dict[str, str | int] = {"filter": filter_, "order_by": order, "max_results": _MODELS_PAGE}
    while True:
        page = await client.get(operation, query)
        found += page.get(what, [])
        if not (token := page.get("next_page_token")):
            return found
        query["page_token"] = token


async def experiment_pages(client: Client) -> AsyncIterator[Sequence[str]]:
    """The ids of all experiments that are not deleted, page by page."""
    body: dict[str, Any] = {"max_results": _EXPERIMENTS_PAGE, "view_type": "ACTIVE_ONLY"}
    while True:
        page = await client.post("experiments/search", body)
        yield [str(experiment["experiment_id"]) for experiment in page.get("experiments", ())]
        if not (token := page.get("next_page_token")):
            return
        body["page_token"] = token


async def run_pages(client: Client, experiment_ids: Sequence[str], order: str, *, filter_: str) -> Sequence[Json]:
    """All runs of these experiments that are not deleted and that a filter finds."""
    found: list[Json] = []
    body: dict[str, Any] = {"experiment_ids": experiment_ids, "filter": filter_, "max_results": _RUNS_PAGE}
    body |= {"order_by": [order], "run_view_type": "ACTIVE_ONLY"}
    while True:
        page = await client.post("runs/search", body)
        found += page.get("runs", [])
        if not (token := page.get("next_page_token")):
            return found
        body["page_token"] = token


def texts(entries: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """MLflow's list of keys and values as a mapping; it leaves out a value that is empty."""
    return {entry["key"]: entry.get("value", "") for entry in entries}


def entries(values: Mapping[str, str]) -> list[Json]:
    """A mapping as MLflow's list of keys and values."""
    return [{"key": key, "value": value} for key, value in values.items()]
