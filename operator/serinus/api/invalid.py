"""What is wrong with an object, by field, in words for a condition."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from pydantic import ValidationError
from pydantic_core import ErrorDetails

SHOWN = 5
VALUE_LENGTH = 60


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the field as the user writes it, such as `spec.gate[0].min`, and what to do."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


@dataclass(frozen=True)
class Invalid:
    """An object that does not say what to do."""

    problems: tuple[Problem, ...]

    @classmethod
    def of(cls, error: ValidationError) -> Self:
        """The problems that pydantic found."""
        details = error.errors(include_url=False, include_context=False)
        return cls(tuple(Problem(_path(detail["loc"]), _message(detail)) for detail in details))

    @property
    def message(self) -> str:
        """All of it in one line."""
        shown = "; ".join(str(problem) for problem in self.problems[:SHOWN])
        more = len(self.problems) - SHOWN
        return f"{shown}; and {more} more" if more > 0 else shown


def _path(location: Iterable[int | str]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")


def _message(detail: ErrorDetails) -> str:
    match detail["type"]:
        case "missing":
            return "is required: add it"
        case "extra_forbidden":
            return "is not a field: correct its name, or leave it out"
        case "rule":
            return detail["msg"]
        case _:
            return f"{detail['msg']}{_shown(detail['input'])}"


def _shown(value: object) -> str:
    """The value, if it is short; whole objects are not shown, for they may hold what is nobody's business."""
    if isinstance(value, Mapping | list | tuple) or len(repr(value)) > VALUE_LENGTH:
        return ""
    return f", not {value!r}"
