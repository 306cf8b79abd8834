"""From the tensors of a request to what the model takes, by its signature.

- A signature of columns takes a tensor for each column, of shape [n] or [n, 1]; or a single one of shape [n, columns]
  with the columns in the order of the signature. Inputs that it does not know are ignored, as MLflow does.
- A signature of tensors takes them by their names; a single one without a name whatever it is called.
- Without a signature a single tensor is the array that it is, and several are the columns of a data frame, as is a
  single one that says `content_type: pd`.
- What else a signature may have (lists, objects, maps, type hints) is put into the form of MLflow's protocol, and goes
  MLflow's way.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np

from serinus_server import columns, schema, shown, tensors
from serinus_server.columns import Elsewhere
from serinus_server.inference import fitting, hard
from serinus_server.inference.tensors import Tensor
from serinus_server.mlmodel import Recorded
from serinus_server.params import Params
from serinus_server.problems import RequestProblem
from serinus_server.scoring import call_of
from serinus_server.signature import Column
from serinus_server.values import Array, Call, Table, Value

_DOUBLE: Final = np.dtype(np.float64)
_PANDAS: Final = "pd"
_MATRIX: Final = 2


class Decodes(Protocol):
    """What reads requests of MLflow's protocol."""

    def decode(self, body: bytes, content_type: str) -> Call:
        """Raises a RequestProblem."""


class Inputs:
    """What one model takes."""

    def __init__(self, recorded: Recorded, scoring: Decodes) -> None:
        signature = recorded.signature
        self._signature = signature
        self._scoring = scoring
        self._params = Params(signature.params)
        self._param_names = frozenset(one.name for one in signature.params)
        self._joins = all(one.shape[:1] == (-1,) for one in signature.tensors)
        self._table = (
            _Columns(signature.columns) if signature.is_tabular and schema.can_decode(signature.columns) else None
        )
        is_plain = tensors.can_decode(signature.tensors) if signature.tensors else not signature.inputs
        has_hints = recorded.is_signature_from_type_hint or recorded.is_type_hint_from_example
        self._is_hard = has_hints or not (self._table is not None or is_plain)

    def call(self, given: Sequence[Tensor], parameters: Any) -> Call:
        """The call that is asked for; raises a RequestProblem."""
        if self._is_hard:
            return self._hard(given, parameters)
        try:
            params, key = self._params.enforce(self._given_params(parameters))
        except Elsewhere:
            return self._hard(given, parameters)
        return call_of(self._value(given, parameters), params, key, joins=self._joins)

    def _given_params(self, parameters: Any) -> dict[str, Any] | None:
        """What of the parameters is the model's: the others are of the protocol, or of proxies on the way."""
        if not parameters or not self._param_names:
            return None
        if type(parameters) is not dict:
            raise RequestProblem(400, f"parameters wants an object, and got {shown.value(parameters)}")
        return {name: value for name, value in parameters.items() if name in self._param_names}

    def _value(self, given: Sequence[Tensor], parameters: Any) -> Value:
        if self._table is not None:
            if len(given) == 1 and self._table.is_matrix(given[0]):
                return self._table.of_matrix(given[0])
            return self._table.of_tensors(by_name(given))
        if self._signature.tensors:
            return self._tensors(given)
        if not given:
            raise RequestProblem(400, "inputs is empty: at least one tensor is needed")
        says = type(parameters) is dict and parameters.get("content_type") == _PANDAS
        return _frame(by_name(given)) if says or len(given) > 1 else _array(given[0])

    def _tensors(self, given: Sequence[Tensor]) -> Array | dict[str, Array]:
        wanted = self._signature.tensors
        if wanted[0].name is None or (len(wanted) == 1 and len(given) == 1):
            if len(given) != 1:
                raise RequestProblem(400, f"the model takes one tensor, and the request has {len(given)}")
            array = fitting.to_tensor(wanted[0], given[0])
            return array if wanted[0].name is None else {wanted[0].name: array}
        named = by_name(given)
        for one in wanted:
            if one.name not in named:
                words = f"tensor {shown.name(one.name)} is missing; the request has {shown.names(named)}"
                raise RequestProblem(400, words, column=str(one.name))
        return {str(one.name): fitting.to_tensor(one, named[str(one.name)]) for one in wanted}

    def _hard(self, given: Sequence[Tensor], parameters: Any) -> Call:
        body = hard.body(self._signature, by_name(given), self._given_params(parameters))
        return self._scoring.decode(body, "application/json")


