"""What models return, as tensors."""

import datetime as dt
import struct
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from scipy import sparse

from serinus_server.app import Identity
from serinus_server.inference import outputs
from serinus_server.inference.rest import Answer, V2Protocol
from serinus_server.inference.served import Served
from serinus_server.problems import RequestProblem
from serinus_server.scoring import Scoring
from serinus_server.signature import Column, Signature, Tensor
from tests.unit.server.inference_server import recorded

NAN = float("nan")
NOON = dt.datetime(2026, 1, 31, 12)  # noqa: DTZ001 - models know no zones


def made(returned: Any, *names: str) -> list[tuple[str, str, list[int], list[Any]]]:
    """Name, datatype, shape and values of each."""
    read = outputs.read(returned, names or ("predict",))
    return [(one.name, one.datatype, list(one.array.shape), one.array.reshape(-1).tolist()) for one in read]


@pytest.mark.parametrize(
    ("returned", "wanted"),
    [
        (np.array([1.5, 2]), ("predict", "FP64", [2], [1.5, 2])),
        (np.array([[1], [2]], np.uint8), ("predict", "UINT8", [2, 1], [1, 2])),
        (np.array([True, False]), ("predict", "BOOL", [2], [True, False])),
        (np.array([1, 2], ">i4"), ("predict", "INT32", [2], [1, 2])),
        (np.array([1.5], np.longdouble), ("predict", "FP64", [1], [1.5])),
        (np.array(["red", "white"]), ("predict", "BYTES", [2], ["red", "white"])),
        (np.array(["red", None], object), ("predict", "BYTES", [2], ["red", None])),
        (np.array([1, None, 2.5], object), ("predict", "FP64", [3], None)),
        (np.array([True, False], object), ("predict", "BOOL", [2], [True, False])),
        (np.array([b"\xff", b"a"], object), ("predict", "BYTES", [2], [b"\xff", b"a"])),
        (np.array(["2026-01-31", "NaT"], "datetime64[D]"), ("predict", "BYTES", [2], ["2026-01-31", None])),
        (np.array(5.0), ("predict", "FP64", [1], [5.0])),
        (5, ("predict", "INT64", [1], [5])),
        ("text", ("predict", "BYTES", [1], ["text"])),
        ([1, 2], ("predict", "INT64", [2], [1, 2])),
        ([], ("predict", "FP64", [0], [])),
        (["a", "b"], ("predict", "BYTES", [2], ["a", "b"])),
        ([[1.0], [2.0, 3.0]], ("predict", "BYTES", [2], ["[1.0]", "[2.0,3.0]"])),
        ([{"label": "a", "when": NOON}], ("predict", "BYTES", [1], ['{"label":"a","when":"2026-01-31T12:00:00"}'])),
        (sparse.csr_matrix([[0, 1], [2, 0]]), ("predict", "INT64", [2, 2], [0, 1, 2, 0])),
        (pd.Series([1, 2], name="other"), ("predict", "INT64", [2], [1, 2])),
        (pd.Series(["a", None]), ("predict", "BYTES", [2], ["a", None])),
        (pd.Series([1, 2], dtype="Int64"), ("predict", "INT64", [2], [1, 2])),
        (pd.Series([True, False], dtype="boolean"), ("predict", "BOOL", [2], [True, False])),
        (pd.Series(["a", "b"], dtype="category"), ("predict", "BYTES", [2], ["a", "b"])),
    ],
)
def test_what_a_model_returns_is_one_tensor(returned: Any, wanted: Any) -> None:
    [got] = made(returned)
    assert got[:3] == wanted[:3]
    if wanted[3] is None:
        np.testing.assert_array_equal(got[3], [1, NAN, 2.5])
    else:
        assert got[3] == wanted[3]


def test_numbers_with_gaps_are_numbers() -> None:
    [(_, datatype, _, values)] = made(pd.Series([1, None], dtype="Int64"))
    assert datatype == "FP64"
    np.testing.assert_array_equal(values, [1, NAN])


