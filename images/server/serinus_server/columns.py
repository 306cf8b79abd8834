"""One column of a signature: from the values that JSON has to the array that MLflow would have handed to the model.

MLflow has two ways, and so has this: of `dataframe_split` and `dataframe_records` pandas infers a type, which is then
cast; of `instances` and `inputs` numpy makes the wanted type at once. They differ in small things, such as null.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import inf, nan
from types import NoneType
from typing import Any, Final

import numpy as np

from serinus_server import shown
from serinus_server.problems import RequestProblem
from serinus_server.signature import Column
from serinus_server.values import Array

type Convert = Callable[[Sequence[Any]], Array]

DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "boolean": np.dtype(np.bool_),
    "integer": np.dtype(np.int32),
    "long": np.dtype(np.int64),
    "float": np.dtype(np.float32),
    "double": np.dtype(np.float64),
    "string": np.dtype(object),
    "datetime": np.dtype("datetime64[ns]"),
}
_UNFIT: Final = (TypeError, ValueError, OverflowError)
_HUGE: Final = 2**63
_DAY: Final = len("2020-01-01")
# The years of which every day is in the range of nanoseconds.
_MOMENT: Final = re.compile(
    r"(17\d\d|18\d\d|19\d\d|20\d\d|21\d\d)-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?", re.ASCII
)


class Elsewhere(Exception):
    """Not decided here: what MLflow does of this request is for MLflow's own code to say."""


def of_frame(column: Column, values: Sequence[Any]) -> Array:
    """The array of a column of a data frame; raises a RequestProblem that names the first value that does not fit."""
    return _converted(column, values, _OF_FRAME[column.type])


def of_list(column: Column, values: Sequence[Any]) -> Array:
    """The array of a column of `instances` or `inputs`; raises as `of_frame` does."""
    return _converted(column, values, _OF_LIST[column.type])


def is_text(array: Array) -> bool:
    """Whether pandas takes an array of objects for one of strings, by which the model may tell it from others."""
    kinds = set(map(type, array.tolist()))
    return str in kinds and (kinds <= {str, NoneType} or _text_with_gaps(kinds, array))


def missing(column: Column, given: Iterable[object]) -> RequestProblem:
    """A required column that is not there."""
    words = f"column {shown.name(column.name)} ({column.type}) is required by the model's signature, and missing"
    return RequestProblem(400, f"{words}; the request has {shown.names(given)}", column=str(column.name))


def _text_with_gaps(kinds: set[type], array: Array) -> bool:
    return kinds <= {str, NoneType, float} and all(one != one for one in array if type(one) is float)  # noqa: PLR0124 - NaN


def _converted(column: Column, values: Sequence[Any], convert: Convert) -> Array:
    try:
        array = convert(values)
    except _UNFIT:
        raise _unfit(column, values, convert) from None
    if array.ndim != 1:
        raise _unfit(column, values, convert)
    return array


def _unfit(column: Column, values: Sequence[Any], convert: Convert) -> RequestProblem:
    row = _first(values, convert)
    words = f"column {shown.name(column.name)} wants {column.type}"
    got = f"row {row}, counted from 0, has {shown.value(values[row])}"
    return RequestProblem(400, f"{words}, and {got}", column=str(column.name))


def _first(values: Sequence[Any], convert: Convert) -> int:
    """The first value that does not fit, by halves: a million good ones before it are no attack."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _fits(values[low:middle], convert) else (low, middle)
    return low


def _fits(values: Sequence[Any], convert: Convert) -> bool:
    try:
        return convert(values).ndim == 1
    except _UNFIT:
        return False


def _plain(dtype: np.dtype[Any], values: Sequence[Any]) -> Array:
    # A number beyond the range of float32 is infinite there too.
    with np.errstate(over="ignore"):
        return np.array(values, dtype)


def _double(values: Sequence[Any]) -> Array:
    return np.array(values, np.float64)


def _float(values: Sequence[Any]) -> Array:
    if set(map(type, values)) == {int}:
        if _any_huge(values):
            raise Elsewhere
        # Not by way of a double, which would round twice.
        return np.array(values, np.int64).astype(np.float32)
    return _plain(DTYPES["float"], values)


def _whole(dtype: np.dtype[Any], values: Sequence[Any]) -> Array:
    if set(map(type, values)) == {int, float}:
        # pandas makes them all floats first, and cuts what is behind the point.
        values = np.array(values, np.float64).tolist()
    return np.array(values, dtype)


def _boolean(values: Sequence[Any]) -> Array:
    kinds = set(map(type, values))
    if NoneType in kinds and len(kinds) > 1 and bool not in kinds:
        if not (kinds <= {int, float, NoneType} or kinds == {str, NoneType}) or _any_huge(values):
            raise Elsewhere
        # Among numbers and strings pandas makes null NaN, and that is true.
        values = [True if one is None else one for one in values]
    return np.fromiter(map(bool, values), np.bool_, len(values))


def _string(values: Sequence[Any]) -> Array:
    kinds = set(map(type, values))
    if kinds & {int, float} and kinds != {int}:
        if _any_huge(values):
            raise Elsewhere
        if kinds <= {int, float, NoneType}:
            values = [nan if one is None else float(one) for one in values]
    return np.fromiter(values, np.object_, len(values))


def _string_of_list(values: Sequence[Any]) -> Array:
    """As numpy's array of strings, but without the room of the longest for each."""
    kinds = set(map(type, values))
    if kinds & {list, dict} or not values or (float in kinds and _any_huge(values)):
        raise Elsewhere
    return np.fromiter((str(one).rstrip("\0") for one in values), np.object_, len(values))


def _boolean_of_list(values: Sequence[Any]) -> Array:
    if list in set(map(type, values)):
        raise Elsewhere
    return np.array(values, np.bool_)


def _datetime(values: Sequence[Any]) -> Array:
    """Of strings of one ISO form only: of others numpy and pandas think differently."""
    given = [one for one in values if one is not None]
    forms = {_form(one) for one in given}
    if len(forms) > 1 or None in forms:
        raise Elsewhere
    try:
        return np.array(values, DTYPES["datetime"])
    except ValueError:
        raise Elsewhere from None


def is_moment(one: Any) -> bool:
    """Whether it is a date, or a date and a time without a zone, that everybody reads alike."""
    return type(one) is str and _MOMENT.fullmatch(one) is not None


def _form(one: Any) -> tuple[int, str] | None:
    if is_moment(one):
        return len(one), one[_DAY : _DAY + 1]
    return None


def _any_huge(values: Sequence[Any]) -> bool:
    """Whether a number is beyond 64 bits, where the JSON parsers differ: one makes floats of such integers."""
    return any(type(one) in (int, float) and _HUGE <= abs(one) < inf for one in values)


_OF_FRAME: Final[dict[str, Convert]] = {
    "boolean": _boolean,
    "integer": partial(_whole, DTYPES["integer"]),
    "long": partial(_whole, DTYPES["long"]),
    "float": _float,
    "double": _double,
    "string": _string,
    "datetime": _datetime,
}
_OF_LIST: Final[dict[str, Convert]] = {
    "boolean": _boolean_of_list,
    "integer": partial(_plain, DTYPES["integer"]),
    "long": partial(_plain, DTYPES["long"]),
    "float": partial(_plain, DTYPES["float"]),
    "double": _double,
    "string": _string_of_list,
    "datetime": _datetime,
}
