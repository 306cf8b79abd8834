"""Answers have the JSON that MLflow's scoring server would have written."""

import datetime as dt
import io
import json
from typing import Any

import hypothesis.extra.numpy as some
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given, settings

from serinus_server import outputs
from serinus_server.problems import RequestProblem
from tests.unit.server.scoring_mlflow import scoring_server


class Answer(pydantic.BaseModel):
    """What a chat might return."""

    text: str


def theirs(value: object) -> str:
    stream = io.StringIO()
    scoring_server.predictions_to_json(value, stream)
    return stream.getvalue()


def same(value: object) -> None:
    """Also the types of numbers and the order of names: as Python would write them again."""
    assert json.dumps(json.loads(outputs.encode(value))) == json.dumps(json.loads(theirs(value)))


FRAME = pd.DataFrame({"a": [1.5, np.nan], "b": ["x", None], "t": pd.to_datetime(["2024-01-05", None]), "n": [1, 2]})
VALUES: dict[str, Any] = {
    "a frame": FRAME,
    "a frame of numbers": pd.DataFrame(np.arange(6.0).reshape(3, 2)),
    "a frame with an index": FRAME.set_index("n"),
    "an empty frame": FRAME.iloc[:0],
    "a series": FRAME["a"],
    "a series without a name": pd.Series([1, 2]),
    "a list": [1, 2.5, "é", None, True],
    "a list of numpy's": [np.float32(0.1), np.int64(3), np.bool_(1), np.str_("x"), np.float64(0.1)],
    "a dict": {"a": np.array([1.5, np.nan]), "b": [np.array(["x"], object)], 3: np.arange(3)},
    "nothing": None,
    "a word": "x",
    "a number": np.float32(0.1),
    "bytes": [b"abc", bytearray(b"d")],
    "an array of bytes": np.array([b"abc", b"d"]),
    "an array of objects": np.array([1, "a", None, 2.5, True], object),
    "an array of dates": np.array(["2024-01-05", "2024-01-06"], "datetime64[D]"),
    "an array of nanoseconds": np.array(["2024-01-05"], "datetime64[ns]"),
    "dates": [
        dt.date(2024, 1, 5), dt.datetime(2024, 1, 5, tzinfo=dt.UTC), dt.time(3),
        pd.Timestamp("2024-01-05"),
    ],
    "halves of pairs": ["\ud800"],
    "an array of them": np.array(["\ud800"]),
    "one value": np.array(1.5),
    "no rows": np.empty((0, 3)),
    "no columns": np.empty((3, 0)),
    "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "another byte order": np.arange(3, dtype=">i4"),
    "every other": np.arange(10)[::2],
    "a masked array": np.ma.masked_array([1, 2], [False, True]),
    "large integers": [2**70],
    "a model of pydantic": [Answer(text="x")],
    "NaN": np.array([1, np.nan, np.inf], np.float32),
}  # fmt: skip


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_values(value: object) -> None:
    same(value)


NUMBERS = st.sampled_from(["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "U3"])


@settings(max_examples=200, deadline=None)
@given(some.arrays(NUMBERS.map(np.dtype), some.array_shapes(max_dims=3, max_side=4)))
def test_arrays(array: object) -> None:
    same(array)


@pytest.mark.parametrize("value", [{1, 2}, [object()], {(1, 2): 3}, [1j]], ids=["a set", "objects", "a key", "complex"])
def test_what_has_no_json_is_an_error_as_with_mlflow(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        theirs(value)
    with pytest.raises((TypeError, ValueError)):
        outputs.encode(value)


@pytest.mark.parametrize(
    ("status", "column", "code"),
    [(400, "", "BAD_REQUEST"), (400, "a", "INVALID_PARAMETER_VALUE"), (429, "", "REQUEST_LIMIT_EXCEEDED")],
)
def test_errors_have_the_form_of_mlflow(status: int, column: str, code: str) -> None:
    body = outputs.error_body(RequestProblem(status, "é\ud800", column=column))
    assert json.loads(body) == {"error_code": code, "message": "é\ud800"}
