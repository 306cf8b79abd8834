"""Tensors as requests have them: a name, a datatype, a shape, and data as JSON, as typed lists or as raw bytes."""

import struct
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, Final, NamedTuple

import numpy as np

from serinus_server import shown
from serinus_server.inference import flat
from serinus_server.problems import RequestProblem
from serinus_server.values import Array

DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "BOOL": np.dtype(np.bool_),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(object),
}
_UNFIT: Final = (TypeError, ValueError, OverflowError)
_NEEDED: Final = ("name", "datatype", "shape", "data")
_MOST_AXES: Final = 32
_LONGEST: Final = 2**31 - 1
_INT: Final = {int}
_LENGTH: Final = struct.Struct("<I")
_DOUBLE: Final = np.dtype(np.float64)


class Tensor(NamedTuple):
    """One tensor. Of BYTES the array is of objects: bytes, or what JSON has instead: strings and null."""

    name: str
    datatype: str
    array: Array
    # What MLServer's clients say of the meaning of the data, such as `str`, `base64` or `pd_json`.
    content_type: str = ""


def of_json(given: Any) -> Tensor:
    """A tensor whose data is JSON, flat or nested; raises a RequestProblem that says what is wrong."""
    try:
        name, datatype, shape, data = given["name"], given["datatype"], given["shape"], given["data"]
    except (KeyError, TypeError):
        raise _lacking(given) from None
    if type(name) is not str or type(datatype) is not str:
        raise RequestProblem(400, f"name and datatype of an input are strings, not {shown.value(name)}")
    if type(data) is not list:
        raise RequestProblem(400, f"{_named(name)}: data wants a list, and got {shown.value(data)}", column=name)
    try:
        array = np.array(data, _DOUBLE) if datatype == "FP64" else reader(datatype)(data)
    except _UNFIT:
        raise _unfit(name, datatype, data) from None
    if type(shape) is not list or array.shape != tuple(shape):
        array = _reshaped(name, array, shape)
    said = content_type(given["parameters"]) if "parameters" in given else ""
    return Tensor(name, datatype, array, said)


def of_list(name: str, datatype: str, shape: Sequence[int], data: Sequence[Any]) -> Tensor:
    """A tensor whose data is a flat list of the type's own; the list may hold what is too large for small types."""
    # numpy sees to it that a number fits if it comes from a list, and wraps it around if from a message's own.
    values = list(data)
    try:
        array = objects(values) if datatype == "BYTES" else np.array(values, _dtype(datatype))
    except _UNFIT:
        raise _unfit(name, datatype, values) from None
    return Tensor(name, datatype, _reshaped(name, array, shape))


def of_raw(name: str, datatype: str, shape: Any, raw: memoryview) -> Tensor:
    """A tensor whose data is bytes: numbers in little endian, BYTES each after its length in four bytes."""
    dtype = _dtype(datatype)
    count = size(name, shape)
    if datatype == "BYTES":
        array = _strings(name, raw, count)
    else:
        if count * dtype.itemsize != len(raw):
            words = f"shape {list(shape)} of {datatype} is {count * dtype.itemsize} bytes, and there are {len(raw)}"
            raise RequestProblem(400, f"{_named(name)}: {words}", column=name)
        # A copy, since a model may write into its input, and what is in a message may lie at any address.
        array = np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype)
        if datatype == "BOOL":
            array = np.frombuffer(raw, np.uint8) != 0
    return Tensor(name, datatype, _reshaped(name, array, shape))


def to_raw(array: Array) -> bytes:
    """The data of an output as bytes; of objects each is bytes."""
    if array.dtype.kind != "O":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return b"".join(part for one in array.reshape(-1).tolist() for part in (_LENGTH.pack(len(one)), one))


def size(name: str, shape: Any) -> int:
    """How many values a shape has; raises a RequestProblem if it is none."""
    if type(shape) is not list or not _is_shape(shape):
        words = f"shape wants a list of whole numbers from 0 to {_LONGEST}, and got {shown.value(shape)}"
        raise RequestProblem(400, f"{_named(name)}: {words}", column=name)
    if len(shape) > _MOST_AXES:
        raise RequestProblem(400, f"{_named(name)}: shape has {len(shape)} axes; {_MOST_AXES} are the most")
    return prod(shape)


