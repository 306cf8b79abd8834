"""The protocol over gRPC: the same model, the same words, and gRPC's own codes."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import orjson
import pytest
from grpc_tools import protoc  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from serinus_server.batcher import Limits as BatchLimits
from serinus_server.inference import messages
from serinus_server.inference.grpc import NAME, Limits, code_of
from serinus_server.inference.messages import CLASSES
from serinus_server.problems import RequestProblem
from serinus_server.values import Table, Value
from tests.unit.server.inference_server import PATH, Running, columns, serving

Request = CLASSES["ModelInferRequest"]
LIMIT = 200_000


class Client:
    """Calls methods by their names, with bytes."""

    def __init__(self, port: int) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.max_send_message_length", -1)])

    def raw(self, method: str, body: bytes, metadata: Any = (), timeout: float = 10) -> tuple[bytes, dict[str, str]]:
        """The answer as bytes, and its metadata."""
        answer, call = self._channel.unary_unary(f"/{NAME}/{method}").with_call(body, timeout, metadata)
        return answer, dict(call.trailing_metadata())

    def ask(self, method: str, metadata: Any = (), **fields: Any) -> Any:
        """The answer as a message."""
        answer, _ = self.raw(method, CLASSES[f"{method}Request"](**fields).SerializeToString(), metadata)
        return CLASSES[f"{method}Response"].FromString(answer)

    def infer(self, request: Any) -> Any:
        """The answer to an inference."""
        return CLASSES["ModelInferResponse"].FromString(self.raw("ModelInfer", request.SerializeToString())[0])

    def close(self) -> None:
        """Let go."""
        self._channel.close()


def total(value: Value) -> Any:
    """A row's sum; and it cannot stand what is negative."""
    assert isinstance(value, Table)
    assert value.matrix is not None
    if (value.matrix < 0).any():
        raise ValueError("negative")
    return value.matrix.sum(axis=1)


def request(*rows: list[float], raw: bool = False, **fields: Any) -> Any:
    """An inference of rows of doubles."""
    made = Request(**{"model_name": "wines", **fields})
    values = np.array(rows, float)
    one = made.inputs.add(name="rows", datatype="FP64", shape=values.shape)
    if raw:
        made.raw_input_contents.append(values.tobytes())
    else:
        one.contents.fp64_contents.extend(values.reshape(-1).tolist())
    return made


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """A model of two columns of doubles."""
    with serving(columns(a="double", b="double"), total, limits=Limits(message=LIMIT)) as one:
        yield one


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[Client]:
    """A client of it."""
    one = Client(running.grpc_port)
    yield one
    one.close()


def refused(ask: Callable[[], object]) -> tuple[str, str, dict[str, str]]:
    """The code, the message and the metadata of a refusal."""
    with pytest.raises(grpc.RpcError) as caught:
        ask()
    error: Any = caught.value
    return error.code().name, error.details(), dict(error.trailing_metadata())


def test_the_messages_are_those_of_the_proto(tmp_path: Path) -> None:
    folder = messages.FILE.parent
    made = tmp_path / "made"
    arguments = ["protoc", f"-I{folder}", f"--descriptor_set_out={made}", str(folder / "open_inference.proto")]
    assert protoc.main(arguments) == 0
    assert made.read_bytes() == messages.FILE.read_bytes()


def test_a_server_tells_what_it_is_and_how_it_is(client: Client) -> None:
    assert client.ask("ServerLive").live
    assert client.ask("ServerReady").ready
    assert client.ask("ModelReady", name="wines").ready
    assert client.ask("ServerMetadata").name == "serinus"
    told = client.ask("ModelMetadata", name="wines", version="3")
    assert (told.name, list(told.versions), told.platform) == ("wines", ["3"], "mlflow_sklearn")
    assert [(one.name, one.datatype, list(one.shape)) for one in told.inputs] == [
        ("a", "FP64", [-1]),
        ("b", "FP64", [-1]),
    ]


def test_a_server_that_drains_is_not_ready(client: Client, running: Running) -> None:
    running.app.is_ready = False
    try:
        assert not client.ask("ServerReady").ready
        assert not client.ask("ModelReady", name="wines").ready
    finally:
        running.app.is_ready = True


