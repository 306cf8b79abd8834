"""Two ways to the same outputs: compared on made-up rows when a model is loaded, before the shorter one is used.

The rows are of the types of the signature: small and large numbers, one row and many, missing and infinite ones where
the type has them. What the longer way refuses, the shorter one must refuse in the same words.
"""

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from serinus_server.columns import DTYPES
from serinus_server.signature import Signature
from serinus_server.values import Array, Table

_ROWS: Final = 64
# Matrices of different sizes are multiplied in different ways.
_FEW: Final = 8
_FEWER: Final = (1, 2, 3, 8, 9, 31)
_SEED: Final = 20_260_101
_SCALES: Final = (0.0, 1e-3, 1.0, 1.0, 10.0, 100.0, 1e4, 1e6)
# Beyond the range of single precision, to which trees reduce their input.
_BEYOND: Final = 1e39
# So that there are whole numbers that differ.
_WHOLE: Final = 10
_NUMBERS: Final = "biuf"

type Way = Callable[[Any], Any]


def matrices(signature: Signature, features: int | None = None) -> list[Array]:
    """Rows as one matrix, if requests of this signature have that form; of an unknown signature, doubles."""
    dtype, width = _form(signature, features)
    if dtype is None or not width:
        return []
    plain = _plain(dtype, width)
    return [plain, *(plain[:rows] for rows in _FEWER), *_special(plain)]


def ordinary(signature: Signature) -> Array | None:
    """A few rows that differ, of numbers near one; None if requests do not have that form."""
    dtype, width = _form(signature, None)
    if dtype is None or not width:
        return None
    rows: Array = np.random.default_rng(_SEED).standard_normal((_FEW, width)) * (1 if dtype.kind == "f" else _WHOLE)
    return np.greater(rows, 0) if dtype.kind == "b" else np.abs(rows).astype(dtype)


def matrix_of(table: Table) -> Array | None:
    """The columns of a table as one matrix, if they are numbers of one type."""
    if table.matrix is not None or not table.arrays:
        return table.matrix
    dtype = table.arrays[0].dtype
    is_one = dtype.kind in _NUMBERS and all(one.dtype == dtype for one in table.arrays)
    return np.stack(table.arrays, axis=1) if is_one else None


def is_finite(matrix: Array) -> bool:
    """Quickly: False too for finite numbers whose sum is not."""
    return bool(np.isfinite(np.add.reduce(matrix, axis=None)))


def frame_of(names: tuple[str, ...], matrix: Array) -> Any:
    """The DataFrame of a matrix as MLflow has it: put together of columns."""
    return Table(names, len(matrix), None, tuple(matrix[:, at].copy() for at in range(matrix.shape[1]))).frame()


def takes_matrix(signature: Signature, by_frame: Way, by_matrix: Way) -> bool:
    """Whether the outputs for a matrix are those for the DataFrame, to the last bit."""
    if not signature.is_tabular:
        return False
    names = tuple(str(one.name) for one in signature.columns)
    rows = matrices(signature)
    return bool(rows) and agree(by_frame, by_matrix, [(frame_of(names, one), one) for one in rows])


def agree(one: Way, other: Way, inputs: list[tuple[Any, Any]]) -> bool:
    """Whether both ways do the same with each pair of inputs; the first pair must be predicted, not refused."""
    results = [(_outcome(one, left), _outcome(other, right)) for left, right in inputs]
    return not isinstance(results[0][0], Exception) and all(same(left, right) for left, right in results)


def same(one: Any, other: Any) -> bool:
    """Whether two outputs are the same to the last bit, or two refusals the same in kind and words."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Exception):
        return _words(one) == _words(other)
    if not isinstance(one, np.ndarray) or one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    return np.array_equal(one, other, equal_nan=True) and np.array_equal(np.signbit(one), np.signbit(other))


def _words(error: Exception) -> str:
    """Without the time of day, which some libraries put into it."""
    return re.sub(r"\d+:\d+:\d+", "", str(error))


def _outcome(way: Way, given: Any) -> Any:
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return way(given)
    except Exception as error:  # noqa: BLE001 (whatever it is, the other way must do the same)
        return error


def _form(signature: Signature, features: int | None) -> tuple[np.dtype[Any] | None, int | None]:
    if signature.is_tabular:
        dtypes = {DTYPES.get(one.type) for one in signature.columns}
        dtype = dtypes.pop() if len(dtypes) == 1 else None
        return (dtype if dtype is not None and dtype.kind in _NUMBERS else None), len(signature.columns)
    if signature.inputs is None:
        return np.dtype(np.float64), features
    if len(signature.tensors) != 1 or len(signature.tensors[0].shape) != 2:  # noqa: PLR2004 (rows and columns)
        return None, None
    tensor = signature.tensors[0]
    return (tensor.dtype if tensor.dtype.kind in _NUMBERS else None), max(tensor.shape[1], 0) or features


def _plain(dtype: np.dtype[Any], width: int) -> Array:
    random = np.random.default_rng(_SEED)
    rows: Array = random.standard_normal((_ROWS, width)) * np.resize(_SCALES, _ROWS)[:, None]
    if dtype.kind == "b":
        return np.greater(rows, 0)
    # Not negative where that cannot be, and not more than there is room for.
    if dtype.kind in "iu":
        rows = np.clip(rows * _WHOLE, max(np.iinfo(dtype).min, -(2**52)), min(np.iinfo(dtype).max, 2**52))
    return rows.astype(dtype)


def _special(plain: Array) -> Iterator[Array]:
    if plain.dtype.kind != "f":
        return
    for value in (np.nan, np.inf, _BEYOND if plain.dtype.itemsize > 4 else -np.inf):  # noqa: PLR2004 (bytes of a float)
        rows = plain.copy()
        rows[::3, 0] = value
        yield rows
