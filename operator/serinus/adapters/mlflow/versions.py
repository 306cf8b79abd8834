"""Versions of registered models: resolved, found, made, tagged and pointed at."""

import re
from dataclasses import replace
from datetime import UTC, datetime

from serinus.adapters.mlflow.client import Client, Json
from serinus.adapters.mlflow.failures import ABSENT, CLASHED, EXISTS, INVALID, Failed
from serinus.adapters.mlflow.search import entries, equal, model_pages, tagged, texts
from serinus.api.names import KEY_TAG
from serinus.asks import Absent, EnsureVersion, FindVersions, ModelVersion, ResolveVersion, SetAlias, TagVersion

_READY = "READY"
# The address of a logged model, which belongs to no registered model.
_LOGGED_MODEL = re.compile("models:/(m-[^/@]+)")


async def resolve(client: Client, ask: ResolveVersion) -> ModelVersion | Absent:
    """The version that an alias points at, or the version of this number."""
    if not ask.alias:
        found = await get(client, ask.model, ask.version)
        return await missing(client, ask) if found is None else version_of(found)
    try:
        answer = await client.get("registered-models/alias", {"name": ask.model, "alias": ask.alias})
    except Failed as failed:
        # MLflow calls an alias that is not there an invalid parameter.
        if failed.code not in {ABSENT, INVALID}:
            raise
        return await missing(client, ask)
    return version_of(answer["model_version"])


async def get(client: Client, model: str, version: str) -> Json | None:
    """A version as MLflow has it."""
    found = await client.find("model-versions/get", {"name": model, "version": version})
    return None if found is None else found["model_version"]


async def missing(client: Client, ask: ResolveVersion) -> Absent:
    """Whether it is the model that is not there or the version: MLflow does not tell the two apart."""
    found = await client.find("registered-models/get", {"name": ask.model})
    return no_model(ask.model) if found is None else absent(ask)


def absent(ask: ResolveVersion) -> Absent:
    """What the model does not have."""
    return Absent(f"{f'alias {ask.alias!r}' if ask.alias else f'version {ask.version!r}'} of model {ask.model!r}")


def no_model(name: str) -> Absent:
    """That there is no such model."""
    return Absent(f"model {name!r}")


async def find(client: Client, ask: FindVersions) -> tuple[ModelVersion, ...]:
    """The versions of a model that have a tag, newest first."""
    return await _tagged(client, ask.model, ask.tag, ask.value)


async def ensure(client: Client, ask: EnsureVersion) -> ModelVersion:
    """The version with this key, made if it is missing."""
    return await _by_key(client, ask) or await _create(client, ask)


async def set_alias(client: Client, ask: SetAlias) -> ModelVersion | Absent:
    """The version, once the alias points at it."""
    found = await get(client, ask.model, ask.version)
    if found is None:
        return await missing(client, ResolveVersion(server=ask.server, model=ask.model, version=ask.version))
    if ask.alias not in found.get("aliases", ()):
        await _point(client, {"name": ask.model, "alias": ask.alias, "version": ask.version})
    return version_of(found)


async def _point(client: Client, body: Json) -> None:
    """Set an alias. Of two who make it at the same moment one is refused by the database; now it is there for both."""
    try:
        await client.post("registered-models/alias", body)
    except Failed as failed:
        if failed.code != CLASHED:
            raise
        await client.post("registered-models/alias", body)


async def tag(client: Client, ask: TagVersion) -> ModelVersion | Absent:
    """The version with these tags; MLflow takes them one by one."""
    found = await get(client, ask.model, ask.version)
    if found is None:
        return await missing(client, ResolveVersion(server=ask.server, model=ask.model, version=ask.version))
    version = version_of(found)
    lacking = {key: value for key, value in ask.tags if version.tags.get(key) != value}
    for entry in entries(lacking):
        await client.post("model-versions/set-tag", {"name": ask.model, "version": ask.version, **entry})
    return replace(version, tags={**version.tags, **lacking})


async def _tagged(client: Client, model: str, tag: str, value: str) -> tuple[ModelVersion, ...]:
    wanted = f"{equal(client, 'name', model)} AND {tagged(client, tag, value)}"
    found = await model_pages(client, "model-versions/search", "model_versions", "version_number DESC", filter_=wanted)
    # A database may compare without regard to case.
    return tuple(
        version for version in map(version_of, found) if version.model == model and version.tags.get(tag) == value
    )


async def _by_key(client: Client, ask: EnsureVersion) -> ModelVersion | None:
    """The version with this key; the oldest, where there are several by accident."""
    found = await _tagged(client, ask.model, KEY_TAG, ask.key)
    return found[-1] if found else None


async def _create(client: Client, ask: EnsureVersion) -> ModelVersion:
    """A new version with all its tags at once, so that it is never there without its key.

    Whoever else makes one at this moment means the older of the two as we do: therefore we look again.
    """
    body = {"name": ask.model, "source": ask.source, "tags": entries(dict(ask.tags) | {KEY_TAG: ask.key})}
    # MLflow wants to hear once more what the source of a logged model already says.
    optional = {"run_id": ask.run_id, "model_id": ask.model_id or _model_id(ask.source), "description": ask.description}
    body |= {name: value for name, value in optional.items() if value}
    try:
        created = await client.post("model-versions/create", body)
    except Failed as failed:
        if failed.code != ABSENT:
            raise
        await _make_model(client, ask.model)
        created = await client.post("model-versions/create", body)
    return await _by_key(client, ask) or version_of(created["model_version"])


async def _make_model(client: Client, name: str) -> None:
    """There is a registered model of this name, whoever made it."""
    try:
        await client.post("registered-models/create", {"name": name})
    except Failed as failed:
        if failed.code != EXISTS:
            raise


def _model_id(source: str) -> str:
    match = _LOGGED_MODEL.fullmatch(source)
    return match[1] if match else ""


def version_of(found: Json) -> ModelVersion:
    """A version of MLflow's as a value. Its logged model is read from its source: the field for it stays empty."""
    source, status = found.get("source", ""), found.get("status", _READY)
    return ModelVersion(
        model=found["name"],
        version=str(found["version"]),
        ready=status == _READY,
        run_id=found.get("run_id", ""),
        source=source,
        model_id=found.get("model_id") or _model_id(source),
        created_at=datetime.fromtimestamp(int(found["creation_timestamp"]) / 1000, UTC),
        status=status,
        tags=texts(found.get("tags", ())),
    )