def _is_shape(shape: list[Any]) -> bool:
    return not shape or (set(map(type, shape)) == _INT and min(shape) >= 0 and max(shape) <= _LONGEST)


def content_type(parameters: Any) -> str:
    """What the parameters of a request or of an input say of it; empty if nothing."""
    said = parameters.get("content_type") if type(parameters) is dict else None
    return said if type(said) is str else ""


def _reshaped(name: str, array: Array, shape: Any) -> Array:
    """Data is flat, or nested as the shape says; axes of length one make no difference."""
    count = size(name, shape)
    is_nested = array.ndim > 1 and [one for one in array.shape if one != 1] != [one for one in shape if one != 1]
    if count != array.size or is_nested:
        has = f"has the shape {list(array.shape)}" if is_nested else f"has {array.size} values"
        raise RequestProblem(400, f"{_named(name)}: shape is {shown.text(shape)}, and data {has}", column=name)
    try:
        return array.reshape(shape)
    except ValueError as error:
        raise RequestProblem(400, f"{_named(name)}: shape {shown.text(shape)}: {error}", column=name) from None


def reader(datatype: str) -> Callable[[Any], Array]:
    """What makes an array of lists; raises a RequestProblem for a datatype that there is not."""
    dtype = _dtype(datatype)
    if datatype == "BYTES":
        return _texts
    return _floats(dtype) if dtype.kind == "f" else _whole(dtype)


def _dtype(datatype: str) -> np.dtype[Any]:
    dtype = DTYPES.get(datatype)
    if dtype is None:
        raise RequestProblem(400, f"there is no datatype {shown.name(datatype)}; there are {', '.join(DTYPES)}")
    return dtype


def _floats(dtype: np.dtype[Any]) -> Callable[[Any], Array]:
    def read(data: Any) -> Array:
        # What is beyond the range of a small float is infinite there. null is NaN, as in answers.
        with np.errstate(over="ignore"):
            return np.array(data, dtype)

    return read


def _whole(dtype: np.dtype[Any]) -> Callable[[Any], Array]:
    """Of whole numbers and booleans: numpy takes what is between two of them for the lower one, which is refused.

    That numpy should find out the type by itself is no way: for texts it takes as much room as the longest for each.
    """

    def read(data: Any) -> Array:
        array = np.array(data, dtype)
        if not (array == np.array(data, _DOUBLE)).all():
            raise ValueError
        return array

    return read


def _texts(data: Any) -> Array:
    array = np.array(data, object)
    if not set(map(type, array.reshape(-1).tolist())) <= {str, type(None)}:
        raise TypeError
    return array


def objects(data: Sequence[Any]) -> Array:
    """An array of objects, whatever they are."""
    return np.fromiter(data, object, len(data))


def _strings(name: str, raw: memoryview, count: int) -> Array:
    values: list[bytes] = []
    at = 0
    while at + _LENGTH.size <= len(raw) and len(values) < count:
        begin = at + _LENGTH.size
        at = begin + _LENGTH.unpack_from(raw, at)[0]
        values.append(bytes(raw[begin:at]))
    if at != len(raw) or len(values) != count:
        words = f"its shape has {count} values, and its {len(raw)} bytes hold {len(values)}, cut off or with a rest"
        raise RequestProblem(400, f"{_named(name)}: {words}", column=name)
    return objects(values)


def _named(name: str) -> str:
    return f"input {shown.name(name)}"


def _lacking(given: Any) -> RequestProblem:
    if type(given) is not dict:
        return RequestProblem(400, f"an input is an object of {', '.join(_NEEDED)}, not {shown.kind(given)}")
    lacking = next(one for one in _NEEDED if one not in given)
    named = _named(given["name"]) if type(given.get("name")) is str else "an input"
    return RequestProblem(400, f"{named} has no {lacking}; it has {shown.names(given)}")


def _unfit(name: str, datatype: str, data: Any) -> RequestProblem:
    """It names the first value that does not fit."""
    found = flat.first_unfit(data, reader(datatype) if datatype in DTYPES else np.array)
    if found is None:
        words = "data is nested in lists of different lengths, or too deeply"
    else:
        at, value = found
        words = f"wants {datatype}, and value {at}, counted from 0, is {shown.value(value)}"
    return RequestProblem(400, f"{_named(name)}: {words}", column=name)