def test_answers_have_the_form_of_their_request(client: Client, running: Running) -> None:
    typed = client.infer(request([1, 2], [3, 4], id="q"))
    assert (typed.model_name, typed.model_version, typed.id) == ("wines", "3", "q")
    [output] = typed.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("predict", "FP64", [2])
    assert list(output.contents.fp64_contents) == [3, 7]
    raw = client.infer(request([1, 2], [3, np.nan], raw=True))
    np.testing.assert_array_equal(np.frombuffer(raw.raw_output_contents[0]), [3, np.nan])
    assert not raw.outputs[0].HasField("contents")
    assert running.counts.answers[-1] == ("grpc", 0, 2)


def test_answers_say_whose_they_are(client: Client) -> None:
    body = request([1, 2], id="own").SerializeToString()
    _, told = client.raw("ModelInfer", body, (("x-request-id", "given"),))
    assert told == {
        "x-model-name": "wines",
        "x-model-version": "3",
        "x-model-revision": "blue",
        "x-request-id": "given",
    }
    assert client.raw("ModelInfer", body)[1]["x-request-id"] == "own"
    made = {
        client.raw("ModelInfer", request([1, 2], id=text).SerializeToString())[1]["x-request-id"]
        for text in ("", "ä b")
    }
    assert len(made - {"", "ä b"}) == 2
    assert client.raw("ServerLive", b"")[1]["x-model-name"] == "wines"


def test_over_http_the_same_comes_out(client: Client, running: Running) -> None:
    rows = [[0.1, 0.2], [1e300, -0.0]]
    item = {"name": "rows", "datatype": "FP64", "shape": [2, 2], "data": rows}
    _, _, body = running.ask("POST", f"{PATH}/infer", {"inputs": [item]})
    wanted = orjson.loads(body)["outputs"][0]["data"]
    assert list(client.infer(request(*rows)).outputs[0].contents.fp64_contents) == wanted


def test_problems_have_codes_and_words(client: Client, running: Running) -> None:
    code, words, told = refused(lambda: client.infer(request([1, 2], model_name="beers")))
    assert (code, words) == ("NOT_FOUND", "there is no model 'beers' here; served is 'wines'")
    assert told["x-model-name"] == "wines"
    code, words, _ = refused(lambda: client.infer(request([1, 2], model_version="4")))
    assert (code, "is served in version '3'" in words) == ("NOT_FOUND", True)
    assert refused(lambda: client.ask("ModelMetadata", name="beers"))[0] == "NOT_FOUND"
    code, words, _ = refused(lambda: client.infer(request([1, 2, 3])))
    assert (code, "has 3 columns, and the model's signature 2" in words) == ("INVALID_ARGUMENT", True)
    assert running.counts.answers[-1] == ("grpc", 3, 0)
    code, words, _ = refused(lambda: client.infer(Request(model_name="wines")))
    assert (code, "column 'a' (double) is required" in words) == ("INVALID_ARGUMENT", True)
    assert refused(lambda: client.raw("ModelInfer", b"\xff\xff"))[0] == "INVALID_ARGUMENT"
    assert refused(lambda: client.raw("ModelMetadata", b"\xff\xff"))[0] == "INVALID_ARGUMENT"
    assert refused(lambda: client.raw("ModelStreamInfer", b""))[0] == "UNIMPLEMENTED"


def test_a_model_that_cannot_stand_its_input_says_so(client: Client) -> None:
    client.infer(request([1, 2]))
    code, words, _ = refused(lambda: client.infer(request([-1, 2])))
    assert (code, words) == ("INVALID_ARGUMENT", "the model cannot predict this input: ValueError: negative")


