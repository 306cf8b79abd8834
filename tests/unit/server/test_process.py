"""The server as its users have it: a process that starts, answers, stands what happens to it, and ends well."""

import http.client
import importlib
import json
import re
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.unit.server.processes import Doubles, Running, running, start, wait_until_ready, write_model

WRONG: tuple[Any, ...] = (b"{", {}, [1])
ROW = json.dumps({"inputs": {"a": [1.0], "b": [2.0]}}).encode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    log = tmp_path_factory.mktemp("log") / "server.log"
    told = {"MODEL_NAME": "churn", "MODEL_VERSION": "7", "MODEL_REVISION": "abc", "MAX_BODY": "1Mi"}
    with running(folder, log, **told) as server:
        yield server


def test_a_prediction_says_which_model_made_it(server: Running) -> None:
    answer = server.predict(1, 2)
    assert (answer.status, answer.json) == (200, {"predictions": [2.0, 4.0]})
    assert [answer.headers[f"x-model-{one}"] for one in ("name", "version", "revision")] == ["churn", "7", "abc"]
    assert answer.headers["x-request-id"] != server.predict(1).headers["x-request-id"]


@pytest.mark.parametrize(
    ("given", "is_kept"), [("abc-1", True), ("x" * 200, False), ("a b", False)], ids=["good", "long", "spaces"]
)
def test_a_request_id_is_kept_if_it_may_stand_in_a_log(server: Running, given: str, *, is_kept: bool) -> None:
    assert (server.ask("/invocations", ROW, x_request_id=given).headers["x-request-id"] == given) == is_kept


def test_what_a_client_does_wrong_is_told_as_mlflow_would(server: Running) -> None:
    answer = server.ask("/invocations", {"dataframe_split": {"columns": ["a", "b"], "data": [[1, "two"]]}})
    assert answer.status == 400
    assert answer.json["error_code"] in {"BAD_REQUEST", "INVALID_PARAMETER_VALUE"}
    assert all(word in answer.json["message"] for word in ("'b'", "double", "two"))
    assert server.metric("serinus_server_schema_violations_total") >= 1


def test_what_the_model_cannot_take_is_a_400_and_costs_others_nothing(server: Running) -> None:
    answer = server.predict(999)
    assert (answer.status, "999 is too many" in answer.json["message"]) == (400, True)
    assert server.predict(1).status == 200


def test_what_only_mlflow_can_read_is_waited_for_by_nobody_else(folder: Path, tmp_path: Path) -> None:
    with running(folder, tmp_path / "log") as server:
        found: list[float] = []

        def ask() -> None:
            answer = server.ask("/invocations", b"a,b\n1,2\n3,4\n", content_type="text/csv")
            found.extend(answer.json["predictions"])

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        asked = 0
        while any(thread.is_alive() for thread in threads):
            assert server.predict(1).status == 200
            asked += 1
        assert (found, asked > 5) == ([2.0, 6.0] * 3, True)


@pytest.mark.parametrize(
    ("path", "status"), [("/nothing", 404), ("/invocations", 405), ("/ping/", 200), ("/%70ing", 200)]
)
def test_paths_are_found_or_it_is_said_what_there_is(server: Running, path: str, status: int) -> None:
    answer = server.ask(path)
    assert answer.status == status
    assert status == 200 or b"/invocations" in answer.body


def test_it_tells_that_it_is_well_and_which_mlflow_it_speaks(server: Running) -> None:
    assert [server.ask(path).status for path in ("/ping", "/health", "/live", "/version", "/metrics")] == [200] * 5
    assert server.ask("/version").body.startswith(b"3.")


def test_a_body_that_is_too_large_is_not_read(server: Running) -> None:
    before = server.metric("serinus_server_resident_memory_bytes")
    answer = server.ask("/invocations", b"x" * 3_000_000)
    assert (answer.status, b"more than 1048576 bytes" in answer.body) == (413, True)
    assert server.metric("serinus_server_resident_memory_bytes") < before + 10_000_000


def test_nobody_is_told_of_a_request_unless_asked_for(server: Running) -> None:
    server.predict(12345)
    assert "12345" not in json.dumps(server.log)
    assert not [line for line in server.log if line["message"] == "answered"]


def test_a_switch_has_requests_logged_without_what_was_in_them(folder: Path, tmp_path: Path) -> None:
    with running(folder, tmp_path / "log", ACCESS_LOG="on") as server:
        server.ask("/invocations", ROW, x_request_id="me")
        until(lambda: any(line["message"] == "answered" for line in server.log))
        (line,) = [line for line in server.log if line["message"] == "answered"]
        assert (line["status"], line["rows"], line["request_id"], line["path"]) == (200, 1, "me", "/invocations")


# --- what may happen


