"""What one column turned out to be, added up batch by batch, and which of its expectations that breaks."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from serinus_fetch.cells import Cells, of_texts, shown
from serinus_fetch.order import Column

type Found = tuple[str, str]


@dataclass
class Tally:
    """How many rows of a column are not as expected, and how far off."""

    column: Column
    rows: int = 0
    missing: int = 0
    wrong: int = 0
    wrong_example: str = ""
    below: int = 0
    least: float | None = None
    above: int = 0
    greatest: float | None = None
    outside: int = 0
    outside_example: str = ""

    def add(self, cells: Cells) -> None:
        """One more batch."""
        cells = self._numbers(cells) if self._has_bounds() else cells
        self.rows += len(cells.valid) + cells.missing + cells.wrong
        self.missing += cells.missing
        self.wrong += cells.wrong
        self.wrong_example = self.wrong_example or cells.example
        if len(cells.valid):
            self._add_bounds(cells.valid)
            self._add_members(cells.valid)

    def _has_bounds(self) -> bool:
        return self.column.min is not None or self.column.max is not None

    def _numbers(self, cells: Cells) -> Cells:
        """Bounds are about numbers: without a type, texts are read as such, and anything else is wrong."""
        kind = cells.valid.type
        if len(cells.valid) == 0 or pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return cells
        read = of_texts(cells.valid.cast(pa.string()), "float")
        return Cells(read.valid, cells.missing, cells.wrong + read.wrong, cells.example or read.example)

    def _add_bounds(self, valid: Any) -> None:  # noqa: ANN401 - pyarrow has no types
        if (low := self.column.min) is not None and (count := _count(pc.less(valid, pa.scalar(low)))):
            self.below += count
            self.least = _of(min, self.least, pc.min(valid).as_py())
        if (high := self.column.max) is not None and (count := _count(pc.greater(valid, pa.scalar(high)))):
            self.above += count
            self.greatest = _of(max, self.greatest, pc.max(valid).as_py())

    def _add_members(self, valid: Any) -> None:  # noqa: ANN401
        if not self.column.one_of:
            return
        compared, members = _comparable(valid, self.column.one_of)
        others = valid.filter(pc.invert(pc.is_in(compared, value_set=members)))
        self.outside += len(others)
        if len(others) and not self.outside_example:
            self.outside_example = shown(others[0].as_py())

    def broken(self) -> Iterator[Found]:
        """What was expected and what was found, for each expectation that does not hold."""
        if self.missing and not self.column.nullable:
            yield "no missing values", f"{self._of(self.missing)} null"
        if self.wrong:
            expected = f"type {self.column.type}" if self.column.type else "numbers"
            yield expected, f"{self._of(self.wrong)} of another type, {self.wrong_example}"
        if self.below:
            yield (
                f"no value below {_plain(self.column.min)}",
                f"{self._of(self.below)} below, {_most('least', self.least)}",
            )
        if self.above:
            found = f"{self._of(self.above)} above, {_most('greatest', self.greatest)}"
            yield f"no value above {_plain(self.column.max)}", found
        if self.outside:
            members = ", ".join(map(str, self.column.one_of))
            yield f"one of {members}", f"{self._of(self.outside)} of another value, such as {self.outside_example}"

    def _of(self, count: int) -> str:
        return f"{count} of {self.rows} rows are"


def _comparable(valid: Any, members: tuple[int | str, ...]) -> tuple[Any, Any]:  # noqa: ANN401
    """Both as numbers where the column has numbers, else as texts: 1 is 1.0, and "1" where all is text."""
    kind = valid.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return valid.cast(pa.float64(), safe=False), pa.array(_as_numbers(members), pa.float64())
    if pa.types.is_boolean(kind):
        truth = {"true": "true", "1": "true", "false": "false", "0": "false"}
        return valid.cast(pa.string()), pa.array([truth.get(str(one).lower(), "") for one in members], pa.string())
    return valid.cast(pa.string()), pa.array([str(one) for one in members], pa.string())


def _as_numbers(members: tuple[int | str, ...]) -> list[float]:
    texts = of_texts(pa.array([str(one) for one in members]), "float")
    numbers: list[float] = texts.valid.to_pylist()
    return numbers


def _count(mask: Any) -> int:  # noqa: ANN401
    return int(pc.sum(mask).as_py() or 0)


def _of(choose: Any, known: float | None, new: float) -> float:  # noqa: ANN401
    chosen: float = new if known is None else choose(known, new)
    return chosen


def _most(word: str, value: float | None) -> str:
    return f"the {word} is {_plain(value)}"


def _plain(number: float | None) -> str:
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number)