def test_a_frame_has_a_tensor_for_each_column() -> None:
    frame = pd.DataFrame({"label": ["a", "b"], "p": [0.5, NAN], 3: [NOON, None]})
    assert [one[:3] for one in made(frame)] == [("label", "BYTES", [2]), ("p", "FP64", [2]), ("3", "BYTES", [2])]
    assert made(frame)[2][3][1] is None
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    assert [one[3] for one in made(twice)] == [[1], [2]]
    assert made({"a": np.zeros(1), "b": ["x"]}) == [("a", "FP64", [1], [0.0]), ("b", "BYTES", [1], ["x"])]


def test_names_are_those_of_the_signature() -> None:
    low, high = (Column(name, "double", required=True, spec={}) for name in ("low", "high"))
    unnamed = Tensor(None, np.dtype(float), (-1,))
    assert outputs.names_of(Signature(outputs=(low, high))) == ("low", "high")
    assert outputs.names_of(Signature(outputs=(unnamed,))) == ("predict",)
    assert outputs.names_of(Signature()) == ("predict",)
    assert made(np.array([[1.0, 2.0]]), "low", "high") == [("low", "FP64", [1], [1.0]), ("high", "FP64", [1], [2.0])]
    assert made(np.array([1.0, 2.0]), "low", "high") == [("predict", "FP64", [2], [1.0, 2.0])]


def test_what_has_no_form_is_the_models_fault() -> None:
    for returned in (np.array([1j]), [object()], np.array([object()])):
        with pytest.raises(TypeError):
            outputs.read(returned, ("predict",))


class Body:
    """A request that is nothing but its body."""

    def __init__(self, **content: Any) -> None:
        row = {"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [1, 2]}
        self.body = orjson.dumps({"inputs": [row], **content})

    @staticmethod
    def header(_: bytes) -> bytes:
        """It has none."""
        return b""


def written(returned: Any, *, binary: bool = True, **content: Any) -> bytes:
    """The answer to a request with this beside its inputs."""
    known = recorded(Signature())
    protocol = V2Protocol(Served(known, Identity("m", "", ""), Scoring(known)), binary_answers=binary)
    _, encode = protocol.decode(Body(**content))  # type: ignore[arg-type]
    return encode(returned)


def test_json_has_null_for_what_is_no_number() -> None:
    for dtype in (np.float16, np.float32, np.float64):
        told = orjson.loads(written(np.array([1.5, NAN, np.inf], dtype)))
        assert told["outputs"][0]["data"] == [1.5, None, None]
    told = orjson.loads(written(np.arange(6.0).reshape(2, 3)[:, 1]))
    assert told["outputs"][0]["data"] == [1, 4]
    assert "model_version" not in told


def test_bytes_are_base64_in_json() -> None:
    [told] = orjson.loads(written(np.array([b"\xff", b"a"], object)))["outputs"]
    assert (told["data"], told["parameters"]) == (["/w==", "YQ=="], {"content_type": "base64"})


def test_binary_answers_keep_every_number() -> None:
    answer = written({"p": np.array([NAN, np.inf]), "s": ["é"]}, parameters={"binary_data_output": True})
    assert isinstance(answer, Answer)
    length = int(answer.headers.split(b"inference-header-content-length: ")[1])
    told, data = orjson.loads(answer[:length]), answer[length:]
    assert [one["parameters"]["binary_data_size"] for one in told["outputs"]] == [16, 6]
    assert data == struct.pack("<dd", NAN, np.inf) + b"\2\0\0\0" + "é".encode()


def test_each_output_may_be_asked_for_in_its_own_way() -> None:
    asked = [{"name": "b", "parameters": {"binary_data": False}}, {"name": "a", "parameters": {"binary_data": True}}]
    answer = written({"a": np.zeros(1), "b": np.ones(1), "c": np.ones(1)}, outputs=asked)
    assert isinstance(answer, Answer)
    told = orjson.loads(answer[:-8])
    assert [(one["name"], "data" in one) for one in told["outputs"]] == [("b", True), ("a", False)]
    assert not isinstance(written({"a": np.zeros(1), "b": np.ones(1)}, outputs=asked, binary=False), Answer)
    with pytest.raises(RequestProblem, match="there is no output 'b'; there are 'a'"):
        written({"a": np.zeros(1)}, outputs=asked)
