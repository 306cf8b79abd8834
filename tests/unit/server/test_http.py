"""HTTP over real sockets: what is right is answered in order, what is wrong is told, and nothing is left in hand."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest
import uvloop

from serinus_server.http import Limits, Request, Server, Stream

LIMITS = Limits(head=2000, body=10_000, in_hand=100_000, receive=0.5, idle=0.5)
GET = b"GET /%b HTTP/1.1\r\nhost: h\r\n\r\n"


class Desk:
    """Answers with what it was sent: at once, or when the test says so."""

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.streams: list[Stream] = []
        self.waits = False

    def handle(self, request: Request) -> None:
        """Say what was asked for."""
        self.seen.append(request)
        if request.path == "/stream":
            self.streams.append(request.stream(b"content-type: text/plain\r\n"))
        elif not self.waits:
            self.answer(request)

    def answer(self, request: Request) -> None:
        """Method, path, query and body, as they came."""
        told = b"%b %b %b " % (request.method, request.path.encode(), request.query)
        request.answer(200, b"x-a: b\r\n", told + (request.body if len(request.body) < 100 else b"long"))

    def refuse(self, request: Request, status: int, message: str) -> None:
        """As it is."""
        request.answer(status, b"", message.encode())


class Line:
    """A client's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        """As it is."""
        self.writer.write(data)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(head[0].split()[1]), headers, body

    async def ask(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send, and have the answer."""
        self.send(data)
        return await self.answer()

    async def is_closed(self) -> bool:
        """Whether the server has closed it, after what it had to say."""
        return await asyncio.wait_for(self.reader.read(), 5) == b""


class Hall:
    """A server, and as many clients as are wanted."""

    def __init__(self, desk: Desk, server: Server, port: int) -> None:
        self.desk = desk
        self.server = server
        self.port = port
        self.lines: list[Line] = []

    async def line(self) -> Line:
        """One more client."""
        self.lines.append(Line(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self.lines[-1]


type Story = Callable[[Hall], Awaitable[None]]


def play(story: Story, limits: Limits = LIMITS) -> None:
    """The story with a server; afterwards it holds nothing."""

    async def run() -> None:
        desk = Desk()
        server = Server(desk, limits)
        hall = Hall(desk, server, await server.listen("127.0.0.1", 0))
        try:
            await story(hall)
        finally:
            for line in hall.lines:
                line.writer.close()
            await server.close(1)
        await asyncio.sleep(0.01)
        assert (server.in_hand, len(server.connections)) == (0, 0)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def until(holds: Callable[[], object]) -> None:
    """Wait until something is so; pytest's time-out is the limit."""
    while not holds():  # noqa: ASYNC110 (what is waited for happens at the other end of a socket)
        await asyncio.sleep(0.005)


async def flood(line: Line) -> None:
    """Send and send."""
    with suppress(ConnectionError):
        for _ in range(100):
            line.send(b"x" * 1024 * 1024)
            await line.writer.drain()


def _more_than(seen: list[Request], count: int) -> bool:
    return len(seen) > count


def post(body: bytes, more: bytes = b"") -> bytes:
    return b"POST /p?q=1 HTTP/1.1\r\nhost: h\r\n%bcontent-length: %d\r\n\r\n%b" % (more, len(body), body)


def test_requests_of_one_connection_are_answered_one_after_the_other() -> None:
    async def story(hall: Hall) -> None:
        line = await hall.line()
        status, headers, body = await line.ask(post(b"one"))
        assert (status, headers["x-a"], body) == (200, "b", b"POST /p q=1 one")
        assert headers["date"].endswith("gmt")
        assert (await line.ask(post(b"two")))[2] == b"POST /p q=1 two"

    play(story)


def test_what_is_sent_before_it_was_asked_for_is_answered_in_its_order() -> None:
    async def story(hall: Hall) -> None:
        line = await hall.line()
        hall.desk.waits = True
        line.send(b"".join(GET % str(number).encode() for number in range(50)))
        for number in range(50):
            await until(partial(_more_than, hall.desk.seen, number))
            hall.desk.answer(hall.desk.seen[number])
        assert [(await line.answer())[2] for _ in range(50)] == [b"GET /%d  " % number for number in range(50)]

    play(story)


def test_a_request_may_come_byte_by_byte_and_a_body_in_chunks() -> None:
    async def story(hall: Hall) -> None:
        line = await hall.line()
        for byte in b"POST /p HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n":
            line.send(bytes([byte]))
            await line.writer.drain()
        assert (await line.answer())[2] == b"POST /p  abcde"

    play(story)


@pytest.mark.parametrize(
    ("request_", "is_kept"),
    [
        (GET % b"x", True),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n", False),
    ],
    ids=["by default", "HTTP/1.0", "asked to close", "offers HTTP/2"],
)
def test_a_connection_is_kept_or_closed_as_the_client_says(request_: bytes, *, is_kept: bool) -> None:
    async def story(hall: Hall) -> None:
        line = await hall.line()
        assert (await line.ask(request_))[0] == 200
        if is_kept:
            assert (await line.ask(request_))[0] == 200
        else:
            assert await line.is_closed()

    play(story)


def test_a_body_is_asked_for_where_the_client_waits_to_be_asked() -> None:
    async def story(hall: Hall) -> None:
        line = await hall.line()
        head, _, body = post(b"late", b"expect: 100-continue\r\n").partition(b"\r\n\r\n")
        line.send(head + b"\r\n\r\n")
        assert (await line.answer())[0] == 100
        assert (await line.ask(body))[2].endswith(b"late")

    play(story)


def test_the_answer_to_head_has_no_body() -> None:
    async def story(hall: Hall) -> None:
        line = await hall.line()
        line.send(b"HEAD / HTTP/1.1\r\n\r\n" + GET % b"x")
        head = await line.reader.readuntil(b"\r\n\r\n")
        assert b"content-length: 8" in head
        assert (await line.answer())[2] == b"GET /x  "

    play(story)


REFUSED = {
    "no HTTP": (b"hello\r\n\r\n", 400, b"no HTTP request"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, b"no HTTP request"),
    "a long head": (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 2000 + b"\r\n", 431, b"more than 2000 bytes"),
    "a long target": (b"GET /" + b"x" * 3000 + b" HTTP/1.1\r\n\r\n", 431, b"more than 2000 bytes"),
    "a long body that says so": (post(b"x" * 10_001), 413, b"more than 10000 bytes; send fewer rows"),
    "a long body in chunks": (
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 3,
        413,
        b"more than 10000 bytes",
    ),
    "two lengths": (b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx", 400, b"no HTTP request"),
    "length and chunks": (
        b"POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        b"no HTTP request",
    ),
}


@pytest.mark.parametrize(("sent", "status", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_too_large_or_no_http_is_told_and_the_connection_ends(sent: bytes, status: int, message: bytes) -> None:
    async def story(hall: Hall) -> None:
        line = await hall.line()
        found, headers, body = await line.ask(sent)
        assert (found, headers["connection"]) == (status, "close")
        assert message in body
        assert await line.is_closed()
        assert hall.desk.seen == []

    play(story)


def test_who_sends_far_too_much_still_gets_the_answer() -> None:
    async def story(hall: Hall) -> None:
        line = await hall.line()
        line.send(b"POST / HTTP/1.1\r\ncontent-length: 104857600\r\n\r\n")
        sending = asyncio.create_task(flood(line))
        assert (await asyncio.wait_for(line.answer(), 10))[0] == 413
        await until(lambda: not hall.server.connections)
        sending.cancel()
        assert hall.server.in_hand == 0

    play(story)


def test_bodies_of_all_connections_together_are_bounded() -> None:
    async def story(hall: Hall) -> None:
        hall.desk.waits = True
        lines = [await hall.line() for _ in range(13)]
        for line in lines[:-1]:
            line.send(post(b"x" * 8000))
        await until(lambda: len(hall.desk.seen) == 12)
        assert hall.server.in_hand == 96_000
        assert (await lines[-1].ask(post(b"x" * 8000)))[0] == 503
        for request in hall.desk.seen:
            hall.desk.answer(request)
        assert [(await line.answer())[0] for line in lines[:-1]] == [200] * 12
        assert hall.server.in_hand <= 8000

    play(story)


@pytest.mark.parametrize("sent", [b"GET / HT", post(b"abc")[:-1]], ids=["head", "body"])
def test_a_request_that_takes_too_long_is_ended(sent: bytes) -> None:
    async def story(hall: Hall) -> None:
        line = await hall.line()
        status, _, body = await line.ask(sent)
        assert (status, b"longer than 0.5 s" in body) == (408, True)
        assert await line.is_closed()

    play(story)


def test_who_asks_nothing_is_let_go() -> None:
    async def story(hall: Hall) -> None:
        first, second = await hall.line(), await hall.line()
        await second.ask(GET % b"x")
        assert [await first.is_closed(), await second.is_closed()] == [True, True]

    play(story)


def test_who_does_not_read_is_let_go_and_costs_nothing() -> None:
    async def story(hall: Hall) -> None:
        line = await hall.line()
        hall.desk.waits = True
        line.send(GET % b"x")
        await until(lambda: hall.desk.seen)
        hall.desk.seen[0].answer(200, b"", b"x" * 50_000_000)
        await until(lambda: not hall.server.connections)

    play(story)


@pytest.mark.parametrize("how", ["abort", "close"])
def test_whose_client_is_gone_is_known_and_needs_no_answer(how: str) -> None:
    async def story(hall: Hall) -> None:
        line = await hall.line()
        hall.desk.waits = True
        line.send(post(b"x"))
        await until(lambda: hall.desk.seen)
        assert not hall.desk.seen[0].is_gone
        getattr(line.writer.transport, how)()
        await until(lambda: hall.desk.seen[0].is_gone)
        hall.desk.answer(hall.desk.seen[0])
        assert len(hall.desk.seen) == 1

    play(story)


def test_a_server_that_drains_answers_and_closes_with_each_answer() -> None:
    async def story(hall: Hall) -> None:
        line = await hall.line()
        await line.ask(GET % b"x")
        hall.server.drain()
        _, headers, _ = await line.ask(GET % b"y")
        assert headers["connection"] == "close"
        assert await line.is_closed()
        assert (await (await hall.line()).ask(GET % b"z"))[0] == 200, "new connections are taken yet"

    play(story)


def test_a_server_that_closes_lets_those_finish_who_wait() -> None:
    async def story(hall: Hall) -> None:
        idle, waiting, half = await hall.line(), await hall.line(), await hall.line()
        await idle.ask(GET % b"x")
        hall.desk.waits = True
        waiting.send(GET % b"y")
        half.send(post(b"abc")[:-1])
        await until(lambda: len(hall.desk.seen) == 2)
        closing = asyncio.create_task(hall.server.close(5))
        assert await idle.is_closed()
        hall.desk.answer(hall.desk.seen[1])
        assert (await waiting.answer())[2] == b"GET /y  "
        hall.desk.waits = False
        assert (await half.ask(b"c"))[2].endswith(b"abc")
        await closing
        with pytest.raises(OSError, match=r"."):
            await hall.line()

    play(story)


def test_an_answer_may_go_on_in_chunks_until_either_side_ends_it() -> None:
    async def story(hall: Hall) -> None:
        line = await hall.line()
        line.send(GET % b"stream")
        await until(lambda: hall.desk.streams)
        stream = hall.desk.streams[0]
        stream.send(b"one")
        stream.send(b"two!")
        assert b"transfer-encoding: chunked" in await line.reader.readuntil(b"\r\n\r\n")
        assert await line.reader.readuntil(b"two!\r\n") == b"3\r\none\r\n4\r\ntwo!\r\n"
        stream.close()
        assert await line.reader.read() == b"0\r\n\r\n"
        await until(lambda: not stream.is_open)
        stream.send(b"nobody hears this")

    play(story, replace(LIMITS, idle=5.0))
