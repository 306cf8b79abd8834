"""What a client is told: the column, the type wanted, the value got, and never the whole input."""

import json
from pathlib import Path
from typing import Any

import pytest

from serinus_server.problems import RequestProblem
from tests.unit.server import scoring_mlflow as both

MIXED = both.columns(age="long", price="double", name="string", ok="boolean", small="integer?", at="datetime?")
ROW = {"age": 3, "price": 1.5, "name": "x", "ok": True}
DEEP = b'{"inputs":' + b"[" * 70 + b"]" * 70 + b"}"
WIDE = both.columns(**{f"c{n}": "double" for n in range(10_000)})
IMAGE = both.tensors(("image", "float32", (-1, 2, 2)), ("mask", "uint8", (-1, 2)))


def frame(**changed: object) -> dict[str, Any]:
    row = ROW | changed
    return {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}


def without(name: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in ROW.items() if key != name}]


CASES: dict[str, tuple[str, Any, str, str]] = {
    "a word for a double": (
        MIXED, frame(price="cheap"), "column 'price' wants double, and row 0, counted from 0, has 'cheap', a string",
        "price",
    ),
    "null for a long": (MIXED, frame(age=None), "column 'age' wants long, and row 0, counted from 0, has null", "age"),
    "a list for a long": (MIXED, frame(age=[1]), "row 0, counted from 0, has [1], a list", "age"),
    "too large for an integer": (MIXED, frame(small=2**40), "column 'small' wants integer", "small"),
    "too large for a long": (MIXED, frame(age=2**63), "9223372036854775808, an integer", "age"),
    "an object for a double": (MIXED, frame(price={"a": 1}), "has {'a': 1}, an object", "price"),
    "the row is named": (
        MIXED,
        {"dataframe_records": [ROW, ROW, ROW | {"price": "x"}, ROW]},
        "row 2, counted from 0, has 'x'",
        "price",
    ),
    "inputs": (MIXED, {"inputs": {**{k: [v] for k, v in ROW.items()}, "price": ["x"]}}, "'price' wants", "price"),
    "instances": (MIXED, {"instances": [ROW | {"age": None}]}, "'age' wants long", "age"),
    "missing in a frame": (
        MIXED, {"dataframe_records": without("age")},
        "column 'age' (long) is required by the model's signature, and missing; the request has", "age",
    ),
    "missing in inputs": (MIXED, {"inputs": without("name")[0]}, "column 'name' (string) is required", "name"),
    "no rows at all": (MIXED, {"dataframe_records": []}, "the request has none", "age"),
    "a column twice": (
        MIXED, {"dataframe_split": {"columns": [*ROW, "age"], "data": [[*ROW.values(), 3]]}},
        "column 'age' is there twice", "age",
    ),
    "a row too long": (
        MIXED, {"dataframe_split": {"columns": list(ROW), "data": [list(ROW.values()), [1, 2, 3, 4, 5]]}},
        "row 1, counted from 0, has 5 values for 4 columns", "",
    ),
    "all rows too short": (
        MIXED, {"dataframe_split": {"columns": list(ROW), "data": [[1]]}}, "has 1 values for 4 columns", "",
    ),
    "an index of another length": (
        MIXED, {"dataframe_split": frame()["dataframe_split"] | {"index": [1, 2]}}, "has 2 values for 1 rows", "",
    ),
    "split without data": (MIXED, {"dataframe_split": {"columns": ["a"]}}, "wants an object of columns and data", ""),
    "split of a list": (MIXED, {"dataframe_split": [1]}, "not a list", ""),
    "columns that are none": (MIXED, {"dataframe_split": {"columns": 5, "data": [[1]]}}, "a list of names, not 5", ""),
    "data that is none": (MIXED, {"dataframe_split": {"columns": ["a"], "data": 5}}, "a list of rows, not 5", ""),
    "records of an object": (MIXED, {"dataframe_records": {}}, "wants a list of objects, not an object", ""),
    "inputs without names": (MIXED, {"inputs": [[1, 2, 3, 4]]}, "send an object of them, not a list", "age"),
    "lists of other lengths": (
        MIXED, {"inputs": {**{k: [v] for k, v in ROW.items()}, "ok": [True, False]}},
        "column 'ok' has 2 values, and 'age' has 1", "ok",
    ),
    "instances that differ": (MIXED, {"instances": [ROW, *without("age")]}, "'age' is in some of the instances", "age"),
    "10000 columns, one wrong": (
        WIDE, {"inputs": {f"c{n}": ["x" if n == 7777 else 1.5] for n in range(10_000)}}, "'c7777' wants", "c7777",
    ),
    "10000 columns, none right": (WIDE, {"inputs": {f"d{n}": [1] for n in range(10_000)}}, "and 9990 more", "c0"),
    "a value of a megabyte": (MIXED, frame(price="x" * 1_000_000), "column 'price' wants double", "price"),
    "a tensor of another shape": (
        IMAGE, {"inputs": {"image": [[1, 2]], "mask": [[1, 2]]}},
        "tensor 'image' wants the shape (any, 2, 2), and got (1, 2)", "image",
    ),
    "a tensor that is ragged": (
        IMAGE, {"inputs": {"image": [[[1, 2], [3]]], "mask": [[1, 2]]}}, "tensor 'image' wants float32", "image",
    ),
    "a tensor of words": (IMAGE, {"inputs": {"image": [[["a", "b"]]], "mask": [[1, 2]]}}, "float32 of shape", "image"),
    "beyond the type": (IMAGE, {"inputs": {"image": [[[1, 2], [3, 4]]], "mask": [[1, 300]]}}, "wants uint8", "mask"),
    "a tensor missing": (IMAGE, {"inputs": {"image": [[[1, 2], [3, 4]]]}}, "tensor 'mask' is missing", "mask"),
    "an array without a name": (both.tensors((None, "float64", (-1, 2))), {"inputs": {"a": 1}}, "one array", ""),
    "nested 70 times": (both.tensors((None, "float64", (-1, 2))), DEEP, "shape", ""),
    "a param of another type": (MIXED, frame() | {"params": {"n": True}}, "param 'n' wants long, and got True", ""),
    "params that are none": (MIXED, frame() | {"params": [1]}, "params must be an object", ""),
    "a list for a param": (MIXED, frame() | {"params": {"n": [1]}}, "param 'n' wants long, and got [1], a list", ""),
}  # fmt: skip


