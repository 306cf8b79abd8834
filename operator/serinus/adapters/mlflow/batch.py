"""Many versions resolved with few requests.

One search names the aliases of many models; one more for each distinct version number fetches the versions, which no
search can be asked for by pairs of model and number. 200 models cost a handful of requests instead of 200.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from serinus.adapters.mlflow import versions
from serinus.adapters.mlflow.client import Client, Json, all_of
from serinus.adapters.mlflow.search import any_of, is_plain, model_pages
from serinus.asks import Absent, ModelVersion, ResolveVersion

type Pair = tuple[str, str]

# Below this, asking one by one is as cheap, and simpler for the server.
WORTHWHILE: Final = 9


def fits(ask: ResolveVersion) -> bool:
    """Whether an ask can be part of a batch: `latest` is an alias that no model lists, and some names defy lists."""
    listed = ask.alias.lower() != "latest" if ask.alias else ask.version.isdecimal() and ask.version.isascii()
    return listed and not ask.version.startswith("0") and is_plain(ask.model)


async def resolve(client: Client, asks: Sequence[ResolveVersion]) -> Mapping[ResolveVersion, ModelVersion | Absent]:
    """The answers to asks that fit, as if each had been asked alone."""
    models = await _models(client, {ask.model for ask in asks})
    pairs = {ask: pair for ask in asks if (pair := _pair(models, ask))}
    found = _newest(models)
    found |= await _versions(client, set(pairs.values()) - found.keys())
    return {ask: _answer(models, ask, found.get(pairs[ask]) if ask in pairs else None) for ask in asks}


def _answer(models: Mapping[str, Json], ask: ResolveVersion, found: ModelVersion | None) -> ModelVersion | Absent:
    if ask.model not in models:
        return versions.no_model(ask.model)
    return found or versions.absent(ask)


def _pair(models: Mapping[str, Json], ask: ResolveVersion) -> Pair | None:
    if ask.model not in models:
        return None
    if not ask.alias:
        return ask.model, ask.version
    aliases = {entry["alias"]: str(entry["version"]) for entry in models[ask.model].get("aliases", ())}
    return (ask.model, aliases[ask.alias]) if ask.alias in aliases else None


async def _models(client: Client, names: Iterable[str]) -> dict[str, Json]:
    pages = [
        model_pages(client, "registered-models/search", "registered_models", "name ASC", filter_=filter_)
        for _, filter_ in any_of(names)
    ]
    return {model["name"]: model for page in await all_of(pages) for model in page}


def _newest(models: Mapping[str, Json]) -> dict[Pair, ModelVersion]:
    """The versions that came with the models: the newest of each stage."""
    found = (versions.version_of(found) for model in models.values() for found in model.get("latest_versions", ()))
    return {(version.model, version.version): version for version in found}


async def _versions(client: Client, pairs: Iterable[Pair]) -> dict[Pair, ModelVersion]:
    names = defaultdict(set)
    for name, number in pairs:
        names[number].add(name)
    pages = [
        model_pages(
            client,
            "model-versions/search",
            "model_versions",
            "name ASC",
            filter_=f"{filter_} AND version_number = {number}",
        )
        for number, of_number in names.items()
        for _, filter_ in any_of(of_number)
    ]
    found = (versions.version_of(found) for page in await all_of(pages) for found in page)
    return {(version.model, version.version): version for version in found}
