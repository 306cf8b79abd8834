"""Whether rows that are predicted together come out as they do alone: tried, on rows that differ.

Not to the last bit: a matrix of many rows is multiplied in another order than one of a single row, and the last bits
differ in MLflow too when a client sends ten rows instead of one. What normalises over a batch, ranks it, or fills gaps
from it differs by far more than that.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np

from serinus_server import values
from serinus_server.values import Array, Table, Value

_LEAST_TO_COMPARE: Final = 2
# So many rows are enough, and an example may have a million.
_MOST: Final = 16
_SEED: Final = 20_260_101
_SCALES: Final = np.array([1.0, 1.0, -1.0, 0.0, 0.1, 0.5, 2.0, -3.0, 10.0, 100.0])
# What rounding may do to numbers of single precision; doubles may have been made of such. Outputs that are all smaller
# than the second are the same by this measure, and are not joined.
_RELATIVE: Final = 1e-4
_ABSOLUTE: Final = 1e-6


class Predicts(Protocol):
    """Anything that can be asked."""

    def predict(self, value: Value, params: dict[str, Any] | None) -> Any:
        """The outputs."""


def is_by_row(model: Predicts, value: Value | None, params: dict[str, Any] | None) -> bool:
    """False too if it cannot be told: of rows that all come out the same, or of an example that fails."""
    if value is None:
        return False
    try:
        return _is_by_row(model, value, params)
    except Exception:  # noqa: BLE001 (whatever it is, then it is not by row)
        return False


def _is_by_row(model: Predicts, value: Value, params: dict[str, Any] | None) -> bool:
    logged = [_row(value, at) for at in range(min(_count(value), _MOST))]
    rows, alone = [], []
    for one in [*logged, *_others(value)]:
        try:
            found = values.split(model.predict(one, params), [1])
        except Exception:  # noqa: BLE001, S112 (the model may not take what was made up)
            continue
        rows.append(one)
        alone.append(found)
    if len(rows) < max(_LEAST_TO_COMPARE, len(logged)) or all(equal(alone[0], one) for one in alone):
        return False
    # Each in three companies: all of them, the logged ones first, and half of them, once beside itself.
    count = len(rows)
    companies = ([*reversed(range(count)), 0], list(range(count)), list(range(0, count, 2)))
    return all(_comes_out(model, params, rows, alone, company) for company in companies)


def _others(value: Value) -> list[Value]:
    """Rows that are unlike those of the example: its values in other company, and its numbers larger and smaller."""
    if not isinstance(value, Table) or not value.rows:
        return []
    random = np.random.default_rng(_SEED)
    columns = value.arrays if value.matrix is None else tuple(value.matrix.T)
    chosen = [one[random.integers(value.rows, size=len(_SCALES))] for one in columns]
    made = [(one * _SCALES).astype(one.dtype) if one.dtype.kind in "if" else one for one in chosen]
    matrix = None if value.matrix is None else np.column_stack(made)
    mixed = Table(value.names, len(_SCALES), matrix, () if matrix is not None else tuple(made))
    return [_row(mixed, at) for at in range(mixed.rows)]


def _comes_out(model: Predicts, params: Any, rows: list[Value], alone: list[Any], company: list[int]) -> bool:
    together = model.predict(values.join([rows[at] for at in company]), params)
    found = values.split(together, [1] * len(company))
    if found is None:
        return False
    return all(alone[at] is not None and equal(alone[at][0], one) for at, one in zip(company, found, strict=True))


def _count(value: Value) -> int:
    if isinstance(value, Table):
        return value.rows
    if isinstance(value, dict):
        return min((len(one) for one in value.values()), default=0)
    return len(value) if isinstance(value, np.ndarray) else 0


def _row(value: Value, at: int) -> Value:
    if isinstance(value, Table):
        matrix = None if value.matrix is None else value.matrix[at : at + 1]
        return Table(value.names, 1, matrix, tuple(one[at : at + 1] for one in value.arrays))
    if isinstance(value, dict):
        return {name: one[at : at + 1] for name, one in value.items()}
    if isinstance(value, np.ndarray):
        return value[at : at + 1]
    raise TypeError(f"rows of {type(value).__name__} cannot be told apart")


def equal(one: Any, other: Any) -> bool:
    """Whether two outputs are the same but for rounding: frames, arrays, lists and dicts of numbers and words."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    if hasattr(one, "columns") and hasattr(other, "columns") and list(one.columns) != list(other.columns):
        return False
    return _is_array(_array(one), _array(other))


def _is_array(one: Array, other: Array) -> bool:
    if one.shape != other.shape or one.dtype.kind != other.dtype.kind:
        return False
    if one.dtype == object:
        return all(_is_element(left, right) for left, right in zip(one.flat, other.flat, strict=True))
    if one.dtype.kind not in "fc":
        return bool(np.array_equal(one, other))
    return np.allclose(one, other, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True)


def _is_element(one: Any, other: Any) -> bool:
    if isinstance(one, (float, Mapping, list, tuple, np.ndarray)):
        return equal(one, other)
    return bool(one is other or one == other)


def _array(value: Any) -> Array:
    return np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value)
