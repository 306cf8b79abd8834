"""Messages to tensors, and outputs to messages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from serinus_server import shown
from serinus_server.inference import binary, tensors
from serinus_server.inference.messages import CLASSES
from serinus_server.inference.outputs import BYTES, Output
from serinus_server.inference.tensors import Tensor
from serinus_server.problems import RequestProblem

# The list that has the values of a datatype; FP16 has none.
FIELDS: Final[Mapping[str, str]] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}
_Response: Final = CLASSES["ModelInferResponse"]


def read(request: Any) -> list[Tensor]:
    """The tensors of a request; raises a RequestProblem."""
    raw = request.raw_input_contents
    if not raw:
        return [_typed(one) for one in request.inputs]
    if len(raw) != len(request.inputs):
        words = f"raw_input_contents has {len(raw)} entries for {len(request.inputs)} inputs"
        raise RequestProblem(400, f"{words}: either all have one, or none")
    return [_raw(one, data) for one, data in zip(request.inputs, raw, strict=True)]


def parameters(given: Any) -> dict[str, Any]:
    """Parameters as JSON has them."""
    told = {}
    for name, one in given.items():
        kind = one.WhichOneof("parameter_choice")
        told[name] = None if kind is None else getattr(one, kind)
    return told


def write(told: Mapping[str, str], made: Sequence[Output], *, raw: bool) -> bytes:
    """The answer; raw as the request was, and if an output has a datatype that is so only."""
    response = _Response(**told)
    raw = raw or any(one.datatype not in FIELDS for one in made)
    for one in made:
        output = response.outputs.add(name=one.name, datatype=one.datatype, shape=one.array.shape)
        if one.content_type:
            output.parameters["content_type"].string_param = one.content_type
        if raw:
            response.raw_output_contents.append(binary.raw(one))
        else:
            getattr(output.contents, FIELDS[one.datatype]).extend(_values(one))
    written: bytes = response.SerializeToString()
    return written


def _values(one: Output) -> Iterable[Any]:
    values = one.array.reshape(-1).tolist()
    return map(binary.encoded, values) if one.datatype == BYTES else values


def _typed(given: Any) -> Tensor:
    field = FIELDS.get(given.datatype)
    if field is None:
        there = "only in raw_input_contents" if given.datatype in tensors.DTYPES else "not known"
        raise RequestProblem(400, f"input {shown.name(given.name)}: datatype {shown.name(given.datatype)} is {there}")
    values = getattr(given.contents, field)
    if not values and given.contents.ListFields():
        other = given.contents.ListFields()[0][0].name
        raise RequestProblem(400, f"input {shown.name(given.name)} of {given.datatype} wants {field}, and has {other}")
    return _said(given, tensors.of_list(given.name, given.datatype, list(given.shape), values))


def _raw(given: Any, data: bytes) -> Tensor:
    if given.contents.ListFields():
        words = "has contents, and there are raw_input_contents: only one of them may be"
        raise RequestProblem(400, f"input {shown.name(given.name)} {words}", column=given.name)
    return _said(given, tensors.of_raw(given.name, given.datatype, list(given.shape), memoryview(data)))


def _said(given: Any, made: Tensor) -> Tensor:
    said = given.parameters["content_type"].string_param if "content_type" in given.parameters else ""
    return made._replace(content_type=said) if said else made
