"""One connection: the parser's callbacks fill a request, the handler answers it, and the next one follows."""

import asyncio
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import httptools

if TYPE_CHECKING:
    from serinus_server.http import Request, Server

_STATUS: Final = {one.value: f"HTTP/1.1 {one.value} {one.phrase}\r\n".encode() for one in HTTPStatus}
_CLOSE: Final = b"connection: close\r\n"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
# Who is told that a body is too large may go on sending for so long, and then miss the answer.
_LINGER: Final = 2.0
_SLOW: Final = "the request took longer than {0:g} s to arrive; send it faster, or in parts"
_LARGE: Final = "the body has more than {0} bytes; send fewer rows at a time"
_FULL: Final = "the server holds as many bytes of requests as it may; try again"


class Connection(asyncio.Protocol):
    """A protocol of asyncio, and the callbacks of httptools."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None
        # What is being received, what is being answered, and what has come since.
        self._reading: Request | None = None
        self.current: Request | None = None
        self._waiting: deque[Request] = deque()
        self._parts: list[bytes] = []
        # Of the head or body that is being received; bodies count in what the server holds.
        self._head = self._size = 0
        self._is_held = False
        self._refusal: tuple[int, str] | None = None
        self._is_over = False
        self._since = server.loop.time()
        self.is_writable = True

    # --- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It begins."""
        self._transport = transport
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (why does not matter)
        """It is over: whoever works on its requests may find that nobody waits for them."""
        self._server.connections.discard(self)
        self._release(self.current, *self._waiting)
        self._server.in_hand -= self._size
        self._size = 0
        self.current = self._reading = None
        self._waiting.clear()
        self._is_over = True

    def pause_writing(self) -> None:
        """The other side does not read."""
        self.is_writable = False
        self._since = self._server.loop.time()

    def resume_writing(self) -> None:
        """It reads again."""
        self.is_writable = True
        self._next()

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        if self._is_over:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Clients offer HTTP/2 so; it is declined by an answer. What would follow cannot be told apart any more.
            self._ends()
        except httptools.HttpParserError as error:
            self._refusal = self._refusal or (400, f"this is no HTTP request: {error}")
        if self._refusal is not None:
            self._refuse(*self._refusal)
        elif self._waiting and not self._is_held:
            self._is_held = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """The other side has hung up. It could still read, but who says all and then waits is no client of HTTP."""

    # --- httptools

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._reading = self._server.request(self)
        self._head = 0

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._parts.append(url)
        self._grows(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if self._reading is not None:
            self._reading.headers[name.lower()] = value
            self._grows(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """The head is there: what it says of the body is judged before that comes."""
        request = self._reading
        if request is None or self._refusal is not None:
            return
        url, _, request.query = b"".join(self._parts).partition(b"?")
        request.path = url.decode("latin-1")
        request.method = self._parser.get_method()
        self._parts = []
        length = request.header(b"content-length")
        if length and int(length) > self._server.limits.body:
            self._refusal = (413, _LARGE.format(self._server.limits.body))
        elif request.header(b"expect").lower() == b"100-continue" and self.current is None:
            self._transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._refusal is not None:
            return
        self._parts.append(body)
        self._size += len(body)
        self._server.in_hand += len(body)
        if self._size > self._server.limits.body:
            self._refusal = (413, _LARGE.format(self._server.limits.body))
        elif self._server.in_hand > self._server.limits.in_hand:
            self._refusal = (503, _FULL)

    def on_message_complete(self) -> None:
        """The request is whole."""
        request = self._reading
        if request is None or self._refusal is not None:
            return
        parts = self._parts
        request.body = parts[0] if len(parts) == 1 else b"".join(parts)
        request.is_last = not self._parser.should_keep_alive()
        self._parts, self._size, self._reading = [], 0, None
        self._waiting.append(request)
        self._next()

    def _grows(self, size: int) -> None:
        self._head += size
        if self._head > self._server.limits.head:
            self._refusal = (431, f"the head of the request has more than {self._server.limits.head} bytes")

    # --- answers

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        """The answer to the current request; then the next one's turn has come."""
        request = self.current
        if request is None:
            return
        is_last = request.is_last or self._server.is_draining
        shown = b"" if request.method == b"HEAD" else body
        head = b"%b%b%bcontent-length: %d\r\n%b\r\n" % (
            _STATUS[status],
            headers,
            self._server.date,
            len(body),
            _CLOSE if is_last or self._is_over else b"",
        )
        self._transport.write(head + shown)
        self._release(request)
        self.current = None
        self._since = self._server.loop.time()
        if self._is_over:
            self._transport.write_eof()
        elif is_last:
            self.close()
        elif self._waiting:
            self._next()

    def begin(self, headers: bytes) -> None:
        """The head of an answer in chunks."""
        self.write(b"%b%b%btransfer-encoding: chunked\r\n%b\r\n" % (_STATUS[200], headers, self._server.date, _CLOSE))

    def write(self, data: bytes) -> None:
        """As it is."""
        self._transport.write(data)

    def close(self) -> None:
        """When all has left that was written."""
        self._is_over = True
        self._transport.close()

    def close_if_idle(self) -> None:
        """Close, unless a request is being received or answered."""
        if self.current is None and self._reading is None and not self._waiting:
            self.close()

    def abort(self) -> None:
        """Now."""
        self._is_over = True
        self._transport.abort()

    def expire(self, now: float) -> None:
        """End what takes too long: to arrive, to be taken, or to begin."""
        limits = self._server.limits
        if not self.is_writable:
            if now > self._since + limits.receive:
                self.abort()
        elif self._is_over:
            if now > self._since + _LINGER:
                self._transport.abort()
        elif self._reading is not None:
            if now > self._reading.since + limits.receive and self.current is None:
                self._refuse(408, _SLOW.format(limits.receive))
        elif self.current is None and now > self._since + limits.idle:
            self.close()

    def _next(self) -> None:
        """Hand on the request that has waited longest, if none is being answered."""
        while self._waiting and self.current is None and self.is_writable and not self._is_over:
            self.current = self._waiting.popleft()
            if self._is_held and not self._waiting:
                self._is_held = False
                self._transport.resume_reading()
            self._server.handler.handle(self.current)

    def _ends(self) -> None:
        """Nothing more can be read; what waits for an answer has it first."""
        last = self._waiting[-1] if self._waiting else self.current
        if last is None:
            self.close()
        else:
            last.is_last = True

    def _refuse(self, status: int, message: str) -> None:
        """Say so, and read on for a moment, so that the answer is not lost to a reset."""
        if self.current is not None:
            # Its answer comes first, and then there is no telling where the next request would begin.
            self.current.is_last = True
            return
        request = self._reading or self._server.request(self)
        request.is_last = False
        self.current = request
        self._is_over = True
        self._since = self._server.loop.time()
        self._server.handler.refuse(request, status, message)

    def _release(self, *requests: "Request | None") -> None:
        self._server.in_hand -= sum(len(one.body) for one in requests if one is not None)