@pytest.mark.parametrize(("signature", "body", "words", "column"), CASES.values(), ids=CASES)
def test_messages(tmp_path: Path, signature: str, body: object, words: str, column: str) -> None:
    params = '[{"name":"n","type":"long","default":3,"shape":null}]'
    folder = both.save(tmp_path, {"inputs": signature, "params": params})
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    problem = both.ours(both.scoring(folder), content)
    assert isinstance(problem, RequestProblem)
    assert words in problem.message
    assert (problem.status, problem.column) == (400, column)
    assert len(problem.message) < 400


BY_MLFLOW: dict[str, tuple[str, Any, str]] = {
    "an array of words": (
        json.dumps([{"name": "v", "type": "array", "items": {"type": "double"}, "required": True}]),
        {"inputs": [{"v": ["x" * 100_000]}]},
        "",
    ),
    "dates that are none": (both.columns(t="datetime"), {"dataframe_records": [{"t": "yesterday?"}]}, "t"),
    "binary that is none": (both.columns(x="binary"), {"dataframe_records": [{"x": 5}]}, "x"),
}


@pytest.mark.parametrize(("signature", "body", "column"), BY_MLFLOW.values(), ids=BY_MLFLOW)
def test_messages_of_mlflow_are_kept_short(tmp_path: Path, signature: str, body: object, column: str) -> None:
    problem = both.ours(both.scoring(both.save(tmp_path, {"inputs": signature})), json.dumps(body).encode())
    assert isinstance(problem, RequestProblem)
    assert (problem.status, problem.column) == (400, column)
    assert 10 < len(problem.message) <= 300
