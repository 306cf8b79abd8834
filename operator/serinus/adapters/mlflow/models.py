"""What the files of a version say of it, read through the server: the artifact store's credentials stay with MLflow."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import yaml

from serinus.adapters.mlflow import versions
from serinus.adapters.mlflow.client import Client, Json, all_of
from serinus.asks import Absent, ModelDetails, ReadModel, ResolveVersion, TroubleKind

_RUNS = "runs:/"
# Deeper than any model is described. libyaml composes what it reads by recursion, without an eye on the stack.
_DEPTH = 50


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Makes no objects, and does not merge: merges of merges grow exponentially. libyaml is quick where it is there."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Leave a merge key where it is: nothing can be made of it, and the file is refused."""


async def read(client: Client, ask: ReadModel) -> ModelDetails | Absent:
    """What MLmodel and requirements.txt say."""
    known = {"name": ask.model, "version": ask.version, "source": ask.source}
    found = known if ask.source else await versions.get(client, ask.model, ask.version)
    if found is None:
        return await versions.missing(client, ResolveVersion(server=ask.server, model=ask.model, version=ask.version))
    described, required = await all_of(_file(client, found, name) for name in ("MLmodel", "requirements.txt"))
    if described is None:
        return Absent(f"MLmodel file of version {ask.version!r} of model {ask.model!r}")
    try:
        return await asyncio.to_thread(_details, described, required or b"")
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise client.party.trouble(
            TroubleKind.REFUSED,
            f"has version {ask.version} of model {ask.model!r} with files that cannot be read "
            f"({type(error).__name__}): log the model anew",
        ) from error


async def _file(client: Client, version: Json, name: str) -> bytes | None:
    """A file of a version. The server finds it by the version, unless that was made from an address of a run."""
    source = version.get("source", "")
    if source.startswith(_RUNS):
        run_id, _, folder = source.removeprefix(_RUNS).lstrip("/").partition("/")
        path = f"{folder.rstrip('/')}/{name}".lstrip("/")
        return await client.file("get-artifact", {"run_id": run_id, "path": path})
    query = {"name": version["name"], "version": version["version"], "path": name}
    return await client.file("model-versions/get-artifact", query)


def _details(described: bytes, required: bytes) -> ModelDetails:
    model = _loaded(described)
    flavors, size = model.get("flavors") or {}, model.get("model_size_bytes")
    lines = (line.strip() for line in required.decode().splitlines())
    return ModelDetails(
        flavors=tuple(sorted(map(_text, flavors))),
        signature=_signature(model.get("signature")),
        input_example=_text((model.get("saved_input_example_info") or {}).get("artifact_path")) or None,
        requirements=tuple(line for line in lines if line and not line.startswith("#")),
        python=_text((flavors.get("python_function") or {}).get("python_version")),
        size=size if isinstance(size, int) else None,
    )


def _loaded(described: bytes) -> Any:  # noqa: ANN401 (whatever a user's program wrote)
    depth = 0
    for event in yaml.parse(described, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH:
            raise ValueError(f"more than {_DEPTH} levels")
    return yaml.load(described, Loader=_Loader)  # noqa: S506 (a safe loader)


def _text(value: object) -> str:
    """A text; anything else counts as none."""
    return value if isinstance(value, str) else ""


def _signature(written: Mapping[str, str | None] | None) -> Mapping[str, Any] | None:
    """The signature, whose parts are JSON inside of YAML; None if the model was logged without."""
    if not written:
        return None
    return {part: json.loads(written[part] or "null") for part in ("inputs", "outputs", "params") if part in written}
