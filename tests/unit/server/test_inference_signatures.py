"""Params, tensors, and models without a signature: what they get over HTTP, and what their clients get."""

import dataclasses
from typing import Any

import numpy as np
import orjson

from serinus_server.signature import Column, Param, Signature, Tensor
from serinus_server.values import Table, Value
from tests.unit.server.inference_server import PATH, columns, matrix, numbers, serving, total


def test_params_come_as_parameters() -> None:
    known = dataclasses.replace(columns(a="double", b="double"), params=(Param("k", "long", 1, None),))
    with serving(known, total) as running:
        row = matrix([1, 2])
        assert running.infer(row)[0] == 200
        assert running.infer(row, parameters={"k": 5, "content_type": "pd", "other": [1]})[0] == 200
        assert running.model.params == [{"k": 1}, {"k": 5}]
        status, told = running.infer(row, parameters={"k": "five"})
        assert (status, "param 'k' wants long" in told["error"]) == (400, True)
        assert running.infer(row, parameters=[1])[0] == 400


def test_tensors_are_taken_by_their_names() -> None:
    images = Tensor("images", np.dtype(np.float32), (-1, 2, 2))
    known = Signature((images, Tensor("scale", np.dtype(np.int64), (-1,))))

    def predict(value: Value) -> Any:
        assert isinstance(value, dict)
        return {"mean": value["images"].mean(axis=(1, 2)), "scale": value["scale"]}

    with serving(known, predict) as running:
        given = {"name": "images", "datatype": "FP32", "shape": [1, 2, 2], "data": [[[1, 2], [3, 4]]]}
        status, told = running.infer(numbers("scale", 7, datatype="INT64"), given)
        assert status == 200
        assert [(one["name"], one["datatype"], one["data"]) for one in told["outputs"]] == [
            ("mean", "FP32", [2.5]),
            ("scale", "INT64", [7]),
        ]
        status, told = running.infer(given)
        assert (status, told["error"]) == (400, "tensor 'scale' is missing; the request has 'images'")
        status, told = running.infer(numbers("scale", 7.5), given)
        assert (status, "tensor 'scale' wants int64, and value 0, counted from 0, is 7.5" in told["error"]) == (
            400,
            True,
        )
        status, told = running.infer(numbers("scale", 7), {**given, "shape": [2, 2]})
        assert (status, "got [2, 2]" in told["error"]) == (400, True)
        status, _, body = running.ask("GET", PATH)
        assert orjson.loads(body)["inputs"][0] == {"name": "images", "datatype": "FP32", "shape": [-1, 2, 2]}


def test_a_tensor_without_a_name_may_be_called_anything() -> None:
    known = Signature((Tensor(None, np.dtype(np.float64), (-1, 2)),))
    with serving(known, lambda value: np.asarray(value).sum(axis=1)) as running:
        assert running.infer(matrix([1, 2], datatype="INT32"))[1]["outputs"][0]["data"] == [3]
        assert running.infer(matrix([1, 2]), matrix([1, 2]))[0] == 400
        assert running.infer(numbers("x", 1, 2))[0] == 400
        assert running.infer(numbers("x", "a", datatype="BYTES"))[0] == 400


def test_without_a_signature_anything_goes_in() -> None:
    with serving(Signature(), lambda _: np.zeros(1)) as running:
        running.infer(matrix([1, 2]))
        assert isinstance(running.model.seen[-1], np.ndarray)
        running.infer(numbers("x", 1), numbers("y", "a", datatype="BYTES"))
        value = running.model.seen[-1]
        assert isinstance(value, Table)
        assert value.frame().to_dict("list") == {"x": [1.0], "y": ["a"]}
        running.infer(numbers("x", 1), parameters={"content_type": "pd"})
        assert isinstance(running.model.seen[-1], Table)
        assert running.infer()[0] == 400


def test_outputs_may_be_chosen_and_have_the_names_of_the_signature() -> None:
    out = tuple(Column(name, "double", required=True, spec={}) for name in ("low", "high"))
    known = dataclasses.replace(columns(a="double", b="double"), outputs=out)
    with serving(known, lambda _: np.array([[1.0, np.nan]])) as running:
        _, told = running.infer(matrix([1, 2]))
        assert [(one["name"], one["data"]) for one in told["outputs"]] == [("low", [1.0]), ("high", [None])]
        _, told = running.infer(matrix([1, 2]), outputs=[{"name": "high"}])
        assert [one["name"] for one in told["outputs"]] == ["high"]
        status, told = running.infer(matrix([1, 2]), outputs=[{"name": "middle"}])
        assert (status, told["error"]) == (400, "there is no output 'middle'; there are 'low', 'high'")