def test_a_message_that_is_too_large_is_refused(client: Client) -> None:
    big = request(*[[1.0, 2.0]] * (LIMIT // 8), raw=True)
    assert refused(lambda: client.infer(big))[0] == "RESOURCE_EXHAUSTED"
    assert client.infer(request([1, 2])).outputs


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_are_answered_or_refused(client: Client, noise: bytes, is_cut: bool) -> None:  # noqa: FBT001 - drawn
    whole = request([1, 2], raw=True).SerializeToString()
    body = whole[: len(noise)] if is_cut else whole + noise
    try:
        client.raw("ModelInfer", body)
    except grpc.RpcError as error:
        assert error.code().name in {"INVALID_ARGUMENT", "NOT_FOUND"}  # noqa: PT017 - it may also be answered


@pytest.mark.parametrize(
    ("shape", "data", "datatype"),
    [
        ([2, 2], b"1234567", "FP64"),
        ([1, 2], b"", "FP64"),
        ([1 << 40, 2], b"12345678", "FP64"),
        ([(1 << 31) - 1, (1 << 31) - 1], b"12345678", "FP64"),
        ([-1, 2], b"12345678", "FP64"),
        ([1, 2], b"1234567890123456", "FP65"),
        ([1, 2], b"\xff\xff\xff\x7fab", "BYTES"),
        ([1, 2], b"\1\0\0\0a", "BYTES"),
        ([1, 2], b"\1\0\0\0a\1\0\0\0b\0", "BYTES"),
        ([1, 1 << 30], b"\0" * 100, "BYTES"),
    ],
)
def test_shapes_that_lie_are_refused(client: Client, shape: list[int], data: bytes, datatype: str) -> None:
    made = Request(model_name="wines", raw_input_contents=[data])
    made.inputs.add(name="rows", datatype=datatype, shape=shape)
    code, words, _ = refused(lambda: client.infer(made))
    assert (code, bool(words)) == ("INVALID_ARGUMENT", True)


def test_too_many_and_too_slow_have_their_codes() -> None:
    gate = threading.Event()

    def predict(value: Value) -> Any:
        gate.wait(5)
        return total(value)

    limits = BatchLimits(rows=1, waiting=1, timeout=0.5)
    with serving(columns(a="double", b="double"), predict, batches=limits) as running, ThreadPoolExecutor(3) as pool:
        client = Client(running.grpc_port)
        first = pool.submit(client.infer, request([1, 2]))
        while not running.model.seen and running.app.batcher.waiting == 0 and not running.app.batcher.lane.since:
            time.sleep(0.005)
        time.sleep(0.05)
        second = pool.submit(client.infer, request([1, 2]))
        while running.app.batcher.waiting == 0:
            time.sleep(0.005)
        code, _, told = refused(lambda: client.infer(request([1, 2])))
        assert (code, told["retry-after"]) == ("RESOURCE_EXHAUSTED", "1")
        assert running.counts.rejected == 1
        assert refused(lambda: first.result(5))[0] == "DEADLINE_EXCEEDED"
        assert refused(lambda: second.result(5))[0] == "DEADLINE_EXCEEDED"
        gate.set()
        client.close()


def test_who_goes_away_is_not_predicted_for() -> None:
    gate = threading.Event()

    def predict(value: Value) -> Any:
        gate.wait(5)
        return total(value)

    with serving(columns(a="double", b="double"), predict, batches=BatchLimits(rows=1)) as running:
        client = Client(running.grpc_port)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(client.infer, request([1, 2]))
            time.sleep(0.2)
            body = request([3, 4]).SerializeToString()
            assert refused(lambda: client.raw("ModelInfer", body, timeout=0.2))[0] == "DEADLINE_EXCEEDED"
            time.sleep(0.2)
            gate.set()
            assert first.result(5).outputs
        assert client.infer(request([5, 6])).outputs
        assert len(running.model.seen) == 2
        assert running.app.in_flight == 0
        client.close()


def test_no_more_bytes_are_in_hand_than_may_be() -> None:
    with serving(columns(a="double", b="double"), total, limits=Limits(in_hand=10)) as running:
        client = Client(running.grpc_port)
        assert refused(lambda: client.infer(request([1, 2])))[0] == "UNAVAILABLE"
        client.close()


def test_outputs_that_have_no_form_are_the_models_fault() -> None:
    def predict(_: Value) -> Any:
        return np.array([1 + 2j])

    with serving(columns(a="double", b="double"), predict) as running:
        client = Client(running.grpc_port)
        code, words, _ = refused(lambda: client.infer(request([1, 2])))
        assert (code, "complex" in words) == ("INTERNAL", True)
        client.close()


def test_texts_come_out_as_bytes() -> None:
    with serving(columns(a="double", b="double"), lambda _: np.array(["red", None], object)) as running:
        client = Client(running.grpc_port)
        [output] = client.infer(request([1, 2], [1, 2])).outputs
        assert list(output.contents.bytes_contents) == [b"red", b""]
        assert output.parameters["content_type"].string_param == "str"
        raw = client.infer(request([1, 2], [1, 2], raw=True)).raw_output_contents
        assert raw == [b"\3\0\0\0red\0\0\0\0"]
        client.close()


def test_grpc_is_not_imported_by_who_does_not_serve_it() -> None:
    code = "import sys, serinus_server.inference.pages, serinus_server.openapi; sys.exit('grpc' in sys.modules)"
    server = Path(__file__).parents[3] / "images" / "server"
    assert subprocess.run([sys.executable, "-c", code], cwd=server, check=False).returncode == 0


def test_a_problem_without_a_code_of_its_own_is_ours() -> None:
    assert code_of(RequestProblem(500, "no")) is grpc.StatusCode.INTERNAL
