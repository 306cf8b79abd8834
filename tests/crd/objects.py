"""Valid objects, which between them fill in every field, and ways to change one place in them."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from serinus.api.invalid import Invalid
from serinus.api.modeldeployment import ModelDeployment
from serinus.api.resource import Resource
from serinus.api.trainingjob import TrainingJob

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]

type Json = Any
type Step = str | int

VALID: dict[str, Json] = {
    path.stem: yaml.safe_load(path.read_text()) for path in sorted((HERE / "valid").glob("*.yaml"))
}
DEFINITIONS: dict[str, Json] = {
    definition["spec"]["names"]["kind"]: definition
    for definition in (yaml.safe_load(path.read_text()) for path in sorted((CHECKOUT / "crds").glob("*.yaml")))
}


PARSE: dict[str, Callable[[Json], Resource | Invalid]] = {
    "TrainingJob": TrainingJob.parse,
    "ModelDeployment": ModelDeployment.parse,
}


def schema_of(kind: str) -> Json:
    """The schema that the API server gets."""
    return DEFINITIONS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def steps(path: str) -> list[Step]:
    """`spec.gate[0].min` as the keys and indexes that lead there."""
    return [int(index) if index else name for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path)]


def get(document: Json, path: str) -> Json:
    """What is at a path; a LookupError or TypeError where there is nothing."""
    for step in steps(path):
        document = document[step]
    return document


def put(document: Json, path: str, value: Json) -> Json:
    """A copy with another value at a path."""
    if not path:
        return value
    changed = copy.deepcopy(document)
    _parent(changed, path)[steps(path)[-1]] = value
    return changed


def without(document: Json, path: str) -> Json:
    """A copy with nothing at a path."""
    changed = copy.deepcopy(document)
    del _parent(changed, path)[steps(path)[-1]]
    return changed


def _parent(document: Json, path: str) -> Json:
    for step in steps(path)[:-1]:
        document = document[step]
    return document


def example_for(kind: str, path: str) -> Json:
    """The first valid object of the kind in which the path leads somewhere, or at least its parent does."""
    of_kind = [document for document in VALID.values() if document["kind"] == kind]
    parent = re.sub(r"(\.?[^.\[\]]+|\[\d+\])$", "", path)
    return next(document for end in (path, parent) for document in of_kind if _leads(document, end))


def _leads(document: Json, path: str) -> bool:
    try:
        return get(document, path) is not None
    except (LookupError, TypeError):
        return False


def unnamed(document: Json, path: str) -> Json:
    """The object under a name that is free, unless it is the name or the status that is looked at."""
    if not path or path.startswith(("metadata", "status")):
        return document
    return document | {"metadata": document["metadata"] | {"name": "free"}}
