"""What /sketches answers with: the sketches of one server, which can be added to those of another.

    {"format": "serinus.dev/sketches/v1", "model": {"name": …, "version": …, "revision": …},
     "inputs": {"seen": 1200, "sampled": 1200, "left_out": 0, "columns": {
        "age":  {"kind": "number", "level": 0, "relative_error": 0.0039, "missing": 3, "zero": 0, "above": 0,
                 "below": 0, "buckets": [[131456, 17], …]},
        "city": {"kind": "category", "missing": 0, "other": 0, "counts": {"Bonn": 12}}}},
     "outputs": {…}}

`seen` are the rows that came by, `sampled` those that were counted: fewer where more came than the budget of time
allows. `left_out` columns were beyond the most that are sketched. Keys of buckets are explained in `keys`: of a number
above 0 the upper `18 - level` bits of its float64 below the sign, of one below 0 the same with a minus.
`above` and `below` are the infinite ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from serinus_server.sketches import merging
from serinus_server.sketches.merging import Sketch

FORMAT: Final = "serinus.dev/sketches/v1"


@dataclass(frozen=True, slots=True)
class Side:
    """The inputs, or the outputs."""

    seen: int = 0
    sampled: int = 0
    left_out: int = 0
    columns: Mapping[str, Sketch] = field(default_factory=dict)

    def plus(self, other: "Side") -> "Side":
        """Both together; ValueError if a column is of numbers here and of categories there."""
        names = sorted(self.columns.keys() | other.columns.keys())
        columns = {name: self._both(name, other) for name in names}
        left_out = max(self.left_out, other.left_out)
        return Side(self.seen + other.seen, self.sampled + other.sampled, left_out, columns)

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        # A name may hold half of a pair of surrogates, which is no JSON.
        columns = {name.encode("utf-8", "replace").decode(): sketch.document() for name, sketch in self.columns.items()}
        return {"seen": self.seen, "sampled": self.sampled, "left_out": self.left_out, "columns": columns}

    def _both(self, name: str, other: "Side") -> Sketch:
        mine, theirs = self.columns.get(name), other.columns.get(name)
        if mine is None or theirs is None:
            return mine or theirs  # type: ignore[return-value]  # one of them has the name
        try:
            return merging.merge(mine, theirs)
        except ValueError as error:
            raise ValueError(f"column {name}: {error}") from error


@dataclass(frozen=True, slots=True)
class Document:
    """The sketches of one server, or of several of the same version together."""

    model: Mapping[str, str] = field(default_factory=dict)
    inputs: Side = field(default_factory=Side)
    outputs: Side = field(default_factory=Side)

    def plus(self, other: "Document") -> "Document":
        """Both together, under the name of the first."""
        return Document(self.model, self.inputs.plus(other.inputs), self.outputs.plus(other.outputs))

    def json(self) -> bytes:
        """The body of /sketches."""
        sides = {"inputs": self.inputs.document(), "outputs": self.outputs.document()}
        return orjson.dumps({"format": FORMAT, "model": dict(self.model), **sides})


def parse(body: bytes) -> Document:
    """The document of `Document.json`; ValueError if it is none of this format."""
    told = orjson.loads(body)
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        found = told.get("format") if isinstance(told, dict) else type(told).__name__
        raise ValueError(f"these are no sketches of format {FORMAT}, but {found!r}")
    return Document(told["model"], _side(told["inputs"]), _side(told["outputs"]))


def _side(told: Mapping[str, Any]) -> Side:
    columns = {str(name): merging.parse(one) for name, one in told["columns"].items()}
    return Side(int(told["seen"]), int(told["sampled"]), int(told["left_out"]), columns)
