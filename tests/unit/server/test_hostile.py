"""What those do to a server who mean no good, or know no better: it keeps its memory, and answers all others."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from serinus_server import room
from serinus_server.problems import RequestProblem
from tests.unit.server.processes import Running, running, write_model
from tests.unit.server.test_process import until

HEAD = b"POST /invocations HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n"
HUNDRED_MB = 100_000_000
SLOW = b'{"dataframe_split":{"columns":["a","b"],"data":[[888,0]]}}'
INFER = "/v2/models/model/infer"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("hostile")
    told = {"RECEIVE_TIMEOUT": "2s", "IDLE_TIMEOUT": "3s"}
    with running(write_model(folder / "model"), folder / "log", **told) as server:
        yield server


def connected(server: Running) -> socket.socket:
    """A connection of one's own."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def memory(server: Running, field: str = "VmRSS") -> float:
    """MB."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def is_quick(server: Running) -> bool:
    """Whether somebody else is answered at once."""
    began = time.monotonic()
    assert server.predict(1).json == {"predictions": [2.0]}
    return time.monotonic() - began < 1


@pytest.mark.parametrize("says_how_long", [True, False], ids=["length", "chunks"])
def test_a_hundred_megabytes_are_not_taken(server: Running, *, says_how_long: bool) -> None:
    before = memory(server)
    part = b"x" * 1_000_000
    with connected(server) as line:
        line.sendall(
            HEAD
            + (b"content-length: %d\r\n\r\n" % HUNDRED_MB if says_how_long else b"transfer-encoding: chunked\r\n\r\n")
        )
        try:
            for _ in range(100):
                line.sendall(part if says_how_long else b"%x\r\n%b\r\n" % (len(part), part))
        except ConnectionError:
            # It has heard enough.
            pass
        else:
            assert line.recv(100).startswith(b"HTTP/1.1 413 ")
    assert is_quick(server)
    until(lambda: memory(server) < before + 25)


def test_a_body_of_one_byte_a_second_is_told_so(server: Running) -> None:
    with connected(server) as line:
        line.sendall(HEAD + b"content-length: 99\r\n\r\n")
        line.settimeout(0.25)
        answer, began = b"", time.monotonic()
        while not answer and time.monotonic() < began + 10:
            line.sendall(b"{")
            try:
                answer = line.recv(1000)
            except TimeoutError:
                assert is_quick(server)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"took longer than 2 s to arrive" in answer


def test_hundreds_of_idle_connections_cost_little_and_end(server: Running) -> None:
    before = memory(server)
    with ExitStack() as stack:
        lines = [stack.enter_context(connected(server)) for _ in range(500)]
        assert is_quick(server)
        assert memory(server) < before + 10
        assert [line.recv(1) for line in lines] == [b""] * 500


def test_rows_of_those_who_have_gone_are_not_predicted(server: Running) -> None:
    before = server.metric("serinus_server_disconnects_total")
    rows = server.metric("serinus_server_rows_total")
    lines = [connected(server) for _ in range(6)]
    for line in lines:
        line.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(SLOW) + SLOW)
        time.sleep(0.02)
    for line in lines:
        line.close()
    until(lambda: server.metric("serinus_server_disconnects_total") >= before + 4)
    assert is_quick(server)
    assert server.metric("serinus_server_rows_total") <= rows + 3


def test_what_takes_long_to_read_keeps_nobody_waiting(server: Running) -> None:
    server.ask("/invocations", b"a,b\n1,2\n", content_type="text/csv")
    body = b"a,b,c\n" + b"1,2,some text\n" * 400_000
    found: list[int] = []
    thread = threading.Thread(
        target=lambda: found.append(server.ask("/invocations", body, content_type="text/csv").status)
    )
    thread.start()
    longest, asked = 0.0, 0
    while thread.is_alive():
        began = time.monotonic()
        assert server.predict(1).status == 200
        longest, asked = max(longest, time.monotonic() - began), asked + 1
    assert (found, longest < 0.5, asked > 5) == ([200], True, True)


def test_a_small_body_does_not_become_a_large_frame(server: Running) -> None:
    before = memory(server, "VmHWM")
    names = b",".join(b'"c%d"' % number for number in range(4000))
    wide = b'{"dataframe_split":{"columns":["a","b",%b],"data":[1,2],"index":[%b0]}}' % (names, b"0," * 100_000)
    others = b",".join(b'{"c%d":1}' % number for number in range(4000))
    sparse = b'{"inputs":[{"a":[1],"b":1},%b]}' % others
    for body in (wide, sparse, b"a,b," + names + b"\n" + b"1\n" * 200_000):
        kind = "application/json" if body.startswith(b"{") else "text/csv"
        answer = server.ask("/invocations", body, content_type=kind)
        assert (answer.status, "columns have" in answer.json["message"]) == (400, True), answer.body[:300]
    assert memory(server, "VmHWM") < before + 60


def test_names_that_clients_make_up_are_no_labels_of_metrics(server: Running) -> None:
    rows = [{"a": 1, "b": 1}, {"a": 1, "b": 1, "z" * 5000: 1}]
    assert server.ask("/invocations", {"instances": rows}).status == 400
    assert server.ask("/invocations", {"instances": [{"a": 1, "b": "x"}]}).status == 400
    lines = [line for line in server.ask("/metrics").body.decode().splitlines() if "violations_total{" in line]
    assert any('column="b"' in line for line in lines)
    assert any('column="other"' in line for line in lines)
    assert max(map(len, lines)) < 200


def test_a_length_of_thousands_of_digits_is_no_number(server: Running) -> None:
    answer = server.ask(INFER, b"{}", inference_header_content_length="9" * 5000)
    assert (answer.status, b"wants a number up to" in answer.body) == (400, True)


def test_many_inputs_of_which_one_is_there_twice_are_soon_told(server: Running) -> None:
    one = b'{"name":"%d","datatype":"BOOL","shape":[0],"data":[]}'
    began = time.monotonic()
    answer = server.ask(INFER, b'{"inputs":[%b]}' % b",".join(one % max(1, number) for number in range(100_000)))
    assert (answer.status, answer.json["error"]) == (400, "input '1' is there twice")
    last = server.ask(INFER, b'{"inputs":[%b]}' % b",".join(one % min(99_998, number) for number in range(100_000)))
    assert (last.status, last.json["error"]) == (400, "input '99998' is there twice")
    assert time.monotonic() < began + 10


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"dataframe_split": {"columns": ["a"] * 9000, "data": []}}, "9000 columns, and the model's signature 2"),
        ({"dataframe_split": {"columns": ["a"] * 90, "data": [], "index": [0] * 90_000}}, "90000 rows of 90 columns"),
        ({"dataframe_records": [{f"c{number}": 1} for number in range(3000)]}, "3000 rows of 3000 columns"),
        ({"inputs": {"s": ["x" * 10_000, *[""] * 10_000]}}, "one text has 10000 characters"),
    ],
    ids=["wide", "index", "records", "text"],
)
def test_what_would_grow_beyond_measure_is_refused(content: dict[str, object], words: str) -> None:
    with pytest.raises(RequestProblem, match=words):
        room.check_frame(content, 2)


def test_what_is_large_and_full_is_taken() -> None:
    rows = [[1.0] * 300] * 5000
    room.check_frame({"dataframe_split": {"columns": [f"c{number}" for number in range(300)], "data": rows}}, 300)
    room.check_frame({"dataframe_records": [{"a": 1}, {}] * 300_000, "inputs": {"s": ["some text"] * 500_000}}, 5)
    room.check_csv("a,b\n" + "1,2\n" * 500_000, 2)
