"""The order: what to fetch and what it must meet, as JSON. Its fields have the names that the API gives them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from serinus_fetch.failures import Permanent

VARIABLE: Final = "SERINUS_FETCH"
# The result of more would not fit into a termination message.
MOST_INPUTS: Final = 32


@dataclass(frozen=True)
class Git:
    """Code in a Git repository: a commit if one is known, else what `ref` points to ("" is the default branch)."""

    url: str
    ref: str = ""
    commit: str = ""
    path: str = ""


@dataclass(frozen=True)
class Column:
    """What is expected of one column."""

    type: str | None = None
    min: float | None = None
    max: float | None = None
    nullable: bool = True
    one_of: tuple[int | str, ...] = ()


@dataclass(frozen=True)
class Expectation:
    """What is expected of a table."""

    min_rows: int = 0
    columns: Mapping[str, Column] = field(default_factory=dict)


@dataclass(frozen=True)
class Input:
    """A file or folder: where it is, where to put it if it must be downloaded, and what it must meet."""

    name: str
    uri: str
    sha256: str = ""
    at: Path = Path()
    expect: Expectation | None = None


@dataclass(frozen=True)
class Order:
    """Everything that is to be fetched."""

    git: Git | None = None
    inputs: tuple[Input, ...] = ()


def parse(text: str) -> Order:
    """The order that a text holds; Permanent where it holds none."""
    try:
        order = _order(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Permanent(
            f"{VARIABLE} holds no order ({type(error).__name__}: {error}): the operator writes it, nobody else"
        ) from None
    if len(order.inputs) > MOST_INPUTS:
        raise Permanent(f"{VARIABLE} has {len(order.inputs)} inputs, and {MOST_INPUTS} at most: leave some out")
    return order


def _order(wire: Mapping[str, Any]) -> Order:
    git = (wire.get("source") or {}).get("git")
    return Order(Git(**git) if git else None, tuple(_input(one) for one in wire.get("inputs") or ()))


def _input(wire: Mapping[str, Any]) -> Input:
    expect = wire.get("expect")
    return Input(
        name=wire["name"],
        uri=wire["uri"],
        sha256=wire.get("sha256") or "",
        at=Path(wire.get("at") or ""),
        expect=None if expect is None else _expectation(expect),
    )


def _expectation(wire: Mapping[str, Any]) -> Expectation:
    columns = {name: _column(column) for name, column in (wire.get("columns") or {}).items()}
    return Expectation(int(wire.get("minRows") or 0), columns)


def _column(wire: Mapping[str, Any]) -> Column:
    return Column(
        type=wire.get("type"),
        min=_number(wire.get("min")),
        max=_number(wire.get("max")),
        nullable=bool(wire.get("nullable", True)),
        one_of=tuple(wire.get("in") or ()),
    )


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))
