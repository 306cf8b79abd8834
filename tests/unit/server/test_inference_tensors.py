"""What goes in as JSON, as typed lists or as raw bytes is the same tensor; what is no tensor is refused in words."""

import struct
import tracemalloc
from contextlib import suppress
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from serinus_server.inference import binary, tensors, wire
from serinus_server.inference.messages import CLASSES
from serinus_server.inference.tensors import DTYPES, Tensor
from serinus_server.problems import RequestProblem

Request = CLASSES["ModelInferRequest"]
NUMBERS = {name: dtype for name, dtype in DTYPES.items() if name != "BYTES"}
SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)


@st.composite
def numbers(draw: st.DrawFn) -> tuple[str, Any]:
    """A datatype and an array of it; what is no number has no JSON but null."""
    name = draw(st.sampled_from(sorted(NUMBERS)))
    dtype = NUMBERS[name]
    elements = arrays.from_dtype(dtype, allow_nan=False, allow_infinity=False) if dtype.kind == "f" else None
    return name, draw(arrays.arrays(dtype, draw(SHAPES), elements=elements))


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, Any]:
    """An array of texts."""
    shape = draw(SHAPES)
    count = int(np.prod(shape))
    values = draw(st.lists(st.text(st.characters(codec="utf-8"), max_size=5), min_size=count, max_size=count))
    return "BYTES", tensors.objects(values).reshape(shape)


def plain(made: Tensor) -> tuple[Any, ...]:
    """What can be compared."""
    values = [one.decode() if isinstance(one, bytes) else one for one in made.array.reshape(-1).tolist()]
    return made.name, made.datatype, made.array.dtype, made.array.shape, values


def json(datatype: str, array: Any, data: Any) -> Tensor:
    """As it is when it has been JSON."""
    item = {"name": "x", "datatype": datatype, "shape": list(array.shape), "data": data}
    return tensors.of_json(orjson.loads(orjson.dumps(item)))


def message(datatype: str, array: Any) -> Any:
    """A request with a tensor that has no data yet."""
    request = Request(model_name="m")
    request.inputs.add(name="x", datatype=datatype, shape=array.shape)
    return request


def raw_of(datatype: str, array: Any) -> bytes:
    """The data as the protocol says, without the code under test."""
    if datatype != "BYTES":
        return bytes(array.astype(array.dtype.newbyteorder("<")).tobytes())
    encoded = [one.encode() for one in array.reshape(-1).tolist()]
    return b"".join(struct.pack("<I", len(one)) + one for one in encoded)


@settings(max_examples=150, deadline=None)
@given(numbers() | texts())
def test_every_way_in_gives_the_same_values(case: tuple[str, Any]) -> None:
    datatype, array = case
    flat = array.reshape(-1).tolist()
    raw = raw_of(datatype, array)
    ways = [json(datatype, array, flat)]
    # A list without anything in it does not say how deep it would be.
    if array.size:
        ways.append(json(datatype, array, array.tolist()))
    request = message(datatype, array)
    request.raw_input_contents.append(raw)
    ways += wire.read(Request.FromString(request.SerializeToString()))
    head = {"name": "x", "datatype": datatype, "shape": list(array.shape)}
    ways += binary.tensors([{**head, "parameters": {"binary_data_size": len(raw)}}], raw)
    if datatype in wire.FIELDS:
        request = message(datatype, array)
        values = [one.encode() for one in flat] if datatype == "BYTES" else flat
        getattr(request.inputs[0].contents, wire.FIELDS[datatype]).extend(values)
        ways += wire.read(Request.FromString(request.SerializeToString()))
    dtype = DTYPES[datatype]
    for made in ways:
        assert plain(made) == ("x", datatype, dtype, array.shape, flat)
        assert made.array.flags.writeable


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.float64, SHAPES))
def test_raw_bytes_keep_what_is_no_number(array: Any) -> None:
    [made] = binary.tensors(
        [
            {
                "name": "x",
                "datatype": "FP64",
                "shape": list(array.shape),
                "parameters": {"binary_data_size": array.nbytes},
            }
        ],
        array.tobytes(),
    )
    np.testing.assert_array_equal(made.array, array)


