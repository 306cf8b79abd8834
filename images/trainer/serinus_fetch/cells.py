"""The cells of one column in one batch, made of what a format holds: which are missing, which are not of the type.

What counts as what:
- missing: null; NaN in a column of numbers; in csv what pandas reads as missing (an empty cell, NA, null, ...).
- parquet: a column has the type that the file declares. An int is a float too, a float never an int.
- csv: all is text. A cell has a type if it can be read so: 7, -7 and 007 are ints, 7.0 and 1e3 floats, true, False,
  0 and 1 bools, 2026-02-28 and 2026-02-28T10:00:00.5Z datetimes. Spaces around are no matter. Everything is a string.
- json lines: a cell has the type of its JSON value; a datetime is a string that would be one in csv.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

# What pandas takes as missing when it reads csv; training code sees it so.
CSV_MISSING: Final = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"),
    *("N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)
_DAY: Final = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_TIME: Final = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?"
_FORMS: Final[Mapping[str, str]] = {
    "int": r"^[+-]?\d+$",
    "float": r"^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[iI]nf(inity)?)$",
    "bool": r"^([tT]rue|TRUE|[fF]alse|FALSE|0|1)$",
    "datetime": rf"^{_DAY}([ T]{_TIME}( ?(Z|[+-]\d{{2}}(:?\d{{2}})?))?)?$",
}
EXAMPLE_LENGTH: Final = 60


@dataclass(frozen=True)
class Cells:
    """Those of the type, as an Arrow array without nulls; how many are missing; how many are not of it, and one."""

    valid: Any
    missing: int = 0
    wrong: int = 0
    example: str = ""


def of_array(array: Any, type_: str | None) -> Cells:  # noqa: ANN401 - pyarrow has no types
    """Cells of a typed array, as parquet has it."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    present = array.drop_null()
    if pa.types.is_floating(present.type):
        present = present.filter(pc.invert(pc.is_nan(present)))
    missing = len(array) - len(present)
    if type_ is None or pa.types.is_null(present.type) or _DECLARED[type_](present.type):
        return Cells(present, missing)
    return Cells(present.slice(0, 0), missing, len(present), f"the column is {present.type}")


def _is_text(type_: Any) -> bool:  # noqa: ANN401
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


_DECLARED: Final[Mapping[str, Callable[[Any], bool]]] = {
    "int": pa.types.is_integer,
    "float": lambda type_: pa.types.is_integer(type_) or pa.types.is_floating(type_),
    "string": _is_text,
    "bool": pa.types.is_boolean,
    "datetime": lambda type_: pa.types.is_timestamp(type_) or pa.types.is_date(type_),
}


def of_texts(array: Any, type_: str | None) -> Cells:  # noqa: ANN401
    """Cells of an array of texts, as csv has it; nulls are where a text stood for nothing."""
    present = array.drop_null()
    missing = len(array) - len(present)
    if type_ is None or type_ == "string":
        return Cells(present, missing)
    trimmed = pc.utf8_trim_whitespace(present)
    fits = pc.match_substring_regex(trimmed, _FORMS[type_])
    if type_ == "datetime":
        fits = pc.and_(fits, _are_days(pc.utf8_slice_codeunits(trimmed, 0, 10)))
    others = present.filter(pc.invert(fits))
    example = f"such as {shown(others[0].as_py())}" if len(others) else ""
    return Cells(_parsed(trimmed.filter(fits), type_), missing, len(others), example)


def _are_days(texts: Any) -> Any:  # noqa: ANN401
    """Whether there is such a day; Arrow takes 30 February for 2 March."""
    day = pc.strptime(texts, "%Y-%m-%d", "s", error_is_null=True)
    return pc.and_(pc.is_valid(day), pc.equal(pc.strftime(day.fill_null(0), "%Y-%m-%d"), texts))


def _parsed(texts: Any, type_: str) -> Any:  # noqa: ANN401
    """Texts of a type as values of it. An int that 64 bits cannot hold is as near as a float comes."""
    if type_ == "bool":
        return pc.is_in(pc.utf8_lower(texts), value_set=pa.array(["true", "1"]))
    if type_ == "float":
        return texts.cast(pa.float64())
    if type_ == "int":
        try:
            return pc.replace_substring_regex(texts, r"^\+", "").cast(pa.int64())
        except pa.ArrowInvalid:
            return texts.cast(pa.float64())
    return texts


def of_values(values: Sequence[object], type_: str | None) -> Cells:
    """Cells of the values that JSON holds."""
    present = [value for value in values if not _is_missing(value)]
    fits = [value for value in present if type_ is None or _is_of(value, type_)]
    missing, wrong = len(values) - len(present), len(present) - len(fits)
    example = next((f"such as {shown(value)}" for value in present if wrong and not _is_of(value, type_ or "")), "")
    return Cells(_array(fits, type_), missing, wrong, example)


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _is_of(value: object, type_: str) -> bool:
    if type_ == "datetime":
        return isinstance(value, str) and of_texts(pa.array([value]), type_).wrong == 0
    if isinstance(value, bool):
        return type_ == "bool"
    return isinstance(value, _KINDS.get(type_, ()))


_KINDS: Final[Mapping[str, tuple[type, ...]]] = {"int": (int,), "float": (int, float), "string": (str,)}


def _array(values: Sequence[object], type_: str | None) -> Any:  # noqa: ANN401
    """Values of a type as an array; those of any type as numbers where all are, else as texts."""
    if type_ is None and all(_is_of(value, "int") for value in values):
        type_ = "int"
    if type_ == "float" or (type_ is None and all(_is_of(value, "float") for value in values)):
        return pa.array([float(value) for value in values if isinstance(value, int | float)], pa.float64())
    if type_ == "int":
        try:
            return pa.array(values, pa.int64())
        except (OverflowError, pa.ArrowInvalid):
            return pa.array([float(str(value)) for value in values], pa.float64())
    if type_ == "bool":
        return pa.array(values, pa.bool_())
    return pa.array([_text(value) for value in values], pa.string())


def _text(value: object) -> str:
    plain = str(value).lower() if isinstance(value, bool) else str(value)
    return plain.encode("utf-8", "replace").decode()


def shown(value: object) -> str:
    """A value as an example, cut to a length that a status can hold."""
    text = repr(value)
    return text if len(text) <= EXAMPLE_LENGTH else f"{text[: EXAMPLE_LENGTH - 1]}…"
