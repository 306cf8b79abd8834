"""Signatures of lists, objects and bytes: their tensors go MLflow's own way, and mean there what they say."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serinus_server import mlmodel
from serinus_server.inference.inputs import Inputs
from serinus_server.inference.tensors import Tensor, of_json
from serinus_server.problems import RequestProblem
from serinus_server.scoring import Scoring
from serinus_server.values import Opaque, Table
from tests.unit.server.scoring_mlflow import save

LISTS = [
    {"name": "id", "type": "long", "required": True},
    {"name": "sizes", "type": "array", "items": {"type": "double"}, "required": True},
    {"name": "who", "type": "object", "properties": {"name": {"type": "string", "required": True}}, "required": False},
]


def inputs_of(path: Path, **signature: Any) -> Inputs:
    """What a model of this signature takes."""
    known = mlmodel.read(save(path, {name: json.dumps(part) for name, part in signature.items()}))
    return Inputs(known, Scoring(known))


def tensor(name: str, datatype: str, shape: list[int], data: list[Any], said: str = "") -> Tensor:
    """As it comes over HTTP."""
    item = {"name": name, "datatype": datatype, "shape": shape, "data": data}
    return of_json({**item, "parameters": {"content_type": said}} if said else item)


def test_lists_come_as_rows_of_a_tensor_or_as_json(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, inputs=LISTS)
    who = tensor("who", "BYTES", [2], ['{"name": "Eva"}', None])
    ids = tensor("id", "INT64", [2, 1], [1, 2])
    as_tensor = inputs.call([ids, tensor("sizes", "FP64", [2, 2], [1, 2, 3, 4.5]), who], None)
    as_json = inputs.call([ids, tensor("sizes", "BYTES", [2], ["[1.0, 2.0]", "[3.0, 4.5]"], "pd_json"), who], None)
    for call in (as_tensor, as_json):
        assert isinstance(call.value, Opaque)
        assert call.rows == 2
        frame = call.value.value
        assert [list(row) for row in frame["sizes"]] == [[1.0, 2.0], [3.0, 4.5]]
        assert frame["who"][0] == {"name": "Eva"}


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        (tensor("sizes", "BYTES", [2], ["[1", "[2]"]), "input 'sizes' wants JSON in each of its texts, and '[1'"),
        (tensor("sizes", "BYTES", [1], ["[1]"]), "all inputs must have as many rows: 'id' has 2, 'sizes' has 1"),
        (tensor("sizes", "BYTES", [2], ['"x"', '"y"']), "sizes"),
        (Tensor("sizes", "BYTES", np.array([b"\xff", b"\xff"], object)), "value 0, counted from 0, is no UTF-8"),
        (tensor("id", "INT64", [2], [1, 2]), "input 'id' is there twice"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, sizes: Tensor, words: str) -> None:
    inputs = inputs_of(tmp_path, inputs=LISTS)
    with pytest.raises(RequestProblem) as caught:
        inputs.call([tensor("id", "INT64", [2], [1, 2]), sizes], None)
    assert caught.value.status == 400
    assert words in caught.value.message


def test_bytes_come_as_base64_in_json_and_as_they_are_otherwise(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, inputs=[{"name": "raw", "type": "binary", "required": True}])
    data = b"\x00\xff!"
    of_text = inputs.call([tensor("raw", "BYTES", [1], [base64.b64encode(data).decode()])], None)
    of_bytes = inputs.call([Tensor("raw", "BYTES", np.array([data], object))], None)
    for call in (of_text, of_bytes):
        assert isinstance(call.value, (Opaque, Table))
        frame = call.value.value if isinstance(call.value, Opaque) else call.value.frame()
        assert frame["raw"].tolist() == [data]


def test_columns_without_names_take_one_tensor(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, inputs=[{"type": "string", "required": True}])
    call = inputs.call([tensor("any", "BYTES", [2], ["a", "b"])], None)
    assert call.rows == 2


def test_tensors_of_text_go_the_same_way(tmp_path: Path) -> None:
    spec = {"dtype": "str", "shape": [-1]}
    inputs = inputs_of(tmp_path, inputs=[{"name": "words", "type": "tensor", "tensor-spec": spec}])
    call = inputs.call([tensor("words", "BYTES", [2], ["a", "b"])], None)
    assert isinstance(call.value, Opaque)
    assert [str(one) for one in call.value.value["words"]] == ["a", "b"]