def test_null_is_nan_where_there_is_one() -> None:
    assert np.isnan(json("FP32", np.zeros(2), [None, 1]).array).tolist() == [True, False]
    assert json("BYTES", np.zeros(2), [None, "a"]).array.tolist() == [None, "a"]


def test_large_whole_numbers_are_exact() -> None:
    assert json("UINT64", np.zeros(2), [1, 2**64 - 1]).array.tolist() == [1, 2**64 - 1]
    assert json("INT64", np.zeros(2), [-(2**63), 2**63 - 1]).array.tolist() == [-(2**63), 2**63 - 1]


def test_axes_of_length_one_make_no_difference() -> None:
    assert json("FP64", np.zeros((2, 1)), [[1.0, 2.0]]).array.tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (7, "an input is an object of name, datatype, shape, data, not an integer"),
        ({}, "an input has no name"),
        ({"name": "x", "shape": [1], "data": [1]}, "input 'x' has no datatype"),
        ({"name": 1, "datatype": "FP64", "shape": [1], "data": [1]}, "name and datatype of an input are strings"),
        ({"name": "x", "datatype": "FP65", "shape": [1], "data": [1]}, "there is no datatype 'FP65'; there are BOOL"),
        ({"name": "x", "datatype": "BF16", "shape": [1], "data": [1]}, "there is no datatype 'BF16'"),
        ({"name": "x", "datatype": "FP64", "shape": [1], "data": 1}, "data wants a list, and got 1, an integer"),
        ({"name": "x", "datatype": "FP64", "shape": [1], "data": "1"}, "data wants a list, and got '1', a string"),
        ({"name": "x", "datatype": "FP64", "shape": 1, "data": [1]}, "shape wants a list of whole numbers"),
        ({"name": "x", "datatype": "FP64", "shape": [-1], "data": [1]}, "shape wants a list of whole numbers"),
        ({"name": "x", "datatype": "FP64", "shape": ["1"], "data": [1]}, "shape wants a list of whole numbers"),
        ({"name": "x", "datatype": "FP64", "shape": [2**40], "data": [1]}, "shape wants a list of whole numbers"),
        ({"name": "x", "datatype": "FP64", "shape": [1] * 40, "data": [1]}, "shape has 40 axes; 32 are the most"),
        ({"name": "x", "datatype": "FP64", "shape": [2**31 - 1] * 9, "data": [1]}, "data has 1 values"),
        ({"name": "x", "datatype": "FP64", "shape": [0] + [2**31 - 1] * 9, "data": []}, "too"),
        ({"name": "x", "datatype": "FP64", "shape": [3], "data": [1, 2]}, "shape is [3], and data has 2 values"),
        (
            {"name": "x", "datatype": "FP64", "shape": [3, 2], "data": [[1, 2, 3], [4, 5, 6]]},
            "data has the shape [2, 3]",
        ),
        ({"name": "x", "datatype": "FP64", "shape": [2, 2], "data": [[1, 2], [3]]}, "lists of different lengths"),
        ({"name": "x", "datatype": "FP64", "shape": [3], "data": [1, "two", 3]}, "value 1, counted from 0, is 'two'"),
        ({"name": "x", "datatype": "FP64", "shape": [1], "data": [{}]}, "value 0, counted from 0, is {}, an object"),
        ({"name": "x", "datatype": "INT8", "shape": [2], "data": [1, 300]}, "value 1, counted from 0, is 300"),
        ({"name": "x", "datatype": "INT64", "shape": [2], "data": [1, 1.5]}, "value 1, counted from 0, is 1.5"),
        ({"name": "x", "datatype": "INT64", "shape": [1], "data": [1e30]}, "is 1e+30"),
        ({"name": "x", "datatype": "INT64", "shape": [1], "data": [None]}, "is null"),
        ({"name": "x", "datatype": "INT64", "shape": [1], "data": ["five"]}, "is 'five', a string"),
        ({"name": "x", "datatype": "UINT8", "shape": [1], "data": [-1]}, "is -1"),
        ({"name": "x", "datatype": "BOOL", "shape": [1], "data": [2]}, "is 2, an integer"),
        ({"name": "x", "datatype": "BYTES", "shape": [1], "data": [5]}, "wants BYTES, and value 0"),
    ],
)
def test_what_is_no_tensor_is_refused_in_words(item: Any, words: str) -> None:
    with pytest.raises(RequestProblem) as caught:
        tensors.of_json(item)
    assert caught.value.status == 400
    assert words in caught.value.message
    assert len(caught.value.message) < 500


