"""HTTP/1.1 as this server needs it: httptools parses, one call answers. No task and no coroutine for a request.

What costs memory or time is bounded: how large heads and bodies are, how long they take, how many bytes are in hand.
Requests of one connection are answered in their order.
"""

import asyncio
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final, Protocol

from serinus_server.connection import Connection

_DATE: Final = b"date: %b\r\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes and seconds."""

    head: int = 64 * 1024
    body: int = 16 * 1024 * 1024
    # Of all bodies that are being received or answered.
    in_hand: int = 256 * 1024 * 1024
    # From the first byte of a request to the last, or for an answer to be taken; and from one request to the next.
    receive: float = 30.0
    idle: float = 75.0


class Handler(Protocol):
    """What answers."""

    def handle(self, request: "Request") -> None:
        """Answer by `request.answer`, now or later; a request whose connection is gone needs none."""

    def refuse(self, request: "Request", status: int, message: str) -> None:
        """Answer what was not read: it is too large, too slow, or no HTTP."""


class Request:
    """One request, and the way to answer it."""

    __slots__ = ("body", "connection", "headers", "is_last", "method", "path", "query", "since")

    def __init__(self, connection: Connection, since: float) -> None:
        self.connection = connection
        self.since = since
        self.method = b""
        self.path = ""
        self.query = b""
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        # Whether the connection ends with the answer.
        self.is_last = False

    def header(self, name: bytes, default: bytes = b"") -> bytes:
        """A header by its name in small letters; of several the last."""
        return self.headers.get(name, default)

    @property
    def is_gone(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.connection.current is not self

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        """The whole answer; `headers` are lines that end in CRLF. Nothing, if the connection is gone."""
        if self.connection.current is self:
            self.connection.answer(status, headers, body)

    def stream(self, headers: bytes) -> "Stream":
        """An answer in chunks, that goes on until either side ends it."""
        if self.connection.current is self:
            self.connection.begin(headers)
        return Stream(self)


class Stream:
    """Chunks of one answer."""

    def __init__(self, request: Request) -> None:
        self._request = request

    @property
    def is_open(self) -> bool:
        """Whether the other side is there."""
        return not self._request.is_gone

    @property
    def is_writable(self) -> bool:
        """Whether what was sent has left, or soon will have."""
        return self.is_open and self._request.connection.is_writable

    def send(self, data: bytes) -> None:
        """One chunk."""
        if data and self.is_open:
            self._request.connection.write(b"%x\r\n%b\r\n" % (len(data), data))

    def close(self) -> None:
        """The end of the answer, and of its connection."""
        if self.is_open:
            self._request.connection.write(b"0\r\n\r\n")
            self._request.connection.close()


class Server:
    """All connections, and what they share."""

    def __init__(self, handler: Handler, limits: Limits) -> None:
        self.handler = handler
        self.limits = limits
        self.loop = asyncio.get_running_loop()
        self.connections: set[Connection] = set()
        self.in_hand = 0
        self.is_draining = False
        self.date = b""
        self._listener: asyncio.Server | None = None
        self._look()

    def request(self, connection: Connection) -> Request:
        """A request that begins now."""
        return Request(connection, self.loop.time())

    async def listen(self, host: str, port: int) -> int:
        """Take connections; the port, should 0 have been asked for."""
        self._listener = await self.loop.create_server(lambda: Connection(self), host, port, backlog=2048)
        return int(self._listener.sockets[0].getsockname()[1])

    def drain(self) -> None:
        """Go on answering, and close every connection with its next answer."""
        self.is_draining = True

    async def close(self, seconds: float) -> None:
        """Take no more connections, and let those that wait for an answer have it."""
        self.drain()
        if self._listener is not None:
            self._listener.close()
        for connection in list(self.connections):
            connection.close_if_idle()
        deadline = self.loop.time() + seconds
        while self.connections and self.loop.time() < deadline:  # noqa: ASYNC110 (once in the life of a server)
            await asyncio.sleep(0.02)
        self._watch.cancel()
        for connection in list(self.connections):
            connection.abort()

    def _look(self) -> None:
        """Once a second is often enough to find who is slow."""
        self.date = _DATE % formatdate(usegmt=True).encode()
        now = self.loop.time()
        for connection in list(self.connections):
            connection.expire(now)
        self._watch = self.loop.call_later(1.0, self._look)
