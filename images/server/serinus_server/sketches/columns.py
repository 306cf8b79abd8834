"""The columns of one side, inputs or outputs, as they are counted."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby, islice
from typing import Any, Final

import numpy as np

from serinus_server.sketches.categories import Categories, name_of
from serinus_server.sketches.document import Side
from serinus_server.sketches.grid import Grid, Longs, Matrix
from serinus_server.sketches.merging import Sketch
from serinus_server.sketches.tables import NUMBERS, TIMES, table
from serinus_server.values import Array, Table, join

MOST_COLUMNS: Final = 200
# The most columns of one name, or none, that are remembered as left out.
_MOST_LEFT_OUT: Final = 10_000
_LONGEST_NAME: Final = 1_000


class Columns:
    """Counts what it is given, by column; columns beyond the most are left out, and their number told."""

    def __init__(self, most: int = MOST_COLUMNS) -> None:
        self._most = most
        self._grid = Grid()
        self._numbers: dict[str, int] = {}
        self._categories: dict[str, Categories] = {}
        self._left_out: set[int] = set()
        self._chance = np.random.default_rng()
        self.seen = 0
        self.sampled = 0

    def add(self, values: Iterable[Any], stride: int = 1) -> None:
        """Of all rows of these values one in `stride`, by chance."""
        for _, alike in groupby(values, _layout):
            whole = table(join(list(alike)))
            if whole is not None:
                self._some(whole, stride)

    def side(self) -> Side:
        """The sketches, as of now."""
        return Side(self.seen, self.sampled, len(self._left_out), self.sketches())

    def sketches(self, most: int = MOST_COLUMNS) -> dict[str, Sketch]:
        """Those of so many columns."""
        columns: dict[str, Sketch] = {
            str(name): self._grid.sketch(at) for name, at in islice(self._numbers.items(), most)
        }
        for name, sketch in islice(self._categories.items(), most):
            # What was sent as numbers and as text, which no signature allows, is two columns.
            columns[f"{name} (text)" if str(name) in columns else str(name)] = sketch
        return columns

    def _some(self, whole: Table, stride: int) -> None:
        self.seen += whole.rows
        some = whole if stride == 1 else _thinned(whole, self._chosen(whole.rows, stride))
        self.sampled += some.rows
        if some.rows:
            self._count(some)

    def _chosen(self, rows: int, stride: int) -> Longs:
        """Of each `stride` rows one, by chance: clients may send the same kind of row at each hundredth place."""
        firsts = np.arange(0, rows, stride)
        chosen = firsts + self._chance.integers(0, stride, len(firsts))
        return chosen[chosen < rows]

    def _count(self, rows: Table) -> None:
        if rows.matrix is not None and _is_number(rows.matrix):
            self._add_numbers(rows.names, rows.matrix)
            return
        arrays = rows.arrays if rows.matrix is None else tuple(rows.matrix.T)
        named = list(zip(rows.names, arrays, strict=True))
        numbers = [(name, one) for name, one in named if _is_number(one)]
        if numbers:
            self._add_numbers([name for name, _ in numbers], np.column_stack([_number(one) for _, one in numbers]))
        for name, one in named:
            if not _is_number(one) and self._knows(name, self._categories):
                self._add_categories(name, one)

    def _add_numbers(self, names: Sequence[str], rows: Array) -> None:
        places = [self._place(name) for name in names]
        wanted = [at for at, place in enumerate(places) if place is not None]
        if not wanted:
            return
        if len(wanted) < len(places):
            rows = rows[:, wanted]
        columns: Longs = np.array([place for place in places if place is not None], np.int64)
        self._grid.add(_number(rows), columns)

    def _place(self, name: str) -> int | None:
        """The column of the grid; None if this one is left out."""
        if not self._knows(name, self._numbers):
            return None
        return self._numbers.setdefault(name, len(self._numbers))

    def _knows(self, name: str, known: dict[str, Any]) -> bool:
        """Whether the column is sketched; a new one is, if there is room."""
        if name in known:
            return True
        if len(str(name)) <= _LONGEST_NAME and len(self._numbers) + len(self._categories) < self._most:
            return True
        # Counted, and not kept: names may be as long as a body.
        if len(self._left_out) < _MOST_LEFT_OUT:
            self._left_out.add(hash(name))
        return False

    def _add_categories(self, name: str, column: Array) -> None:
        counts: Counter[str] = Counter()
        missing = other = 0
        try:
            cells = Counter(column.ravel().tolist())
        except TypeError:
            # Lists and dicts, which are no categories.
            cells, other = Counter(), column.size
        for cell, count in cells.items():
            category = name_of(cell)
            if category is None:
                missing += count
            else:
                counts[category] += count
        self._categories[name] = self._categories.get(name, Categories()).plus(Categories(counts, other, missing))


def _layout(value: Any) -> object:
    """What values have in common that can be counted together; itself, as nothing else is, if it is counted alone."""
    if isinstance(value, Table):
        return value.names, value.matrix.dtype if value.matrix is not None else [one.dtype for one in value.arrays]
    if isinstance(value, np.ndarray) and value.ndim:
        return value.dtype, value.shape[1:]
    return id(value)


def _is_number(column: Array) -> bool:
    return column.dtype.kind in NUMBERS or column.dtype.kind in TIMES


def _thinned(whole: Table, chosen: Longs) -> Table:
    if whole.matrix is not None:
        return Table(whole.names, len(chosen), whole.matrix[chosen])
    return Table(whole.names, len(chosen), None, tuple(one[chosen] for one in whole.arrays))


def _number(column: Array) -> Matrix:
    """The column as float64; a time as seconds, one that is missing as NaN."""
    if column.dtype.kind not in TIMES:
        return column.astype(np.float64, copy=False)
    seconds = column / np.timedelta64(1, "s") if column.dtype.kind == "m" else _since_1970(column)
    return np.where(np.isnat(column), np.nan, seconds)


def _since_1970(column: Array) -> Array:
    return column.astype("datetime64[us]").astype(np.int64) / 1e6
