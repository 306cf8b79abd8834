"""What a model took or gave as columns of single values, where it is made of such; and what it costs to count them."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np

from serinus_server.values import Array, Opaque, Table

# Kinds of dtype that are numbers: float, integers, boolean; and times, which become seconds.
NUMBERS: Final = "fiub"
TIMES: Final = "Mm"
# A tensor with more features a row is told by the mean, the smallest and the largest of them.
MOST_FEATURES: Final = 256
_LOOKED_AT: Final = 1024
# What stands for the name of the only column of an array.
ONLY: Final = "0"
# What counting a string costs in numbers, and how many of its letters cost as much as a number.
_OF_STRING: Final = 16
_LETTERS: Final = 64


def weight(value: Any) -> int:
    """About what it costs, in time and memory, to keep and count this: in numbers."""
    if isinstance(value, Table):
        return value.matrix.size if value.matrix is not None else sum(map(_array_weight, value.arrays))
    if isinstance(value, np.ndarray):
        return _array_weight(value)
    if isinstance(value, dict):
        return sum(map(weight, value.values()))
    if isinstance(value, Opaque):
        return weight(value.value) if not isinstance(value.value, Opaque) else 0
    # A DataFrame and a list: what is in them is looked at when they are counted, which is at once if they are large.
    return int(getattr(value, "size", 0)) * _OF_STRING if hasattr(value, "dtypes") else _list_weight(value)


def _array_weight(array: Array) -> int:
    if array.dtype.kind != "O":
        return array.size if array.dtype.kind in "fiubMm" else array.size * _OF_STRING + array.nbytes // _LETTERS
    return _list_weight(array.ravel().tolist())


def _list_weight(cells: Any) -> int:
    if not isinstance(cells, list):
        return 0
    try:
        letters = sum(map(len, cells))
    except TypeError:
        # Slower, and only where something is missing.
        letters = sum(len(cell) for cell in cells if isinstance(cell, (str, bytes, list)))
    return len(cells) * _OF_STRING + letters // _LETTERS


def table(value: Any) -> Table | None:
    """The columns; None if there are none to be made out."""
    if isinstance(value, Table):
        return value
    if isinstance(value, np.ndarray):
        return _of_array(value)
    if isinstance(value, Opaque):
        return table(value.value) if not isinstance(value.value, Opaque) else None
    if isinstance(value, dict):
        return _of_dict(value)
    if isinstance(value, list):
        return _of_list(value)
    return _of_pandas(value) if hasattr(value, "to_numpy") else None


@lru_cache(maxsize=16)
def positions(count: int) -> tuple[str, ...]:
    """The names of columns that have none."""
    return tuple(map(str, range(count)))


def _of_array(array: Array) -> Table | None:
    if not array.ndim:
        return None
    rows = len(array)
    if array.ndim == 1 and array.dtype.kind not in NUMBERS:
        return Table((ONLY,), rows, None, (array,))
    features = array.reshape(rows, -1) if array.size else array.reshape(rows, 0)
    if features.shape[1] > MOST_FEATURES:
        return _summary(features)
    if array.dtype.kind in NUMBERS:
        return Table(positions(features.shape[1]), rows, features)
    return Table(positions(features.shape[1]), rows, None, tuple(features.T))


def _summary(features: Array) -> Table | None:
    """A look at some of them, evenly spread, because a picture has more values than there is time for."""
    if features.dtype.kind not in NUMBERS:
        return None
    some = features[:, :: -(-features.shape[1] // _LOOKED_AT)].astype(np.float64)
    with np.errstate(all="ignore"):
        told = np.column_stack([some.mean(axis=1), some.min(axis=1), some.max(axis=1)])
    return Table(("mean", "min", "max"), len(features), told)


def _of_dict(values: Mapping[Any, Any]) -> Table | None:
    """Each output of its name; one with several features has their numbers behind it."""
    names: list[str] = []
    arrays: list[Array] = []
    for name, value in values.items():
        part = table(value if not isinstance(value, list) else _array(value))
        if part is None or (arrays and len(arrays[0]) != part.rows):
            return None
        names += [str(name)] if len(part.names) == 1 else [f"{name}[{one}]" for one in part.names]
        arrays += _columns(part)
    return Table(tuple(names), len(arrays[0]), None, tuple(arrays)) if arrays else None


def _of_list(values: list[Any]) -> Table | None:
    array = _array(values)
    return None if array is None else _of_array(array)


def _array(values: list[Any]) -> Array | None:
    """The list as an array, of numbers or of whatever is in it as it is; None if it is ragged."""
    try:
        array = np.asarray(values)
    except ValueError:
        return None
    return array if array.dtype.kind in NUMBERS or array.ndim != 1 else np.fromiter(values, object, len(values))


def _of_pandas(value: Any) -> Table | None:
    """A DataFrame by column, a Series as the only one."""
    if getattr(value, "ndim", 0) == 1:
        return _of_array(np.asarray(value.to_numpy()))
    columns = [np.asarray(value.iloc[:, at].to_numpy()) for at in range(value.shape[1])]
    return Table(tuple(map(str, value.columns)), len(value), None, tuple(columns))


def _columns(part: Table) -> Sequence[Array]:
    return part.arrays if part.matrix is None else list(part.matrix.T)
