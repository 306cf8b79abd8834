"""The protocol over HTTP: what the model gets, what its client gets, and what is refused."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serinus_server.inference import pages
from serinus_server.inference.tensors import DTYPES
from serinus_server.problems import RequestProblem
from serinus_server.values import Table, Value
from tests.unit.server.inference_server import BODY, PATH, Running, columns, matrix, numbers, serving, total

MIXED = columns(a="double", n="long", s="string", b="boolean", t="datetime", f="float?")


@pytest.fixture(scope="module")
def doubles() -> Iterator[Running]:
    """A model of three columns of doubles."""
    with serving(columns(a="double", b="double", c="double"), total) as running:
        yield running


@pytest.fixture(scope="module")
def mixed() -> Iterator[Running]:
    """A model of columns of all kinds."""
    with serving(MIXED, lambda value: np.zeros(value.rows if isinstance(value, Table) else 0)) as running:
        yield running


def test_a_server_tells_what_it_is_and_how_it_is(doubles: Running) -> None:
    def get(path: str) -> Any:
        status, _, body = doubles.ask("GET", path)
        return status, orjson.loads(body)

    assert get("/v2") == (200, {"name": "serinus", "version": "1", "extensions": ["binary_tensor_data"]})
    assert get("/v2/health/live") == (200, {"live": True})
    assert get("/v2/health/ready") == (200, {"ready": True})
    assert get(f"{PATH}/ready") == (200, {"name": "wines", "ready": True})
    status, told = get(f"{PATH}/versions/3")
    assert (status, told["name"], told["versions"], told["platform"]) == (200, "wines", ["3"], "mlflow_sklearn")
    assert told["inputs"][0] == {"name": "a", "datatype": "FP64", "shape": [-1]}
    assert "[n, 3] with the columns in this order" in told["parameters"]["inputs"]


def test_a_server_that_drains_is_not_ready(doubles: Running) -> None:
    doubles.app.is_ready = False
    try:
        assert [doubles.ask("GET", path)[0] for path in ("/v2/health/ready", f"{PATH}/ready")] == [503, 503]
    finally:
        doubles.app.is_ready = True


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/v2/models/beers", 404, "there is no model 'beers' here; served is 'wines'"),
        ("POST", "/v2/models/beers/infer", 404, "there is no model 'beers' here"),
        ("GET", f"{PATH}/versions/4", 404, "model 'wines' is served in version '3'; asked for was '4'"),
        ("POST", f"{PATH}/versions/4/infer", 404, "is served in version '3'"),
        ("GET", "/v2/repository/index", 404, "nothing is at /v2/repository/index: the model is at /v2/models/<name>"),
        ("GET", f"{PATH}/infer", 405, "takes POST, not GET"),
        ("POST", f"{PATH}/ready", 405, "takes GET, not POST"),
    ],
)
def test_other_paths_are_refused(doubles: Running, method: str, path: str, status: int, words: str) -> None:
    answer = doubles.ask(method, path, {"inputs": [matrix([1, 2, 3])]} if method == "POST" else None)
    assert answer[0] == status
    assert words in orjson.loads(answer[2])["error"]


def test_names_may_have_slashes() -> None:
    assert pages.parts("/v2/models/main.wines/red/versions/3/infer") == ("main.wines/red", "3", "infer")
    assert pages.parts("/v2/models/red/ready") == ("red", "", "ready")
    with pytest.raises(RequestProblem):
        pages.parts("/v2/model/red")


def test_one_matrix_or_a_tensor_for_each_column(doubles: Running) -> None:
    answer = {"model_name": "wines", "model_version": "3"}
    wanted = {**answer, "outputs": [{"name": "predict", "datatype": "FP64", "shape": [2], "data": [6.0, 15.0]}]}
    rows = [[1, 2, 3], [4, 5, 6]]
    assert doubles.infer(matrix(*rows)) == (200, wanted)
    for datatype in ("FP32", "FP16", "INT8", "UINT64"):
        assert doubles.infer(matrix(*rows, datatype=datatype)) == (200, wanted)
    flat = {"name": "input-0", "datatype": "FP64", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]}
    assert doubles.infer(flat) == (200, wanted)
    # Their order is that of the signature, and what it does not know is ignored.
    single = [numbers("c", 3, 6, datatype="INT32"), numbers("b", 2, 5), numbers("z", 0), numbers("a", 1, 4)]
    assert doubles.infer(*single, id="q") == (200, {**wanted, "id": "q"})
    upright = [{**one, "shape": [2, 1]} for one in single if one["name"] != "z"]
    assert doubles.infer(*upright, parameters={"content_type": "pd"}) == (200, wanted)


def test_answers_say_whose_they_are(doubles: Running) -> None:
    body = {"inputs": [matrix([1, 2, 3])]}
    _, headers, _ = doubles.ask("POST", f"{PATH}/versions/3/infer", body, {"x-request-id": "abc"})
    assert (headers["x-model-name"], headers["x-model-version"], headers["x-request-id"]) == ("wines", "3", "abc")


def test_values_of_all_kinds_reach_the_model(mixed: Running) -> None:
    status, told = mixed.infer(
        numbers("a", 1, 2.5),
        numbers("n", 1, 2.0),
        numbers("s", "x", None, datatype="BYTES"),
        {**numbers("b", datatype="BOOL"), "shape": [2], "data": [True, False]},
        numbers("t", "2026-01-31T10:00:00", "2026-02-01T00:00:00", datatype="BYTES"),
        numbers("f", 0.1, None),
    )
    assert status == 200, told
    value = mixed.model.seen[-1]
    assert isinstance(value, Table)
    assert [one.dtype.str for one in value.arrays] == ["<f8", "<i8", "|O", "|b1", "<M8[ns]", "<f4"]
    assert value.arrays[2].tolist() == ["x", None]
    assert list(value.frame().columns) == ["a", "n", "s", "b", "t", "f"]


def test_json_of_python_has_numbers_that_are_none(doubles: Running) -> None:
    body = b'{"inputs": [{"name": "r", "datatype": "FP64", "shape": [1, 3], "data": [NaN, Infinity, 1]}]}'
    assert doubles.ask("POST", f"{PATH}/infer", body)[0] == 200
    value = doubles.model.seen[-1]
    assert isinstance(value, Table)
    np.testing.assert_array_equal(value.matrix, [[np.nan, np.inf, 1]])


def test_what_is_not_required_may_be_missing(mixed: Running) -> None:
    dates = numbers("t", "2026-01-31T10:00:00Z", datatype="BYTES")
    given = [numbers("a", 1), numbers("n", 1), numbers("s", "x", datatype="BYTES"), numbers("b", 1), dates]
    assert mixed.infer(*given)[0] == 200
    value = mixed.model.seen[-1]
    assert isinstance(value, Table)
    assert value.names == ("a", "n", "s", "b", "t")
    assert str(value.arrays[4][0]) == "2026-01-31T10:00:00.000000000"


@pytest.mark.parametrize(
    ("changed", "words", "column"),
    [
        (numbers("n", 1.5), "column 'n' wants long, and row 0, counted from 0, has 1.5, a number", "n"),
        (numbers("n", None), "column 'n' wants long, and row 0, counted from 0, has nan", "n"),
        (numbers("n", 2**63, datatype="UINT64"), "column 'n' wants long, and row 0, counted from 0, has 9223", "n"),
        (numbers("n", "1", datatype="BYTES"), "column 'n' wants long (INT64), and got BYTES", "n"),
        (numbers("s", 1), "column 's' wants string (BYTES), and got FP64", "s"),
        (numbers("b", 2, datatype="INT8"), "column 'b' wants boolean, and row 0, counted from 0, has 2", "b"),
        (numbers("t", "soon", datatype="BYTES"), "column 't' wants datetime", "t"),
        (numbers("a", "x"), "input 'a': wants FP64, and value 0, counted from 0, is 'x'", "a"),
        (numbers("a", 1, 2), "input 'n' has 1 rows, and 'a' has 2: all must have as many", "n"),
        (matrix([1.0, 2.0]) | {"name": "a"}, "input 'a' is a column, and wants the shape [n] or [n, 1]", "a"),
    ],
)
def test_what_does_not_fit_a_column_is_told(mixed: Running, changed: Any, words: str, column: str) -> None:
    dates = numbers("t", "2026-01-31", datatype="BYTES")
    given = [numbers("a", 1), numbers("n", 1), numbers("s", "x", datatype="BYTES"), numbers("b", 1), dates]
    given = [changed if one["name"] == changed["name"] else one for one in given]
    before = len(mixed.counts.columns)
    status, told = mixed.infer(*given)
    assert (status, words in told.get("error", "")) == (400, True), told
    assert mixed.counts.columns[before:] == [column]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([matrix([1, 2])], "input 'rows' of shape [1, 2] has 2 columns, and the model's signature 3: 'a', 'b', 'c'"),
        ([numbers("a", 1), numbers("b", 1)], "column 'c' (double) is required by the model's signature, and missing"),
        ([numbers("a", 1), numbers("a", 1)], "input 'a' is there twice"),
        ([], "required"),
        ([numbers("x", 1)], "column 'a' (double) is required"),
    ],
)
def test_what_does_not_fit_the_signature_is_told(doubles: Running, inputs: Any, words: str) -> None:
    status, told = doubles.infer(*inputs)
    assert status == 400
    assert words in told["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"inputs": {}}',
        b'{"inputs": null}',
        b'{"input": []}',
        b'{"inputs": [null]}',
        b'{"inputs": [[]]}',
        b'{"inputs": [{"name": null}]}',
        b"\xff\xfe",
        b'{"inputs": ' + b"[" * 5000,
        b'{"inputs": [{"name": "a", "datatype": "FP64", "shape": [1], "data": ' + b"[" * 500 + b"]" * 500 + b"}]}",
        b'{"inputs": [{"name": "\\ud800", "datatype": "FP64", "shape": [1], "data": [1]}]}',
        b'{"inputs": [{"name": "a", "datatype": ["FP64"], "shape": [1], "data": [1]}]}',
        b'{"inputs": [{"name": "a", "datatype": "FP64", "shape": [1], "data": [1], "parameters": 5}], "id": 5}',
        b'{"inputs": [{"name": "r", "datatype": "FP64", "shape": [1,3], "data": [1,2,3]}], "id": 5}',
        b'{"inputs": [{"name": "r", "datatype": "FP64", "shape": [1,3], "data": [1,2,3]}], "outputs": 5}',
        b'{"inputs": [{"name": "r", "datatype": "FP64", "shape": [1,3], "data": [1,2,3]}], "outputs": [5]}',
        b'{"inputs": [{"name": "r", "datatype": "FP64", "shape": [1,3], "data": [1,2,3]}], "outputs": [{"name": "x"}]}',
        orjson.dumps({"inputs": [numbers(f"x{place}", 1) for place in range(10_000)]}),
        orjson.dumps({"inputs": [numbers("a" * 100_000, 1), numbers("a" * 100_000, 1)]}),
    ],
)
def test_what_is_no_request_is_refused(doubles: Running, body: bytes) -> None:
    status, _, told = doubles.ask("POST", f"{PATH}/infer", body)
    assert status == 400
    assert 0 < len(orjson.loads(told)["error"]) < 1000


def test_binary_tensors_come_behind_the_json(doubles: Running) -> None:
    values = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    item = {"name": "r", "datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": values.nbytes}}
    head = orjson.dumps({"inputs": [item], "parameters": {"binary_data_output": True}})
    headers = {"inference-header-content-length": str(len(head))}
    status, _, told = doubles.ask("POST", f"{PATH}/infer", head + values.tobytes(), headers)
    assert (status, orjson.loads(told)["outputs"][0]["data"]) == (200, [6, 15])
    for body in (head, head + values.tobytes()[:-1], head + values.tobytes() + b"\0"):
        status, _, told = doubles.ask("POST", f"{PATH}/infer", body, headers)
        assert (status, "error" in orjson.loads(told)) == (400, True)


def test_a_body_that_is_too_large_is_refused(doubles: Running) -> None:
    status, _, _ = doubles.ask("POST", f"{PATH}/infer", b" " * (BODY + 1))
    assert status == 413
    doubles.close()


def test_a_model_that_cannot_stand_its_input_says_so(doubles: Running) -> None:
    assert doubles.infer(matrix([1, 2, 3]))[0] == 200
    assert doubles.counts.answers[-1] == ("v2", 200, 1)
    assert doubles.infer(matrix([1, 2]))[0] == 400
    assert doubles.counts.answers[-1] == ("v2", 400, 0)


def test_requests_that_wait_are_predicted_together() -> None:
    gate = threading.Event()

    def predict(value: Value) -> Any:
        gate.wait(5)
        return total(value)

    with serving(columns(a="double", b="double"), predict) as running:

        def ask(number: int) -> Any:
            client = Running(running.model, running.counts, running.app, running.port, 0)
            try:
                return client.infer(matrix([number, 1]))[1]["outputs"][0]["data"]
            finally:
                client.close()

        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(ask, number) for number in range(8)]
            # The first is being predicted, and all others are here.
            while running.app.batcher.waiting < 7:
                threading.Event().wait(0.005)
            gate.set()
            assert [one.result() for one in asked] == [[number + 1] for number in range(8)]
        assert len(running.model.seen) == 2


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_body_is_answered_or_refused(mixed: Running, data: st.DataObject) -> None:
    """A request in which anything may have been replaced by anything."""
    odd: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    odd |= st.lists(odd, max_size=3) | st.dictionaries(st.text(max_size=3), odd, max_size=2)
    names, kinds = st.sampled_from(["a", "n", "s", "b", "t", "f", "rows"]), st.sampled_from([*DTYPES, "FP65"])
    item = st.fixed_dictionaries(
        {"name": names | odd, "datatype": kinds | odd, "shape": st.lists(st.integers(-1, 3)) | odd, "data": odd},
        optional={"parameters": odd},
    )
    body = st.fixed_dictionaries(
        {"inputs": st.lists(item | odd, max_size=6) | odd}, optional={"id": odd, "outputs": odd, "parameters": odd}
    )
    status, _, told = mixed.ask("POST", f"{PATH}/infer", json.dumps(data.draw(body)).encode())
    assert status == 200 or (status == 400 and orjson.loads(told)["error"])
