"""From a tensor to what the signature wants: a number becomes the wanted type if it is the same number afterwards.

Only to `float` is rounded, as numbers in JSON are. MLflow itself refuses tables of int64 for double, which its own JSON
does not know; and it cuts in JSON what is behind the point, which is refused here, since the sender said the type.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from serinus_server import columns, shown
from serinus_server.columns import Elsewhere
from serinus_server.inference.tensors import Tensor
from serinus_server.problems import RequestProblem
from serinus_server.signature import Column
from serinus_server.signature import Tensor as Wanted
from serinus_server.values import Array

# How a column of a signature is told to clients of this protocol.
DATATYPES: Final[Mapping[str, str]] = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
}
BYTES: Final = "BYTES"
# Of which nanoseconds in 64 bits reach every day.
_YEARS: Final = range(1678, 2262)


def to_column(column: Column, given: Tensor, array: Array) -> Array:
    """The values of one column, for which the array has a value for each row."""
    wanted = DATATYPES.get(column.type)
    if (wanted is None) != (given.datatype == BYTES):
        words = f"column {shown.name(column.name)} wants {column.type} ({wanted or BYTES})"
        raise RequestProblem(400, f"{words}, and got {given.datatype}", column=str(column.name))
    if wanted is None:
        return _text_column(column, texts(given, array))
    fitted, bad = _cast(array, columns.DTYPES[column.type])
    if bad is None:
        return fitted
    got = f"row {bad}, counted from 0, has {shown.value(array[bad].item())}"
    raise RequestProblem(
        400, f"column {shown.name(column.name)} wants {column.type}, and {got}", column=str(column.name)
    )


def to_tensor(wanted: Wanted, given: Tensor) -> Array:
    """The array in the dtype and the shape that the signature has."""
    name = str(wanted.name or "")
    subject = f"tensor {shown.name(wanted.name)}" if wanted.name else f"the tensor ({shown.name(given.name)} here)"
    if given.datatype == BYTES:
        raise RequestProblem(400, f"{subject} wants {wanted.dtype}, and got BYTES", column=name)
    array, bad = _cast(given.array, wanted.dtype)
    if bad is not None:
        got = f"value {bad}, counted from 0, is {shown.value(given.array.reshape(-1)[bad].item())}"
        raise RequestProblem(400, f"{subject} wants {wanted.dtype}, and {got}", column=name)
    if len(array.shape) != len(wanted.shape) or any(
        size not in {-1, real} for size, real in zip(wanted.shape, array.shape, strict=True)
    ):
        words = f"{subject} wants the shape {list(wanted.shape)}, -1 being any number, and got {list(array.shape)}"
        raise RequestProblem(400, words, column=name)
    return array


def texts(given: Tensor, array: Array) -> list[Any]:
    """The values of a tensor of BYTES as text; null, which only JSON has, is None."""
    values = array.reshape(-1).tolist()
    try:
        return [one.decode() if type(one) is bytes else one for one in values]
    except UnicodeDecodeError:
        at = next(number for number, one in enumerate(values) if type(one) is bytes and not _is_text(one))
        words = f"input {shown.name(given.name)}: value {at}, counted from 0, is no UTF-8"
        raise RequestProblem(400, words, column=given.name) from None


def _text_column(column: Column, values: list[Any]) -> Array:
    try:
        return columns.of_frame(column, values)
    except Elsewhere:
        return _moments(column, values)


def _moments(column: Column, values: list[Any]) -> Array:
    """Of forms of ISO other than the plain ones; times with a zone become UTC."""
    moments = [_moment(one) for one in values]
    if "" in moments:
        at = moments.index("")
        got = f"row {at}, counted from 0, has {shown.value(values[at])}"
        raise RequestProblem(
            400, f"column {shown.name(column.name)} wants datetime, and {got}", column=str(column.name)
        )
    return np.array(moments, "datetime64[ns]")


def _moment(text: str | None) -> dt.datetime | str | None:
    """None for null; empty if it is no moment, or none that nanoseconds reach."""
    if text is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return ""
    return moment if moment.year in _YEARS else ""


def _cast(array: Array, wanted: np.dtype[Any]) -> tuple[Array, int | None]:
    """The array as the wanted dtype, and the place of the first value that is another then."""
    if array.dtype == wanted:
        return array, None
    if wanted.kind == "f":
        with np.errstate(over="ignore"):
            return array.astype(wanted), None
    fits = _fits(array, wanted).reshape(-1)
    if not fits.all():
        return array, int(fits.argmin())
    return array.astype(wanted), None


def _fits(array: Array, wanted: np.dtype[Any]) -> Array:
    if wanted.kind == "b":
        return np.asarray((array == 0) | (array == 1))
    if array.dtype.kind == "b":
        return np.ones(array.shape, np.bool_)
    limits = np.iinfo(wanted)
    if array.dtype.kind == "f":
        # The number after the greatest has a float of its own; the greatest of 64 bits has none.
        array = array.astype(np.float64)
        return np.asarray((array == np.floor(array)) & (array >= limits.min) & (array < float(limits.max + 1)))
    return np.asarray((array >= limits.min) & (array <= limits.max))


def _is_text(one: bytes) -> bool:
    try:
        one.decode()
    except UnicodeDecodeError:
        return False
    return True
