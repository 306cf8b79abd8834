"""What the models of spec and status have in common."""

from dataclasses import dataclass
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from serinus.api.rules import Rule, broken, rules_of

T = TypeVar("T")

# A list on the wire is a tuple in Python; only the list itself is read leniently.
Items = Annotated[tuple[T, ...], Strict(strict=False)]

LIST_TYPE = "x-kubernetes-list-type"
LIST_KEYS = "x-kubernetes-list-map-keys"
# Our own keyword, of which `schema.served` makes a sentence.
OUTSIDE = "x-serinus-outside-revision"


class Wire(BaseModel):
    """A model that is camelCase on the wire and snake_case in Python, and keeps its rules."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        ignored_types=(Rule,),
    )

    def wire(self) -> dict[str, Any]:
        """What the API server stores: defaults left out, so that writing one down is the same as not writing it."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        wrong = [rule.message for rule in rules_of(type(self)) if not rule.holds(self)]
        if wrong:
            raise broken("; ".join(wrong))
        return self


class SpecPart(Wire):
    """A piece of a spec: takes no unknown field and no wrong type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class StatusPart(Wire):
    """A piece of a status: passes over what it does not know, for a newer operator may have written it."""

    model_config = ConfigDict(extra="ignore")


@dataclass(frozen=True)
class KeyedBy:
    """Metadata of a list whose items are told apart by one field: merged by it, and never there twice."""

    key: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {LIST_TYPE: "map", LIST_KEYS: [self.key]}

    def _check[L: tuple[BaseModel, ...]](self, items: L) -> L:
        keys = [getattr(item, self.key) for item in items]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise broken(f"{self.key} {', '.join(twice)} is there more than once: give each item its own")
        return items


class _OutsideRevision:
    """See OUTSIDE_REVISION."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {OUTSIDE: True}


# Metadata of a field that changes how something is done and not what comes of it: a change of it makes no new revision.
OUTSIDE_REVISION = _OutsideRevision()


def clipped(length: int) -> BeforeValidator:
    """Metadata of a text or list in status: what is too long is cut, a text at its end, a list at its oldest."""
    return BeforeValidator(lambda value: _clip(value, length))


def _clip(value: object, length: int) -> object:
    match value:
        case str() if len(value) > length:
            return value[: length - 1] + "…"
        case list() | tuple() if len(value) > length:
            return value[-length:]
        case _:
            return value


# In status: a name or identifier; a line for people; where something is.
Word = Annotated[str, Field(max_length=253), clipped(253)]
Line = Annotated[str, Field(max_length=1024), clipped(1024)]
Address = Annotated[str, Field(max_length=2048), clipped(2048)]
