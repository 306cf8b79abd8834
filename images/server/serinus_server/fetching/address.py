"""What the address of a model means."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from serinus_server.problems import SETTINGS, ModelProblem

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_MODEL_ID: Final = re.compile(r"m-[0-9a-f]{32}")
_KNOWN: Final = "models:/<name>/<version>, models:/<name>@<alias>, models:/m-<id>, runs:/<run id>/<path>, a folder"


@dataclass(frozen=True, slots=True)
class Local:
    """A folder on this machine."""

    path: Path


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a registered model."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Alias:
    """What a registered model's alias points to."""

    name: str
    alias: str


@dataclass(frozen=True, slots=True)
class Logged:
    """A logged model by its id."""

    model_id: str


@dataclass(frozen=True, slots=True)
class Store:
    """Anything else that MLflow can download."""

    uri: str


type Address = Local | Version | Alias | Logged | Store


def parse(uri: str) -> Address:
    """What an address means; SETTINGS if it is no address of a pinned model."""
    if not uri.strip():
        raise ModelProblem(SETTINGS, f"the address of the model is empty: give one of {_KNOWN}")
    scheme = _SCHEME.match(uri)
    if scheme is None or Path(uri).exists():
        return Local(Path(uri))
    if scheme[1].lower() == "file":
        return Local(_of_file(uri))
    if scheme[1].lower() == "models":
        return _of_models(uri)
    return Store(uri.rstrip("/"))


def is_model_id(text: str) -> bool:
    """Whether a text is the id of a logged model."""
    return _MODEL_ID.fullmatch(text) is not None


def local_folder(location: str) -> Path | None:
    """The folder that an artifact location means, if it is one on this machine."""
    address = parse(location)
    return address.path if isinstance(address, Local) else None


def _of_file(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.netloc not in {"", "localhost"}:
        raise ModelProblem(SETTINGS, f"{uri} names the host {parts.netloc!r}: write file:///{parts.path.lstrip('/')}")
    return Path(os.fsdecode(unquote(parts.path)))


def _of_models(uri: str) -> Address:
    body = uri.partition(":")[2].strip("/")
    name, slash, rest = body.partition("/")
    if not slash and _MODEL_ID.fullmatch(name):
        return Logged(name)
    if not slash and "@" in name:
        name, _, alias = name.rpartition("@")
        return Alias(name, alias) if name and alias else _refuse(uri)
    return Version(name, rest) if name and rest.isdecimal() else _refuse(uri)


def _refuse(uri: str) -> Address:
    """Stages, `latest` and folders within a model name nothing that stays what it is."""
    raise ModelProblem(SETTINGS, f"{uri} does not name one pinned model: give one of {_KNOWN}")
