"""A record of the tap as a line of JSON, and back: readable, and the same numbers to the last bit.

    {"request_id": "…", "time": 1767268800.123, "model": "churn", "version": "7", "revision": "abc",
     "inputs": {"kind": "table", "matrix": true, "columns": [{"name": "age", "dtype": "<f8", "data": [39.0]}]},
     "outputs": {"kind": "array", "dtype": "<i8", "data": [1]}}

Kinds are `table`, `array`, `arrays` (by name) and `other`, of which only the type is told; each array has its `shape`,
too. In floats null is NaN; floats with an infinity and times are base64 of their memory, under `base64`. A line
`{"lost": 17}` says that so many records were dropped before the next one; an empty line, that the stream lives.
"""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from serinus_server.values import Array, Table, Value

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
# Kinds of dtype whose cells JSON has itself.
_PLAIN = "fiub"


def line(head: Mapping[str, Any], inputs: Any, outputs: Any) -> bytes:
    """The line, with its end."""
    return orjson.dumps({**head, "inputs": _document(inputs), "outputs": _document(outputs)}, _cell, _OPTIONS)


def note(**facts: object) -> bytes:
    """A line about the stream itself."""
    return orjson.dumps(facts, option=_OPTIONS)


def value(document: Mapping[str, Any]) -> Value | None:
    """What was sent; None if it was of a kind that is not sent. ValueError or KeyError if it is none of these lines."""
    kind = document["kind"]
    if kind == "array":
        return _array(document)
    if kind == "arrays":
        return {str(name): _array(one) for name, one in document["arrays"].items()}
    if kind != "table":
        return None
    names = tuple(str(one["name"]) for one in document["columns"])
    arrays = tuple(map(_array, document["columns"]))
    rows = len(arrays[0]) if arrays else 0
    return Table(names, rows, np.column_stack(arrays)) if document["matrix"] else Table(names, rows, None, arrays)


def size(value: Any) -> int:
    """About how many bytes are kept for it."""
    if isinstance(value, Table):
        return value.matrix.nbytes if value.matrix is not None else sum(map(size, value.arrays))
    if isinstance(value, np.ndarray):
        return value.nbytes if value.dtype.kind != "O" else sum(map(_cell_size, value.ravel().tolist()))
    if isinstance(value, dict):
        return sum(map(size, value.values()))
    if isinstance(value, list):
        return sum(map(_cell_size, value))
    return int(value.memory_usage(deep=True).sum()) if hasattr(value, "dtypes") else 0


def _cell_size(cell: Any) -> int:
    return 64 + (len(cell) if isinstance(cell, (str, bytes)) else 0)


def _document(value: Any) -> dict[str, Any]:
    if isinstance(value, Table):
        arrays = value.arrays if value.matrix is None else tuple(value.matrix.T)
        columns = [{"name": name, **_sent(one)} for name, one in zip(value.names, arrays, strict=True)]
        return {"kind": "table", "matrix": value.matrix is not None, "columns": columns}
    if isinstance(value, np.ndarray):
        return {"kind": "array", **_sent(value)}
    if isinstance(value, dict) and all(isinstance(one, np.ndarray) for one in value.values()):
        return {"kind": "arrays", "arrays": {str(name): _sent(one) for name, one in value.items()}}
    if hasattr(value, "to_numpy"):
        return _document(_of_pandas(value))
    if isinstance(value, list):
        return _document(_of_list(value))
    return {"kind": "other", "type": type(value).__name__}


def _of_pandas(value: Any) -> Table | Array:
    if value.ndim == 1:
        return np.asarray(value.to_numpy())
    arrays = tuple(np.asarray(value.iloc[:, at].to_numpy()) for at in range(value.shape[1]))
    return Table(tuple(map(str, value.columns)), len(value), None, arrays)


def _of_list(value: list[Any]) -> Array | None:
    try:
        array = np.asarray(value)
    except ValueError:
        return None
    return array if array.dtype.kind in _PLAIN else np.asarray(value, dtype=object)


def _sent(array: Array) -> dict[str, Any]:
    if array.dtype.kind in "OUST":
        return {"dtype": "O", "shape": array.shape, "data": array.tolist()}
    told: dict[str, Any] = {"dtype": array.dtype.str, "shape": array.shape}
    if array.dtype.kind not in _PLAIN or (array.dtype.kind == "f" and np.isinf(array).any()):
        return {**told, "base64": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()}
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return {**told, "data": np.ascontiguousarray(native)}


def _array(document: Mapping[str, Any]) -> Array:
    dtype, shape = np.dtype(document["dtype"]), tuple(document["shape"])
    if "base64" in document:
        return np.frombuffer(base64.b64decode(document["base64"]), dtype).reshape(shape)
    if dtype.kind == "O":
        cells = np.empty(shape, object)
        cells[...] = _nested(document["data"], len(shape))
        return cells
    return np.array(document["data"], dtype).reshape(shape)


def _nested(data: Any, depth: int) -> Any:
    """The cells; an object of `base64` is bytes."""
    if depth:
        return [_nested(one, depth - 1) for one in data]
    return base64.b64decode(data["base64"]) if isinstance(data, dict) and "base64" in data else data


def _cell(cell: Any) -> Any:
    """What orjson does not know."""
    if isinstance(cell, bytes):
        return {"base64": base64.b64encode(cell).decode()}
    if isinstance(cell, np.generic):
        return cell.item()
    if type(cell).__name__ in {"NAType", "NaTType"}:
        return None
    if hasattr(cell, "isoformat"):
        return cell.isoformat()
    return f"<{type(cell).__name__}>"
