"""Tables: requests whose signature is of named columns of single values, decoded without pandas and without MLflow."""

from collections.abc import Mapping, Sequence
from math import nan
from operator import itemgetter
from typing import Any, Final, NoReturn

import numpy as np

from serinus_server import columns, room, shown
from serinus_server.columns import DTYPES, Elsewhere
from serinus_server.problems import RequestProblem
from serinus_server.signature import Column
from serinus_server.values import Array, Opaque, Table

type Decoded = Table | Opaque

_SPLIT: Final = {"columns", "data", "index"}
_SINGLE: Final = (str, int, float, bool, type(None))


def can_decode(given: Sequence[Column]) -> bool:
    """Whether every column has a type that is decoded here, and a name of its own."""
    return all(one.type in DTYPES for one in given) and len({one.name for one in given}) == len(given)


class Tabular:
    """The columns of a signature, and the four forms of JSON in which MLflow takes rows of them.

    Each method raises a RequestProblem for what MLflow refuses, and Elsewhere for what is left to MLflow's own code.
    """

    def __init__(self, given: Sequence[Column]) -> None:
        self._columns = {str(one.name): one for one in given}
        self._names = tuple(self._columns)
        self._listed = list(self._names)
        self._required = [one for one in given if one.required]
        self._all_double = all(one.type == "double" for one in given)
        self._row = itemgetter(*self._names)

    def split(self, content: Any) -> Decoded:
        """`dataframe_split`: columns, data, and an index that may be given."""
        if type(content) is not dict or "data" not in content or not content.keys() <= _SPLIT:
            raise RequestProblem(400, f"dataframe_split wants an object of columns and data, {_keys(content)}")
        given, data = content.get("columns"), content["data"]
        table = self._matrix(data) if self._all_double and given == self._listed else None
        if table is None:
            table = self._split(given, data)
        return table if content.get("index") is None else _indexed(table, content["index"])

    def records(self, content: Any) -> Decoded:
        """`dataframe_records`: a list of objects; what one of them lacks is NaN."""
        if type(content) is not list:
            raise RequestProblem(400, f"dataframe_records wants a list of objects, not {shown.kind(content)}")
        if not all(type(one) is dict for one in content):
            raise Elsewhere
        table = self._all_rows(content)
        if table is not None:
            return table
        present = {name for row in content for name in row}
        self._check(present)
        room.check_rows(content, len(present & self._columns.keys()))
        arrays = {
            name: columns.of_frame(column, [row.get(name, nan) for row in content])
            for name, column in self._columns.items()
            if name in present
        }
        return self._table(arrays, len(content))

    def inputs(self, content: Any) -> Decoded:
        """`inputs`: an object of lists, one for each column, or a list of objects."""
        if type(content) is dict:
            return self._by_column(content)
        if type(content) is not list:
            self._shapeless(content)
        if content and all(type(one) is dict for one in content):
            return self._by_row(content)
        if len(self._names) == 1 and not any(type(one) is dict for one in content):
            return self._by_column({self._names[0]: content})
        return self._shapeless(content)

    def instances(self, content: Any) -> Decoded:
        """`instances`: a list of objects, or what `inputs` has."""
        if type(content) is not list or not content or type(content[0]) is not dict:
            return self.inputs(content)
        if not all(type(one) is dict for one in content):
            raise RequestProblem(400, "instances wants objects only or none at all, and this mixes them with others")
        table = self._all_rows(content) if self._all_double else None
        if table is not None and all(len(one) == len(self._names) for one in content):
            return table
        _check_alike(content)
        return self._by_row(content)

    def _matrix(self, data: Any) -> Table | None:
        """Doubles in rows of the right length, as nearly all requests of the kind are; None if it is anything else."""
        try:
            matrix = np.array(data, np.float64)
        except (TypeError, ValueError, OverflowError):
            return None
        if matrix.ndim != 2 or matrix.shape[1] != len(self._names):  # noqa: PLR2004 - rows and columns
            return None
        return Table(self._names, len(matrix), matrix)

    def _all_rows(self, rows: list[Any]) -> Table | None:
        if not self._all_double or not rows:
            return None
        try:
            return self._matrix(list(map(self._row, rows)))
        except KeyError:
            return None

    def _split(self, given: Any, data: Any) -> Table:
        if type(data) is not list:
            if type(data) is dict:
                raise Elsewhere
            raise RequestProblem(400, f"data of dataframe_split wants a list of rows, not {shown.value(data)}")
        if not all(type(row) is list for row in data):
            raise Elsewhere
        places = self._places(given)
        _check_widths(data, len(given))
        room.check_rows(data, len(places))
        arrays = {
            name: columns.of_frame(column, _cells(data, places[name]))
            for name, column in self._columns.items()
            if name in places
        }
        return self._table(arrays, len(data))

    def _places(self, given: Any) -> dict[str, int]:
        if type(given) is not list or any(type(name) in {list, dict} for name in given):
            raise RequestProblem(400, f"columns of dataframe_split wants a list of names, not {shown.value(given)}")
        places = {name: place for place, name in enumerate(given) if type(name) is str}
        self._check(places)
        if len(places) < len(given):
            self._check_once(given)
        return places

    def _check_once(self, given: list[Any]) -> None:
        seen = set()
        for name in given:
            if name in seen and name in self._columns:
                words = f"column {shown.name(name)} is there twice, and the model's signature has it once"
                raise RequestProblem(400, words, column=name)
            seen.add(name)

    def _check(self, present: Mapping[str, Any] | set[str]) -> None:
        for column in self._required:
            if column.name not in present:
                raise columns.missing(column, present)
        if not any(name in present for name in self._names):
            raise Elsewhere

    def _by_column(self, content: dict[str, Any]) -> Table:
        self._check(content)
        if all(type(one) in _SINGLE for one in content.values()) and content.keys() <= self._columns.keys():
            return self._by_row([content])
        for name, cells in content.items():
            if type(cells) is not list or (name not in self._columns and not _is_flat(cells)):
                raise Elsewhere
        arrays = {
            name: columns.of_list(column, content[name]) for name, column in self._columns.items() if name in content
        }
        return self._table(arrays, _common_length(content))

    def _by_row(self, rows: list[dict[str, Any]]) -> Table:
        present = {name for row in rows for name in row}
        self._check(present)
        if not all(_is_flat(row.values()) for row in rows):
            raise Elsewhere
        names = [name for name in self._names if name in present]
        room.check_rows(rows, len(names))
        return self._table({name: self._gathered(self._columns[name], rows) for name in names}, len(rows))

    def _gathered(self, column: Column, rows: list[dict[str, Any]]) -> Array:
        name = str(column.name)
        if all(name in row for row in rows):
            return columns.of_list(column, [row[name] for row in rows])
        if column.type == "double":
            return columns.of_list(column, [row.get(name) for row in rows])
        raise Elsewhere

    def _table(self, arrays: dict[str, Array], rows: int) -> Table:
        names = self._names if len(arrays) == len(self._names) else tuple(arrays)
        if not self._all_double:
            return Table(names, rows, None, tuple(arrays.values()))
        return Table(names, rows, np.column_stack(list(arrays.values())))

    def _shapeless(self, content: Any) -> NoReturn:
        """A list or a value that does not say which columns it is of."""
        if not self._required:
            raise Elsewhere
        words = f"the model's signature has named columns ({shown.names(self._names)}): send an object of them"
        raise RequestProblem(400, f"{words}, not {shown.kind(content)}", column=str(self._required[0].name))