def test_a_prediction_that_hangs_is_told_and_the_pod_is_known_to_be_unwell(folder: Path, tmp_path: Path) -> None:
    with running(folder, tmp_path / "log", REQUEST_TIMEOUT="300ms", HUNG_AFTER="1s", QUEUE_SIZE="2") as server:
        assert server.predict(777).status == 504
        assert server.ask("/live").status == 200
        assert server.predict(1).status == 504
        until = time.monotonic() + 10
        while server.ask("/live").status == 200 and time.monotonic() < until:
            time.sleep(0.1)
        answer = server.ask("/live")
        assert (answer.status, b"more than 1 s" in answer.body) == (503, True)
        assert server.stop() == 0


def test_a_queue_that_is_full_turns_others_away(folder: Path, tmp_path: Path) -> None:
    with running(folder, tmp_path / "log", QUEUE_SIZE="2") as server:
        found: list[tuple[int, str]] = []

        def ask() -> None:
            answer = server.predict(888)
            found.append((answer.status, answer.headers.get("retry-after", "")))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {status for status, _ in found} == {200, 429}
        assert all(after.isdecimal() for status, after in found if status == 429)
        assert server.predict(1).status == 200
        assert server.metric("serinus_server_rejected_total") == sum(status == 429 for status, _ in found)


def test_a_model_that_ends_the_process_ends_it(folder: Path, tmp_path: Path) -> None:
    with running(folder, tmp_path / "log") as server:
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            server.predict(666)
        assert server.process.wait(10) == 66


# --- the end


class Client(threading.Thread):
    """Asks without a pause over one connection, and over another when that is closed in order."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.answered = 0
        self.failures: list[str] = []
        self.may_not_connect = threading.Event()

    def run(self) -> None:
        """Until it cannot connect any more."""
        while True:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
                try:
                    connection.connect()
                except ConnectionError:
                    if not self.may_not_connect.is_set():
                        self.failures.append("refused")
                    return
                self._ask(connection)

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        while True:
            try:
                connection.request("POST", "/invocations", ROW, {"content-type": "application/json"})
                answer = connection.getresponse()
                if answer.read() != b'{"predictions":[2.0]}':
                    self.failures.append(f"{answer.status}")
                self.answered += 1
            except (OSError, http.client.HTTPException) as error:
                # The very last connections may be taken by the kernel and by nobody else.
                if not self.may_not_connect.is_set():
                    self.failures.append(repr(error))
                return
            if answer.will_close:
                return


def test_nobody_is_cut_off_when_it_is_told_to_stop(folder: Path, tmp_path: Path) -> None:
    with running(folder, tmp_path / "log", DRAIN="1s") as server:
        clients = [Client(server.port) for _ in range(8)]
        for client in clients:
            client.start()
        time.sleep(1)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert server.ask("/ping").status == 503, "not ready at once"
        assert server.predict(1).status == 200, "and answering yet"
        # From now on others take the traffic.
        for client in clients:
            client.may_not_connect.set()
        assert server.process.wait(20) == 0
        for client in clients:
            client.join()
        assert [client.failures for client in clients] == [[]] * 8
        assert sum(client.answered for client in clients) > 200


def test_what_has_begun_when_it_is_told_to_stop_is_finished(folder: Path, tmp_path: Path) -> None:
    with running(folder, tmp_path / "log", DRAIN="0s") as server:
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(server.predict(888).status))
        thread.start()
        time.sleep(0.2)
        assert server.stop() == 0
        thread.join()
        assert found == [200]


# --- the beginning


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"MODEL_URI": ""}, "MODEL_URI is empty: name the model"),
        ({"MODEL_URI": "/nowhere"}, "/nowhere"),
        ({"BATCH_MAX_DELAY": "soon"}, "BATCH_MAX_DELAY is 'soon': it has to be a time such as 500ms"),
        ({"PORT": "99999"}, "PORT is '99999': it has to be a whole number from 0 to 65535"),
    ],
    ids=["no model", "not there", "no time", "no port"],
)
def test_what_cannot_be_served_is_told_in_one_line(
    folder: Path, tmp_path: Path, settings: dict[str, str], words: str
) -> None:
    server = start(folder, tmp_path / "log", **settings)
    assert server.process.wait(60) == 1
    assert words in server.log[-1]["message"]
    assert len(server.log) == 1


def test_a_model_that_fails_its_own_example_is_not_served(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    bad = {"dataframe_split": {"columns": ["a", "b"], "data": [[999, 1]]}}
    (folder / "serving_input_example.json").write_text(json.dumps(bad))
    server = start(folder, tmp_path / "log")
    assert server.process.wait(60) == 1
    assert "fails on its own input example: ValueError: 999 is too many" in server.log[-1]["message"]


def test_a_port_that_is_taken_is_told(folder: Path, tmp_path: Path, server: Running) -> None:
    other = start(folder, tmp_path / "log", PORT=str(server.port))
    assert other.process.wait(60) == 1
    assert f"port {server.port} is taken, or" in other.log[-1]["message"]


def test_it_is_not_ready_before_it_is(folder: Path, tmp_path: Path) -> None:
    server = start(folder, tmp_path / "log")
    try:
        wait_until_ready(server)
        assert server.predict(1).status == 200
        messages = [line["message"] for line in server.log]
        assert any("loaded" in message for message in messages)
    finally:
        server.process.kill()
        server.process.wait()


# --- who looks on


def until(holds: Callable[[], object], seconds: float = 20) -> None:
    """Wait until something is so, in another process."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_inputs_and_outputs_are_sketched(server: Running) -> None:
    server.predict(5, 6, 7)
    sketches = server.ask("/sketches").json
    assert set(sketches["inputs"]["columns"]) == {"a", "b"}
    assert sketches["inputs"]["seen"] >= 3
    assert sketches["model"] == {"name": "churn", "version": "7", "revision": "abc"}
    assert server.metric("serinus_server_output_values_total") >= 3