class _Columns:
    """A signature of named columns of single values."""

    def __init__(self, given: Sequence[Column]) -> None:
        self._columns = {str(one.name): one for one in given}
        self._names = tuple(self._columns)
        self._all_double = all(one.type == "double" for one in given)

    def is_matrix(self, given: Tensor) -> bool:
        """Whether the only input has all columns, and is not one of them."""
        shape = given.array.shape
        return len(shape) == _MATRIX and (shape[1] == len(self._names) > 1 or given.name not in self._columns)

    def of_matrix(self, given: Tensor) -> Table:
        """A row for each row."""
        matrix = given.array
        rows, width = matrix.shape
        if width != len(self._names):
            words = f"has {width} columns, and the model's signature {len(self._names)}: {shown.names(self._names)}"
            raise RequestProblem(400, f"input {shown.name(given.name)} of shape [{rows}, {width}] {words}")
        if self._all_double and given.datatype != fitting.BYTES:
            # Every number is a double.
            return Table(self._names, rows, matrix.astype(_DOUBLE, copy=False))
        return self._made({name: matrix[:, place] for place, name in enumerate(self._names)}, {}, given, rows)

    def of_tensors(self, given: Mapping[str, Tensor]) -> Table:
        """A column for each tensor; those that are not required may be missing."""
        known = {name: given[name] for name in self._names if name in given}
        for name, column in self._columns.items():
            if column.required and name not in given:
                raise columns.missing(column, given)
        if not known:
            words = f"none of the model's columns ({shown.names(self._names)}) is among the inputs"
            raise RequestProblem(400, f"{words}: {shown.names(given)}")
        arrays = {name: _column(one) for name, one in known.items()}
        return self._made(arrays, known, next(iter(known.values())), _common_length(arrays))

    def _made(self, arrays: Mapping[str, Array], given: Mapping[str, Tensor], other: Tensor, rows: int) -> Table:
        fitted = tuple(
            fitting.to_column(self._columns[name], given.get(name, other), array) for name, array in arrays.items()
        )
        names = self._names if len(fitted) == len(self._names) else tuple(arrays)
        if self._all_double:
            return Table(names, rows, np.column_stack(fitted))
        return Table(names, rows, None, tuple(map(np.ascontiguousarray, fitted)))


def by_name(given: Sequence[Tensor]) -> dict[str, Tensor]:
    """The tensors by their names, of which each may be there once."""
    named = {one.name: one for one in given}
    if len(named) < len(given):
        twice = _first_twice([one.name for one in given])
        raise RequestProblem(400, f"input {shown.name(twice)} is there twice", column=twice)
    return named


def _first_twice(names: list[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    raise AssertionError(names)


def _column(given: Tensor) -> Array:
    shape = given.array.shape
    if not shape or given.array.size != shape[0]:
        words = f"is a column, and wants the shape [n] or [n, 1], and got {list(shape)}"
        raise RequestProblem(400, f"input {shown.name(given.name)} {words}", column=given.name)
    return given.array.reshape(-1)


def _common_length(arrays: Mapping[str, Array]) -> int:
    first, array = next(iter(arrays.items()))
    for name, one in arrays.items():
        if len(one) != len(array):
            words = f"input {shown.name(name)} has {len(one)} rows, and {shown.name(first)} has {len(array)}"
            raise RequestProblem(400, f"{words}: all must have as many", column=name)
    return len(array)


def _array(given: Tensor) -> Array:
    """As it is; BYTES are text."""
    if given.datatype != fitting.BYTES:
        return given.array
    array: Array = np.array(fitting.texts(given, given.array), object).reshape(given.array.shape)
    return array


def _frame(given: Mapping[str, Tensor]) -> Table:
    arrays = {name: _array(one._replace(array=_column(one))) for name, one in given.items()}
    return Table(tuple(arrays), _common_length(arrays), None, tuple(arrays.values()))
