"""Rules that a schema cannot say: one CEL expression for the API server and the same in Python for `parse`."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

VALIDATIONS = "x-kubernetes-validations"


@dataclass(frozen=True)
class Rule:
    """What must hold, and what a user reads where it does not: what is wrong and what to do.

    `expression` is CEL for a message that names the value; `message` stands in where that cannot be evaluated.
    As metadata of an annotated type a rule is about that value; as an attribute of a model, about the whole model.
    A rule about what cannot change is one for the API server `at_creation` only.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]
    expression: str = ""
    at_creation: bool = False

    def wire(self) -> dict[str, str | bool]:
        """The rule as `x-kubernetes-validations` has it."""
        expression = {"messageExpression": self.expression} if self.expression else {}
        return {**self._condition(), "message": self.message, **expression}

    def _condition(self) -> dict[str, str | bool]:
        """What was stored under an earlier definition must not be refused for ever: its status could not be written."""
        if self.at_creation:
            return {"rule": f"oldSelf.hasValue() || ({self.cel})", "optionalOldSelf": True}
        return {"rule": self.cel}

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        wire = handler(schema)
        return wire | {VALIDATIONS: [*wire.get(VALIDATIONS, []), self.wire()]}

    def _check[T](self, value: T) -> T:
        if not self.holds(value):
            raise broken(self.message)
        return value


def rule[T](
    cel: str, message: str, *, expression: str = "", at_creation: bool = False
) -> Callable[[Callable[[T], bool]], Rule]:
    """Make a method of a model the Python side of a rule."""
    return lambda holds: Rule(cel, message, holds, expression, at_creation)


@cache
def rules_of(model: type) -> tuple[Rule, ...]:
    """The rules of a model, in the order in which they are written."""
    return tuple(value for base in reversed(model.__mro__) for value in vars(base).values() if isinstance(value, Rule))


def exactly_one(*fields: str) -> str:
    """CEL: one of these fields is there, and no other."""
    return f"[{_there(fields)}].exists_one(there, there)"


def at_most_one(*fields: str) -> str:
    """CEL: no two of these fields are there."""
    return f"[{_there(fields)}].filter(there, there).size() <= 1"


def count(*values: object) -> int:
    """How many of the values are there."""
    return sum(value is not None for value in values)


def quoted(text: str) -> str:
    """The text as a CEL string."""
    return json.dumps(text)


def broken(message: str) -> PydanticCustomError:
    """The error that `parse` reports with exactly this message."""
    return PydanticCustomError("rule", "{message}", {"message": message})


def _there(fields: tuple[str, ...]) -> str:
    return ", ".join(f"has(self.{field})" for field in fields)
