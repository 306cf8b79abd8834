"""HTTP/1.1 as this server needs it: httptools parses, one call answers. No task and no coroutine for a request.

What costs memory or time is bounded: how large heads and bodies are, how long they take, how many bytes are in hand.
Requests of one connection are answered in their order.
"""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final, Protocol

from serinus_server.connection import Connection

_DATE: Final = b"date: %b\r\n"
_LAST: Final = 0.2


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
            await self._stop_listening(self._listener)
        if self.connections:
            # Who has just connected is about to ask.
            await asyncio.sleep(min(_LAST, seconds))
        for connection in list(self.connections):
            connection.close_if_idle()
        deadline = self.loop.time() + seconds
        while self.connections and self.loop.time() < deadline:  # noqa: ASYNC110 (once in the life of a server)
            await asyncio.sleep(0.02)
        self._watch.cancel()
        for connection in list(self.connections):
            connection.abort()

    async def _stop_listening(self, listener: asyncio.Server) -> None:
        """Whom the kernel has taken already would be reset with the listener: they are taken first."""
        doors = [socket.socket(fileno=os.dup(one.fileno())) for one in listener.sockets]
        listener.close()
        taken = [visitor for door in doors for visitor in _all_who_wait(door)]
        for visitor in taken:
            with suppress(OSError):
                await self.loop.connect_accepted_socket(lambda: Connection(self), visitor)

    def _look(self) -> None:
        """Once a second is often enough to find who is slow."""
        self.date = _DATE % formatdate(usegmt=True).encode()
        now = self.loop.time()
        for connection in list(self.connections):
            connection.expire(now)
        self._watch = self.loop.call_later(1.0, self._look)


def _all_who_wait(door: socket.socket) -> Iterator[socket.socket]:
    """Who has connected and was not accepted; then the door is closed, with nothing in between."""
    with door, suppress(OSError):
        door.settimeout(0)
        while True:
            yield door.accept()[0]
