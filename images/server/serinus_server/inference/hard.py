"""Signatures of lists, objects, maps and type hints: their tensors, in the form of MLflow's own protocol.

A cell that is no single value comes as JSON in a text, which is what MLServer's clients call `pd_json`.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from serinus_server import shown
from serinus_server.inference import fitting
from serinus_server.inference.tensors import Tensor
from serinus_server.problems import RequestProblem
from serinus_server.signature import Column, Signature

_JSON: Final = "pd_json"


def body(signature: Signature, given: Mapping[str, Tensor], params: dict[str, Any] | None) -> bytes:
    """The body of a request to /invocations."""
    if not given:
        raise RequestProblem(400, "inputs is empty: at least one tensor is needed")
    content = _content(signature, given) if signature.columns else {"inputs": _tensors(signature, given)}
    # Python's own JSON has numbers of any size, and those that are none.
    return json.dumps(content if params is None else {**content, "params": params}).encode()


def _content(signature: Signature, given: Mapping[str, Tensor]) -> dict[str, Any]:
    known = {one.name: one for one in signature.columns}
    if None in known:
        # A list without names, of single values or of objects.
        first = next(iter(given.values()))
        return {"inputs": _cells(first, signature.columns[0]) if len(known) == 1 else _nested(first)}
    cells = {name: _cells(one, known.get(name)) for name, one in given.items()}
    lengths = {len(one) for one in cells.values()}
    if len(lengths) > 1:
        words = ", ".join(f"{shown.name(name)} has {len(one)}" for name, one in list(cells.items())[:10])
        raise RequestProblem(400, f"all inputs must have as many rows: {words}")
    rows = [list(row) for row in zip(*cells.values(), strict=True)]
    return {"dataframe_split": {"columns": list(cells), "data": rows}}


def _tensors(signature: Signature, given: Mapping[str, Tensor]) -> Any:
    if len(given) == 1 and (not signature.tensors or signature.tensors[0].name is None):
        return _nested(next(iter(given.values())))
    return {name: _nested(one) for name, one in given.items()}


def _nested(given: Tensor) -> Any:
    if given.datatype != fitting.BYTES:
        return given.array.tolist()
    values = fitting.texts(given, given.array)
    if given.content_type == _JSON:
        return [_parsed(given, one) for one in values]
    array = given.array.copy()
    array.reshape(-1)[:] = values
    return array.tolist()


def _cells(given: Tensor, column: Column | None) -> Sequence[Any]:
    """One value for each row: what a column of lists has in a tensor of numbers is a list for each."""
    if given.datatype != fitting.BYTES:
        array = given.array
        is_flat = array.ndim > 1 and array.size == len(array) and (column is None or column.is_scalar)
        values: Sequence[Any] = array.reshape(-1).tolist() if is_flat or not array.ndim else array.tolist()
        return values
    if column is not None and column.type == "binary":
        return [_base64(one) for one in given.array.reshape(-1).tolist()]
    values = fitting.texts(given, given.array)
    if given.content_type == _JSON or (column is not None and not column.is_scalar):
        return [_parsed(given, one) for one in values]
    return values


def _base64(one: Any) -> Any:
    """Bytes as JSON has them; what came as JSON is so already."""
    return base64.b64encode(one).decode() if type(one) is bytes else one


def _parsed(given: Tensor, one: Any) -> Any:
    try:
        return None if one is None else orjson.loads(one)
    except orjson.JSONDecodeError as error:
        words = f"input {shown.name(given.name)} wants JSON in each of its texts, and {shown.value(one)} is none"
        raise RequestProblem(400, f"{words}: {error}", column=given.name) from None
