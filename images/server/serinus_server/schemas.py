"""A signature as JSON Schema: what a row is, what the four forms of a request are, and what comes out."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from serinus_server.signature import Column, Param, Signature, Tensor

type Schema = dict[str, Any]

_SCALARS: Final[Mapping[str, Schema]] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
    "long": {"type": "integer", "format": "int64"},
    "float": {"type": ["number", "null"], "format": "float"},
    "double": {"type": ["number", "null"], "format": "double"},
    "string": {"type": ["string", "null"]},
    "binary": {"type": "string", "contentEncoding": "base64"},
    "datetime": {"type": ["string", "null"], "format": "date-time"},
}
_KINDS: Final = {"b": "boolean", "i": "integer", "u": "integer", "f": "number"}


def of_columns(given: Sequence[Column]) -> Schema:
    """One row; null is where MLflow takes it: as NaN, as no text, as no time."""
    named = {str(one.name): of_type(one.spec) for one in given}
    required = [str(one.name) for one in given if one.required]
    return {"type": "object", "properties": named, "required": required}


def of_type(spec: Mapping[str, Any]) -> Schema:
    """One type as MLmodel records it, with what is inside of it."""
    kind = spec.get("type")
    if kind == "array":
        return {"type": "array", "items": of_type(spec.get("items") or {})}
    if kind == "map":
        return {"type": "object", "additionalProperties": of_type(spec.get("values") or {})}
    if kind == "object":
        properties = spec.get("properties") or {}
        inner = {name: of_type(one) for name, one in properties.items()}
        return {"type": "object", "properties": inner, "required": [
            name for name, one in properties.items() if one.get("required", True)
        ]}  # fmt: skip
    return dict(_SCALARS.get(str(kind), {}))


def of_tensor(given: Tensor) -> Schema:
    """Nested lists, as deep as the shape."""
    kind = _KINDS.get(given.dtype.kind)
    schema: Schema = {} if kind is None else {"type": kind}
    for size in reversed(given.shape):
        schema = {"type": "array", "items": schema}
        if size != -1:
            schema |= {"minItems": size, "maxItems": size}
    return schema | {"description": f"{given.dtype} of shape {list(given.shape)}; -1 is any number"}


def of_params(given: Sequence[Param]) -> Schema:
    """The params, each with its default."""
    return {"type": "object", "properties": {one.name: _param(one) for one in given}}


def forms(signature: Signature) -> dict[str, Schema]:
    """What each of the forms of MLflow's protocol holds; only those that the signature lets in."""
    if signature.tensors:
        whole = _tensors(signature.tensors)
        return {"inputs": whole, "instances": whole}
    columns = signature.columns
    if not columns or any(one.name is None for one in columns):
        schema: Schema = {"type": "array", "items": of_type(columns[0].spec) if columns else {}}
        return {"inputs": schema, "instances": schema, "dataframe_split": _split([]), "dataframe_records": _any_rows()}
    rows: Schema = {"type": "array", "items": {"$ref": "#/components/schemas/Row"}}
    listed = {str(one.name): {"type": "array", "items": of_type(one.spec)} for one in columns}
    required = [str(one.name) for one in columns if one.required]
    by_column: Schema = {"type": "object", "properties": listed, "required": required}
    names = [str(one.name) for one in columns]
    return {
        "dataframe_split": _split(names),
        "dataframe_records": rows,
        "instances": rows,
        "inputs": {"anyOf": [by_column, rows]},
    }


def outputs(signature: Signature) -> Schema:
    """What `predictions` is."""
    given = signature.outputs
    if not given:
        return {}
    tensors = [one for one in given if isinstance(one, Tensor)]
    if tensors:
        return _tensors(tensors)
    columns = [one for one in given if isinstance(one, Column)]
    if columns[0].name is None or len(columns) == 1:
        # Of a single column some models return rows, and some a list.
        return {"type": "array", "items": {} if columns[0].name else of_type(columns[0].spec)}
    return {"type": "array", "items": of_columns(columns)}


def _tensors(given: Sequence[Tensor]) -> Schema:
    if given[0].name is None:
        return of_tensor(given[0])
    named = {str(one.name): of_tensor(one) for one in given}
    return {"type": "object", "properties": named, "required": list(named)}


def _split(names: list[str]) -> Schema:
    columns: Schema = {"type": "array", "items": {"type": "string"}}
    if names:
        columns["examples"] = [names]
    data: Schema = {"type": "array", "items": {"type": "array"}}
    return {
        "type": "object",
        "properties": {"columns": columns, "index": {"type": "array"}, "data": data},
        "required": ["columns", "data"] if names else ["data"],
    }


def _any_rows() -> Schema:
    return {"type": "array", "items": {"type": "object"}}


def _param(given: Param) -> Schema:
    schema = of_type({"type": given.type})
    if given.shape is not None:
        schema = {"type": "array", "items": schema}
    return schema | {"default": given.default}
