"""What both kinds are: metadata, spec, status, and the way from the API server's object to a model."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from serinus.api import names
from serinus.api.base import StatusPart, Wire
from serinus.api.invalid import Invalid
from serinus.api.rules import rule

_NAME = "^[a-z]([-a-z0-9]*[a-z0-9])?$"


@dataclass(frozen=True)
class PrinterColumn:
    """A column of `kubectl get`; a wide one shows with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False


AGE = PrinterColumn("Age", ".metadata.creationTimestamp", type="date")


@dataclass(frozen=True)
class Scale:
    """Where the scale subresource finds its fields."""

    replicas: str
    status_replicas: str
    selector: str


@dataclass(frozen=True)
class Definition:
    """How the API server serves a kind."""

    kind: str
    plural: str
    short: str
    columns: tuple[PrinterColumn, ...]
    scale: Scale | None = None


class Metadata(StatusPart):
    """What the API server knows about an object, as far as decisions need it."""

    name: str = Field(min_length=1)
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class Resource(Wire):
    """An object of one of our kinds."""

    definition: ClassVar[Definition]

    metadata: Metadata

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Self | Invalid:
        """The model of an object as the API server has it, or what is wrong with it."""
        try:
            return cls.model_validate(raw, by_alias=True, by_name=False)
        except ValidationError as error:
            return Invalid.of(error)

    # Names of children, of Services among them, are made from it.
    @rule(
        f"self.metadata.name.size() <= {names.RESOURCE_NAME_LENGTH} && self.metadata.name.matches('{_NAME}')",
        f"metadata.name must have {names.RESOURCE_NAME_LENGTH} characters at most, a letter first, then letters, "
        "digits or '-', for the names of Services and pods are made from it: choose another name",
        at_creation=True,
    )
    def _name_leaves_room(self) -> bool:
        name = self.metadata.name
        return len(name) <= names.RESOURCE_NAME_LENGTH and re.fullmatch(_NAME, name) is not None


def _or_lost(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    try:
        return handler(value)
    except ValidationError:
        return handler({})


# Metadata of a status: what cannot be read counts as lost, and is rebuilt like one that was.
LOST_IF_UNREADABLE = WrapValidator(_or_lost)
