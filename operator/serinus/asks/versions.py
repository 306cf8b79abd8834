"""Versions of models: what they are, what may be asked of them, and what may be ordered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from serinus.asks.base import Absent, Pairs, RegistryAsk


@dataclass(frozen=True)
class ModelVersion:
    """A registered version, as the registry has it now."""

    model: str
    version: str
    ready: bool
    run_id: str = ""
    source: str = ""
    model_id: str = ""
    created_at: datetime | None = None
    status: str = "READY"
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelDetails:
    """What the files of a version say of it."""

    flavors: tuple[str, ...]
    signature: Mapping[str, Any] | None
    input_example: str | None
    requirements: tuple[str, ...]
    python: str
    size: int | None


@dataclass(frozen=True, kw_only=True)
class ResolveVersion(RegistryAsk[ModelVersion | Absent]):
    """Which version an alias points at, or what a version is; exactly one of the two is given."""

    model: str
    alias: str = ""
    version: str = ""


@dataclass(frozen=True, kw_only=True)
class ReadModel(RegistryAsk[ModelDetails | Absent]):
    """What the files of a version say of it. `source` is where they are, as far as that is known."""

    model: str
    version: str
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class FindVersions(RegistryAsk[tuple[ModelVersion, ...]]):
    """The versions of a model that have a tag, newest first."""

    model: str
    tag: str
    value: str


@dataclass(frozen=True, kw_only=True)
class EnsureVersion(RegistryAsk[ModelVersion]):
    """There is one version of the model with this key, made from this source if it is missing.

    The model is made if it is missing. The key is a tag of the version; of two by accident, the older one is meant.
    """

    order: ClassVar[bool] = True

    model: str
    key: str
    source: str
    run_id: str
    model_id: str = ""
    description: str = ""
    tags: Pairs = ()


@dataclass(frozen=True, kw_only=True)
class SetAlias(RegistryAsk[ModelVersion | Absent]):
    """The alias points at this version."""

    order: ClassVar[bool] = True

    model: str
    alias: str
    version: str


@dataclass(frozen=True, kw_only=True)
class TagVersion(RegistryAsk[ModelVersion | Absent]):
    """The version has these tags."""

    order: ClassVar[bool] = True

    model: str
    version: str
    tags: Pairs