def _keys(content: Any) -> str:
    if type(content) is not dict:
        return f"not {shown.kind(content)}"
    return f"and may have an index; this has {shown.names(content)}"


def _check_widths(rows: list[list[Any]], width: int) -> None:
    """pandas fills short rows up, so long as one is as long as there are columns."""
    widths = list(map(len, rows))
    if widths and max(widths) != width:
        row = widths.index(max(widths))
        raise RequestProblem(400, f"row {row}, counted from 0, has {widths[row]} values for {width} columns")


def _cells(rows: list[list[Any]], place: int) -> list[Any]:
    return [row[place] if place < len(row) else None for row in rows]


def _check_alike(rows: list[dict[str, Any]]) -> None:
    first = rows[0].keys()
    for at, row in enumerate(rows):
        if row.keys() != first:
            odd = next(iter(row.keys() ^ first))
            words = f"{shown.name(odd)} is in some of the instances and not in all (see {at}, counted from 0)"
            raise RequestProblem(400, words, column=odd)


def _common_length(content: dict[str, list[Any]]) -> int:
    name, cells = next(iter(content.items()))
    for other, more in content.items():
        if len(more) != len(cells):
            words = f"column {shown.name(other)} has {len(more)} values, and {shown.name(name)} has {len(cells)}"
            raise RequestProblem(400, f"{words}: all must have as many", column=other)
    return len(cells)


def _is_flat(cells: Any) -> bool:
    return not any(type(one) in {list, dict} for one in cells)


def _indexed(table: Table, index: Any) -> Decoded:
    """With an index of its own, which the model may see, it is predicted alone; the usual one is no such."""
    if type(index) is not list or not _is_flat(index) or not table.rows:
        # Of no rows pandas makes as many as the index has.
        raise Elsewhere
    if len(index) != table.rows:
        raise RequestProblem(400, f"the index of dataframe_split has {len(index)} values for {table.rows} rows")
    if index == list(range(table.rows)):
        return table
    frame = table.frame()
    frame.index = index
    return Opaque(frame, enforced=True)