def test_a_value_far_behind_is_found_fast() -> None:
    data: list[Any] = [1.0] * 200_000
    data[150_000] = "x"
    with pytest.raises(RequestProblem, match="value 150000, counted from 0, is 'x'"):
        json("FP64", np.zeros(200_000), data)


@pytest.mark.parametrize("datatype", [*DTYPES, "FP65"])
def test_one_long_text_among_many_short_ones_takes_no_room(datatype: str) -> None:
    # In an array of texts each would take as much as the longest: 40 GB.
    data = ["x"] * 10_000 + ["y" * 1_000_000]
    tracemalloc.start()
    with suppress(RequestProblem):
        json(datatype, np.zeros(len(data)), data)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([*DTYPES, "FP65", ""]),
    st.lists(st.integers(-2, 5) | st.integers(), max_size=4),
    st.binary(max_size=64),
)
def test_any_bytes_are_a_tensor_or_are_refused(datatype: str, shape: list[int], data: bytes) -> None:
    try:
        made = tensors.of_raw("x", datatype, shape, memoryview(data))
    except RequestProblem as problem:
        assert problem.status == 400  # noqa: PT017 - it may also be a tensor
        return
    assert made.array.shape == tuple(shape)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([*DTYPES, "nothing"]),
    st.lists(st.integers(-1, 4), max_size=3) | st.none() | st.text(max_size=2),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
        max_leaves=12,
    ),
)
def test_any_json_is_a_tensor_or_is_refused(datatype: str, shape: Any, data: Any) -> None:
    try:
        made = tensors.of_json({"name": "x", "datatype": datatype, "shape": shape, "data": data})
    except RequestProblem as problem:
        assert problem.status == 400  # noqa: PT017 - it may also be a tensor
        return
    assert made.array.dtype == DTYPES[datatype]


def test_bytes_behind_the_json_are_counted() -> None:
    item = {"name": "x", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 8}}
    for data, words in (
        (b"", "0 bytes are left"),
        (b"1234567", "7 bytes are left"),
        (b"123456789", "1 bytes are left"),
    ):
        with pytest.raises(RequestProblem, match=words):
            binary.tensors([item], data)
    for size in (-1, "8", 1.5, True):
        with pytest.raises(RequestProblem, match="binary_data_size wants a number of bytes"):
            binary.tensors([{**item, "parameters": {"binary_data_size": size}}], b"12345678")
    for length in (b"-1", b"x", b"99"):
        with pytest.raises(RequestProblem, match="wants a number up to the body's 2 bytes"):
            binary.parted(b"{}", length)


def test_raw_and_typed_contents_do_not_mix() -> None:
    request = message("FP64", np.zeros(1))
    request.inputs[0].contents.fp64_contents.append(1.0)
    request.raw_input_contents.append(b"12345678")
    with pytest.raises(RequestProblem, match="only one of them may be"):
        wire.read(request)
    request.raw_input_contents.append(b"12345678")
    with pytest.raises(RequestProblem, match="raw_input_contents has 2 entries for 1 inputs"):
        wire.read(request)


def test_typed_contents_are_of_the_datatype() -> None:
    request = message("FP64", np.zeros(1))
    request.inputs[0].contents.fp32_contents.append(1.0)
    with pytest.raises(RequestProblem, match="of FP64 wants fp64_contents, and has fp32_contents"):
        wire.read(request)
    with pytest.raises(RequestProblem, match="'FP16' is only in raw_input_contents"):
        wire.read(message("FP16", np.zeros(1)))
    request = message("INT8", np.zeros(1))
    request.inputs[0].contents.int_contents.append(300)
    with pytest.raises(RequestProblem, match="wants INT8, and value 0, counted from 0, is 300"):
        wire.read(request)
