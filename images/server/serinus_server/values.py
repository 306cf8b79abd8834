"""What is predicted: the rows of one request or of several together, in the form that costs least until a model asks.

A `Table` holds columns of single values; a numpy array or a dict of arrays are tensors; anything else is `Opaque`, as
MLflow's own code has parsed it, and is predicted alone.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

type Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns in the order of the signature. Of one dtype they are one matrix; else an array for each."""

    names: tuple[str, ...]
    rows: int
    matrix: Array | None = None
    arrays: tuple[Array, ...] = ()

    def frame(self) -> "pd.DataFrame":
        """The DataFrame that MLflow's enforcement of the signature would have made of it."""
        # A third of a second that a model of numbers alone can do without.
        import pandas as pd

        if self.matrix is not None:
            # Column by column in memory, as MLflow's are: sums of products differ in the last bit.
            return pd.DataFrame(np.asfortranarray(self.matrix), columns=list(self.names), copy=False)
        return pd.DataFrame(dict(zip(self.names, self.arrays, strict=True)), copy=False)


@dataclass(frozen=True, slots=True)
class Opaque:
    """As MLflow has parsed it, enforced or not: it goes through MLflow's own `predict`, by itself."""

    value: Any
    enforced: bool = False
    # Of a chat: what is answered has no `predictions` around it.
    bare: bool = False


type Value = Table | Array | dict[str, Array] | Opaque


@dataclass(frozen=True, slots=True)
class Call:
    """One request, checked: its rows, its params, and what of it may be predicted together with others."""

    value: Value
    rows: int
    params: dict[str, Any] | None = None
    # Calls of the same key may be joined; None: this one is predicted alone.
    key: Hashable | None = None
    # The request's own, for the tap and for feedback.
    request_id: str = field(default="", compare=False)


def join(values: Sequence[Value]) -> Value:
    """The rows of several values of the same key below each other."""
    first = values[0]
    if len(values) == 1:
        return first
    if isinstance(first, Table):
        return _joined(first, [one for one in values if isinstance(one, Table)])
    if isinstance(first, dict):
        parts = [one for one in values if isinstance(one, dict)]
        return {name: np.concatenate([one[name] for one in parts]) for name in first}
    return np.concatenate([one for one in values if isinstance(one, np.ndarray)])


def _joined(first: Table, tables: list[Table]) -> Table:
    rows = sum(one.rows for one in tables)
    if first.matrix is not None:
        return Table(first.names, rows, np.concatenate([one.matrix for one in tables if one.matrix is not None]))
    columns = zip(*(one.arrays for one in tables), strict=True)
    return Table(first.names, rows, None, tuple(np.concatenate(parts) for parts in columns))


def key_of(value: Value) -> Hashable | None:
    """What two values must have in common to be joined; None if this one cannot be joined with any."""
    if isinstance(value, Table):
        dtypes = (value.matrix.dtype.str,) if value.matrix is not None else tuple(a.dtype.str for a in value.arrays)
        return value.names, dtypes
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape[1:]
    if isinstance(value, dict):
        return tuple((name, one.dtype.str, one.shape[1:]) for name, one in value.items())
    return None


def split(outputs: Any, sizes: Sequence[int]) -> list[Any] | None:
    """The outputs of joined values, for each its own; None if these outputs are not one for each row."""
    if isinstance(outputs, dict):
        return _split_each(outputs, sizes)
    try:
        if len(outputs) != sum(sizes) or isinstance(outputs, (str, bytes)):
            return None
    except TypeError:
        return None
    at, parts = 0, []
    rows = outputs.iloc if hasattr(outputs, "iloc") else outputs
    for size in sizes:
        parts.append(rows[at : at + size])
        at += size
    return parts


def _split_each(outputs: dict[str, Any], sizes: Sequence[int]) -> list[Any] | None:
    """Outputs by name, as of tensors: each must be one for each row."""
    columns = {name: split(one, sizes) for name, one in outputs.items()}
    if not columns:
        return None
    found = {name: one for name, one in columns.items() if one is not None}
    if len(found) < len(columns):
        return None
    return [{name: one[at] for name, one in found.items()} for at in range(len(sizes))]
