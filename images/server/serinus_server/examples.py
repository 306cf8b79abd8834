"""A request to show: the one that was logged with the model, or one that fits its signature."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import orjson

from serinus_server.inference import outputs
from serinus_server.signature import Column, Signature, Tensor
from serinus_server.values import Table, Value

# What is larger helps nobody to understand, and is in every answer of /openapi.json.
_MOST_BYTES: Final = 64 * 1024
_MOST_COLUMNS: Final = 40
_MOST_ROWS: Final = 5
_MOST_VALUES: Final = 1000
_MADE: Final[Mapping[str, Any]] = {
    "boolean": True,
    "integer": 1,
    "long": 1,
    "float": 0.5,
    "double": 0.5,
    "string": "text",
    "binary": "Ynl0ZXM=",
    "datetime": "2026-01-31T12:00:00",
}


def invocation(signature: Signature, logged: bytes) -> Any:
    """The body of a request to /invocations, as an object; None if nothing is known of what goes in."""
    if logged and len(logged) <= _MOST_BYTES:
        try:
            return orjson.loads(logged)
        except orjson.JSONDecodeError:
            # Numbers that are none are only Python's JSON: then one is made.
            pass
    if signature.tensors:
        return {"inputs": _tensors(signature.tensors)}
    return _of_columns(signature.columns)


def inference(value: Value | None) -> Any:
    """The same rows as a request of the Open Inference Protocol; None if they have no tensors."""
    if isinstance(value, Table):
        return _written(_of_table(value))
    if isinstance(value, np.ndarray):
        return _written({"input-0": value[:_MOST_ROWS] if value.ndim else value})
    if isinstance(value, dict):
        return _written(value)
    return None


def _of_table(table: Table) -> dict[str, Any]:
    if table.matrix is not None and len(table.names) > _MOST_COLUMNS:
        return {"input-0": table.matrix[:_MOST_ROWS]}
    arrays = table.matrix.T if table.matrix is not None else table.arrays
    return {name: array[:_MOST_ROWS] for name, array in zip(table.names, arrays, strict=True)}


def _written(arrays: Mapping[str, Any]) -> Any:
    if sum(one.size for one in arrays.values()) > _MOST_VALUES:
        return None
    made = [outputs.read({name: array}, ())[0] for name, array in arrays.items()]
    inputs = [
        {"name": one.name, "datatype": one.datatype, "shape": list(one.array.shape), "data": _json(one.array)}
        for one in made
    ]
    return {"inputs": inputs}


def _json(array: Any) -> Any:
    """Flat, with null for what is no number."""
    return orjson.loads(orjson.dumps(array.reshape(-1).tolist(), default=repr))


def _of_columns(columns: tuple[Column, ...]) -> Any:
    if not columns:
        return None
    if columns[0].name is None:
        return {"inputs": [_cell(columns[0].spec)]}
    row = [_cell(one.spec) for one in columns]
    return {"dataframe_split": {"columns": [one.name for one in columns], "data": [row]}}


def _cell(spec: Mapping[str, Any]) -> Any:
    kind = spec.get("type")
    if kind == "array":
        return [_cell(spec.get("items") or {})]
    if kind == "map":
        return {"key": _cell(spec.get("values") or {})}
    if kind == "object":
        return {name: _cell(one) for name, one in (spec.get("properties") or {}).items()}
    return _MADE.get(str(kind))


def _tensors(given: tuple[Tensor, ...]) -> Any:
    if np.prod([max(size, 1) for one in given for size in one.shape], dtype=float) > _MOST_VALUES:
        return None
    made = {one.name: np.zeros([max(size, 1) for size in one.shape], _plain(one)).tolist() for one in given}
    return made.get(None, made)


def _plain(given: Tensor) -> Any:
    return given.dtype if given.dtype.kind in "biuf" else np.int8
