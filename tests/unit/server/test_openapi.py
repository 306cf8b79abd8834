"""The document that says what a model takes, and the page that shows it."""

import dataclasses
import json
import re
from typing import Any

import numpy as np
import orjson
import pytest

from serinus_server import openapi, schemas
from serinus_server.app import Identity
from serinus_server.inference.inputs import Inputs
from serinus_server.inference.served import Served
from serinus_server.inference.tensors import of_json
from serinus_server.scoring import Scoring
from serinus_server.signature import Column, Param, Signature, Tensor
from serinus_server.values import Call, Table
from tests.unit.server.inference_server import columns, recorded, serving

KINDS = columns(a="double", n="long", s="string", b="boolean", t="datetime", f="float?")
LOGGED = {
    "dataframe_split": {
        "columns": ["a", "n", "s", "b", "t", "f"],
        "data": [[1.5, 2, "x", True, "2026-01-31T00:00:00", None], [2.5, 3, None, False, "2026-01-31T01:00:00", 0.25]],
    }
}


def document(signature: Signature, logged: Any = None) -> Any:
    """As a client reads it."""
    known = recorded(signature)
    scoring = Scoring(known)
    body = b"" if logged is None else json.dumps(logged).encode()
    example: Call | None = scoring.decode(body, "application/json") if body else None
    served = Served(known, Identity("main.wines/red", "3", "blue"), scoring)
    return orjson.loads(orjson.dumps(openapi.document(served, known, body, example)))


def example(told: Any, path: str) -> Any:
    """The example of a request."""
    content = told["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return content["examples"]["logged"]["value"] if "examples" in content else None


def references(part: Any) -> set[str]:
    """All that is referred to."""
    if isinstance(part, list):
        return set().union(*map(references, part)) if part else set()
    if isinstance(part, dict):
        own = {part["$ref"]} if "$ref" in part else set()
        return own.union(*map(references, part.values()))
    return set()


def test_columns_have_their_types_and_whether_they_are_needed() -> None:
    told = document(KINDS, LOGGED)
    assert told["openapi"] == "3.1.0"
    assert (told["info"]["title"], told["info"]["version"]) == ("main.wines/red", "3")
    row = told["components"]["schemas"]["Row"]
    assert row["required"] == ["a", "n", "s", "b", "t"]
    assert row["properties"]["a"] == {"type": ["number", "null"], "format": "double"}
    assert row["properties"]["n"] == {"type": "integer", "format": "int64"}
    assert row["properties"]["t"] == {"type": ["string", "null"], "format": "date-time"}
    body = told["paths"]["/invocations"]["post"]["requestBody"]["content"]
    titles = [one["title"] for one in body["application/json"]["schema"]["oneOf"]]
    assert titles == ["dataframe_split", "dataframe_records", "instances", "inputs"]
    assert "text/csv" in body


def test_everything_referred_to_is_there() -> None:
    told = document(dataclasses.replace(KINDS, params=(Param("k", "long", 1, None),)), LOGGED)
    known = {f"#/components/schemas/{name}" for name in told["components"]["schemas"]}
    assert references(told) <= known
    paths = {"/invocations", "/v2/models/main.wines%2Fred/infer", "/v2/health/ready", "/ping", "/metrics", "/feedback"}
    assert paths <= told["paths"].keys()
    assert told["servers"] == [{"url": "."}]


def test_the_example_is_the_logged_one_in_both_protocols() -> None:
    told = document(KINDS, LOGGED)
    assert example(told, "/invocations") == LOGGED
    tensors = example(told, "/v2/models/main.wines%2Fred/infer")
    known = recorded(KINDS)
    ours = Inputs(known, Scoring(known)).call([of_json(one) for one in tensors["inputs"]], None).value
    theirs = Scoring(known).decode(json.dumps(LOGGED).encode(), "application/json").value
    assert isinstance(ours, Table)
    assert isinstance(theirs, Table)
    assert ours.names == theirs.names
    for one, other in zip(ours.arrays, theirs.arrays, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "signature",
    [
        KINDS,
        columns(a="double", b="double"),
        Signature((Tensor(None, np.dtype(np.float32), (-1, 3)),)),
        Signature((Tensor("x", np.dtype(np.float32), (-1, 3)), Tensor("y", np.dtype(np.int64), (-1,)))),
    ],
)
def test_without_a_logged_one_an_example_is_made_that_fits(signature: Signature) -> None:
    made = example(document(signature), "/invocations")
    call = Scoring(recorded(signature)).decode(json.dumps(made).encode(), "application/json")
    assert call.rows == 1


def test_of_nothing_there_is_no_example() -> None:
    told = document(Signature())
    assert example(told, "/invocations") is None
    assert "Row" not in told["components"]["schemas"]


def test_large_examples_and_many_columns_stay_small() -> None:
    wide = columns(**{f"x{place}": "double" for place in range(300)})
    logged = {"dataframe_split": {"columns": [f"x{place}" for place in range(300)], "data": [[0.5] * 300] * 100}}
    told = document(wide, logged)
    assert len(example(told, "/invocations")["dataframe_split"]["data"]) == 1
    assert len(orjson.dumps(told)) < 200_000


def test_nested_types_are_nested() -> None:
    spec = {"type": "array", "items": {"type": "object", "properties": {"k": {"type": "long", "required": False}}}}
    assert schemas.of_type(spec) == {
        "type": "array",
        "items": {"type": "object", "properties": {"k": {"type": "integer", "format": "int64"}}, "required": []},
    }
    column = Column("lists", "array", required=True, spec={"name": "lists", **spec})
    told = document(Signature((column,)))
    assert example(told, "/invocations") == {"dataframe_split": {"columns": ["lists"], "data": [[[{"k": 1}]]]}}


def test_tensors_have_their_shapes() -> None:
    told = document(Signature((Tensor("x", np.dtype(np.float32), (-1, 2)),)))
    body = told["paths"]["/invocations"]["post"]["requestBody"]["content"]
    assert list(body) == ["application/json"]
    [inputs, _] = body["application/json"]["schema"]["oneOf"]
    x = inputs["properties"]["inputs"]["properties"]["x"]
    assert x["items"] == {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = openapi.PAGE.read_text()
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!openapi\.json)""", page)
    assert "://" not in page
    assert "innerHTML" not in page
    ids = set(re.findall(r'id="([\w-]+)"', page))
    assert set(re.findall(r'at\("([\w-]+)"\)', page)) <= ids


def test_both_are_served() -> None:
    with serving(columns(a="double"), lambda _: np.zeros(1)) as running:
        status, headers, body = running.ask("GET", "/docs")
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "default-src 'none'" in headers["content-security-policy"]
        assert body == openapi.PAGE.read_bytes()
        status, headers, body = running.ask("GET", "/openapi.json")
        assert (status, headers["content-type"]) == (200, "application/json")
        assert "/v2/models/wines/infer" in orjson.loads(body)["paths"]