def test_feedback_is_joined_with_what_was_predicted(server: Running) -> None:
    data = {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 0], [2, 0]]}}
    server.ask("/invocations", data, x_request_id="mine")
    results = server.ask("/feedback", [{"request_id": "mine", "labels": [2, 5]}, {"request_id": "x", "label": 1}]).json
    assert [one["status"] for one in results["results"]] == ["joined", "unknown"]
    assert [server.ask("/feedback", body).status for body in WRONG] == [400, 400, 400]
    assert server.metric("serinus_server_feedback_total") == 2


def test_what_is_off_says_how_it_is_switched_on(server: Running) -> None:
    answer = server.ask("/tap")
    assert (answer.status, b"TAP_SAMPLE=1 switches it on" in answer.body) == (404, True)


def test_a_shadow_predicts_what_another_is_asked(folder: Path, tmp_path: Path) -> None:
    with running(folder, tmp_path / "log", TAP_SAMPLE="1") as server:
        other = write_model(tmp_path / "other", Doubles(wrong_at=3.0))
        address = f"http://127.0.0.1:{server.port}/tap"
        with running(other, tmp_path / "shadow.log", SHADOW_OF=address) as shadow:
            until(lambda: server.metric("serinus_server_tap_followers") == 1)
            for number in range(10):
                assert server.predict(number).status == 200
            until(lambda: shadow.metric("serinus_server_shadow_rows_total") == 10)
            lines = shadow.ask("/metrics").body.decode()
            assert re.search(r"serinus_server_shadow_rows_total\{.*agree.*\} 9", lines)
            assert shadow.stop() == 0
        until(lambda: server.metric("serinus_server_tap_followers") == 0)
        assert server.stop() == 0


# --- other protocols, and clients that are not ours


def test_mlflows_own_client_talks_to_it(server: Running) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = importlib.import_module("mlflow.pyfunc.scoring_server.client")
        pandas = importlib.import_module("pandas")
        caller = client.ScoringServerClient("127.0.0.1", server.port)
        caller.wait_server_ready(timeout=5)
        frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [0.0, 0.0]})
        assert caller.invoke(frame).get_predictions()[0].tolist() == [2.0, 4.0]


def test_the_same_model_answers_the_open_inference_protocol(server: Running) -> None:
    told = server.ask("/v2/models/churn/versions/7").json
    assert [(one["name"], one["datatype"]) for one in told["inputs"]] == [("a", "FP64"), ("b", "FP64")]
    rows = {"name": "rows", "shape": [2, 2], "datatype": "FP64", "data": [1, 0, 2, 0]}
    answer = server.ask("/v2/models/churn/infer", {"id": "me", "inputs": [rows]})
    assert (answer.status, answer.json["outputs"][0]["data"]) == (200, [2.0, 4.0])
    assert answer.json["id"] == "me"
    assert server.ask("/v2/models/other/infer", {"inputs": [rows]}).status == 404
    assert server.ask("/v2/health/ready").status == 200


def test_a_page_shows_what_may_be_asked(server: Running) -> None:
    document = server.ask("/openapi.json").json
    assert "/invocations" in document["paths"]
    assert b"<html" in server.ask("/docs").body.lower()


def test_grpc_is_served_where_it_is_asked_for(folder: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with running(folder, tmp_path / "log", GRPC_PORT=str(port)) as server:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            ask = channel.unary_unary("/inference.GRPCInferenceService/ServerReady")
            assert ask(b"", timeout=20) == b"\x08\x01", "ready is true"
        assert server.stop() == 0
