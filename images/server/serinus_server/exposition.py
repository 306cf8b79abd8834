"""Metric families, and the two text forms in which Prometheus reads them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

CLASSIC: Final = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

type Kind = Literal["counter", "gauge", "histogram", "info"]
# What a family's name is followed by, the labels as text, and the value.
type Line = tuple[str, str, float]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name has no `_total` or `_info`, which belongs to the lines."""

    name: str
    kind: Kind
    meaning: str
    lines: Iterable[Line]


def counter(name: str, meaning: str, values: Mapping[str, float] | float) -> Family:
    """A counter; the values by their labels as text, or one value without labels."""
    by_labels = values if isinstance(values, Mapping) else {"": values}
    return Family(name, "counter", meaning, [("_total", text, value) for text, value in by_labels.items()])


def gauge(name: str, meaning: str, values: Mapping[str, float] | float) -> Family:
    """A gauge, likewise."""
    by_labels = values if isinstance(values, Mapping) else {"": values}
    return Family(name, "gauge", meaning, [("", text, value) for text, value in by_labels.items()])


def labels(**pairs: object) -> str:
    """The labels as they stand in a line, with their braces; a trailing underscore of a name is left out."""
    inner = ",".join(f'{name.rstrip("_")}="{_escaped(str(value))}"' for name, value in pairs.items())
    return f"{{{inner}}}" if inner else ""


def expose(families: Iterable[Family], accept: str = "") -> tuple[bytes, str]:
    """All families in the form that the Accept header names, the classic one by default, and the type of that form."""
    open_metrics = "application/openmetrics-text" in accept
    lines = [line for family in families for line in _lines(family, open_metrics=open_metrics)]
    if open_metrics:
        lines.append("# EOF")
    return ("\n".join(lines) + "\n").encode("utf-8", "replace"), OPEN_METRICS if open_metrics else CLASSIC


def number(value: float) -> str:
    """A value as both forms write it; whole numbers without a fraction."""
    if isinstance(value, int):
        return str(value)
    if value != value:  # noqa: PLR0124 (the one value that differs from itself: NaN)
        return "NaN"
    return repr(float(value)).replace("inf", "Inf")


def _lines(family: Family, *, open_metrics: bool) -> Iterator[str]:
    # The classic form has no type `info`, and there the head bears the name of the lines.
    name, kind = family.name, family.kind
    if not open_metrics:
        name += {"counter": "_total", "info": "_info"}.get(kind, "")
        kind = "gauge" if kind == "info" else kind
    yield f"# HELP {name} {_escaped(family.meaning) if open_metrics else _one_line(family.meaning)}"
    yield f"# TYPE {name} {kind}"
    for suffix, text, value in family.lines:
        yield f"{family.name}{suffix}{text} {number(value)}"


def _one_line(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _escaped(text: str) -> str:
    return _one_line(text).replace('"', '\\"')
