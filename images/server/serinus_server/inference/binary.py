"""The extension of the protocol for tensors in binary: behind the JSON of a body, whose length is in a header."""

import base64
from typing import Any, Final

from serinus_server import shown
from serinus_server.inference import tensors as read
from serinus_server.inference.outputs import BYTES, Output
from serinus_server.inference.tensors import Tensor
from serinus_server.problems import RequestProblem

HEADER: Final = b"inference-header-content-length"
HEADERS: Final = b"content-type: application/octet-stream\r\ninference-header-content-length: %d\r\n"
_SIZE: Final = "binary_data_size"
_DIGITS: Final = 18


def parted(body: bytes, length: bytes) -> tuple[bytes, memoryview]:
    """The JSON, and what follows."""
    # Python does not read numbers of thousands of digits.
    if not length.isdigit() or len(length) > _DIGITS or int(length) > len(body):
        told = shown.value(length.decode("latin-1"))
        raise RequestProblem(
            400, f"{HEADER.decode()} wants a number up to the body's {len(body)} bytes, and got {told}"
        )
    return body[: int(length)], memoryview(body)[int(length) :]


def tensors(inputs: list[Any], rest: bytes | memoryview) -> list[Tensor]:
    """The tensors of a request; those that say how long their data is have it one behind the other."""
    data = memoryview(rest)
    at, made = 0, []
    for one in inputs:
        length = _length(one)
        if length is None:
            made.append(read.of_json(one))
            continue
        if length > len(data) - at:
            words = f"{_SIZE} is {length}, and {len(data) - at} bytes are left of the body"
            raise RequestProblem(400, f"input {shown.name(one.get('name'))}: {words}")
        made.append(_of_raw(one, data[at : at + length]))
        at += length
    if at != len(data):
        raise RequestProblem(400, f"{len(data) - at} bytes are left of the body, of which no input has said {_SIZE}")
    return made


def raw(output: Output) -> bytes:
    """The data of an output as bytes."""
    if output.datatype != BYTES:
        return read.to_raw(output.array)
    return read.to_raw(read.objects([encoded(one) for one in output.array.reshape(-1).tolist()]))


def encoded(one: Any) -> bytes:
    """A text in UTF-8; what is missing is empty."""
    return one if type(one) is bytes else b"" if one is None else str(one).encode()


def texts(values: list[Any]) -> tuple[list[Any], bool]:
    """The values as JSON has them, and whether they are bytes, in base64 then."""
    if bytes not in set(map(type, values)):
        return values, False
    return [base64.b64encode(one).decode() if type(one) is bytes else one for one in values], True


def _length(one: Any) -> int | None:
    parameters = one.get("parameters") if type(one) is dict else None
    length = parameters.get(_SIZE) if type(parameters) is dict else None
    if length is not None and (type(length) is not int or length < 0):
        raise RequestProblem(400, f"{_SIZE} wants a number of bytes, and got {shown.value(length)}")
    return length


def _of_raw(one: dict[str, Any], data: memoryview) -> Tensor:
    name, datatype = one.get("name"), one.get("datatype")
    if type(name) is not str or type(datatype) is not str:
        raise RequestProblem(400, f"name and datatype of an input are strings, not {shown.value(name)}")
    made = read.of_raw(name, datatype, one.get("shape"), data)
    return made._replace(content_type=read.content_type(one.get("parameters")))
