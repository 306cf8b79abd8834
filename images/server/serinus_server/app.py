"""Who is asked what: paths to what answers them, and the way of a prediction from its request to its answer."""

import asyncio
import itertools
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol
from urllib.parse import unquote

from serinus_server.batcher import Batcher
from serinus_server.http import Request
from serinus_server.metrics import Protocol as Spoken
from serinus_server.problems import RequestProblem, Slow
from serinus_server.slow_reader import SlowReader
from serinus_server.values import Call

log = logging.getLogger(__name__)

JSON: Final = b"content-type: application/json\r\n"
TEXT: Final = b"content-type: text/plain; charset=utf-8\r\n"
_ID_HEADER: Final = b"x-request-id"
_ID_LENGTH: Final = 128
_VISIBLE: Final = frozenset(range(0x21, 0x7F))


class Speaks(Protocol):
    """One protocol of predictions over HTTP."""

    @property
    def name(self) -> Spoken:
        """Its name in metrics and logs."""

    def decode(self, request: Request) -> tuple[Call, Callable[[Any], bytes]]:
        """What is asked for, and how its outputs are written; raises a RequestProblem, or Slow."""

    def problem(self, problem: RequestProblem) -> bytes:
        """The body that tells a client of this protocol what is wrong."""


class Counts(Protocol):
    """Who keeps count of answers."""

    rejected: int

    def answered(self, protocol: Spoken, code: int, seconds: float, rows: int) -> None:
        """An answer has left."""

    def violated(self, column: str) -> None:
        """A request did not keep to the signature."""


class After(Protocol):
    """Who is told of a prediction after it was answered."""

    def __call__(self, request_id: str, call: Call, outputs: Any) -> None:
        """One request and its outputs."""


@dataclass(frozen=True)
class Identity:
    """What every answer says of the model that gave it."""

    name: str
    version: str
    revision: str

    def headers(self) -> bytes:
        """As lines of a head."""
        told = {"x-model-name": self.name, "x-model-version": self.version, "x-model-revision": self.revision}
        return b"".join(f"{key}: {_clean(value)}\r\n".encode("latin-1") for key, value in told.items() if value)


class App:
    """The handler of the HTTP server."""

    def __init__(self, identity: Identity, batcher: Batcher, counts: Counts, *, access_log: bool = False) -> None:
        self.batcher = batcher
        self.counts = counts
        self.after: After | None = None
        self.is_ready = False
        # A model that can answer, and cannot answer this, is asked for what it cannot do.
        self.has_answered = False
        self.in_flight = 0
        self._access = logging.getLogger("serinus_server.access") if access_log else None
        self.slow_reader = SlowReader(batcher.limits.waiting, batcher.limits.timeout)
        self._routes: dict[tuple[bytes, str], Callable[[Request], None]] = {}
        self._prefixes: dict[str, Callable[[Request], None]] = {}
        self._told = identity.headers()
        mine = os.urandom(6).hex().encode()
        self._ids = (b"%b-%x" % (mine, number) for number in itertools.count(1))
        self._now = batcher.now

    # --- routes

    def on(self, method: str, path: str, handler: Callable[[Request], None]) -> None:
        """Have a path answered; a path that ends in a slash has all below it answered, by any method."""
        if path.endswith("/") and len(path) > 1:
            self._prefixes[path] = handler
        else:
            self._routes[method.encode(), path] = handler
            if method == "GET":
                self._routes[b"HEAD", path] = handler

    def handle(self, request: Request) -> None:
        """Answer; a mistake of ours is a 500, and told in the log."""
        try:
            handler = self._routes.get((request.method, request.path)) or self._found(request)
            handler(request)
        except RequestProblem as problem:
            self.answer(request, problem.status, TEXT, problem.message.encode())
        except Exception:
            log.exception("a request failed by a mistake in the server")
            self.answer(request, 500, TEXT, b"the server made a mistake; its log says which")

    def refuse(self, request: Request, status: int, message: str) -> None:
        """What was not read is told, and counted, like any other answer."""
        self.answer(request, status, TEXT, message.encode())
        self.counts.answered("http", status, self._now() - request.since, 0)

    def _found(self, request: Request) -> Callable[[Request], None]:
        """The handler of a path that is not written as its route is."""
        path = unquote(request.path)
        if "://" in path:
            path = "/" + path.split("://", 1)[1].partition("/")[2]
        path = path.rstrip("/") or "/"
        request.path = path
        found = self._routes.get((request.method, path))
        if found is None:
            found = next((one for prefix, one in self._prefixes.items() if path.startswith(prefix)), None)
        if found is not None:
            return found
        methods = sorted(method.decode() for method, known in self._routes if known == path)
        if methods:
            raise RequestProblem(405, f"{path} takes {' and '.join(methods)}, not {request.method.decode('latin-1')}")
        raise RequestProblem(
            404, f"nothing is at {path[:200]}: predictions are at /invocations, and /docs tells of all"
        )

    # --- answers

    def answer(self, request: Request, status: int, headers: bytes, body: bytes) -> None:
        """An answer that is no prediction."""
        request.answer(status, headers + self._told, body)

    def predict(self, request: Request, speaks: Speaks) -> None:
        """Have a request predicted and answered."""
        exchange = Exchange(self, request, speaks)
        self.in_flight += 1
        try:
            self._submit(exchange, *speaks.decode(request))
        except Slow as slow:
            self._read(exchange, slow)
        except RequestProblem as problem:
            exchange.fails(problem)
        except BaseException:
            self.in_flight -= 1
            raise

    def _submit(self, exchange: "Exchange", call: Call, encode: Callable[[Any], bytes]) -> None:
        exchange.call, exchange.encode = call, encode
        self.batcher.submit(call, exchange.done, exchange.is_gone)

    def _read(self, exchange: "Exchange", slow: Slow) -> None:
        """Have it read while others are answered."""
        try:
            reading = self.slow_reader.read(slow.read, lambda: exchange.request.is_gone)
        except RequestProblem as problem:
            exchange.fails(problem)
        else:
            reading.add_done_callback(partial(self._was_read, exchange))

    def _was_read(self, exchange: "Exchange", reading: asyncio.Future[Any]) -> None:
        """Nobody may wait for it any more; and if it cannot be read at all, that is the server's fault."""
        error = reading.exception()
        if exchange.is_gone():
            self.batcher.deserted += 1
        elif error is None:
            try:
                self._submit(exchange, *reading.result())
            except RequestProblem as problem:
                exchange.fails(problem)
        else:
            exchange.fails(error if isinstance(error, RequestProblem) else of_model(error, may_be_input=False))

    def request_id(self, request: Request) -> bytes:
        """The one that was given, if it may stand in a head and in a log; else one of our own."""
        given = request.header(_ID_HEADER)
        return given if given and len(given) <= _ID_LENGTH and _VISIBLE.issuperset(given) else next(self._ids)

    def finish(self, exchange: "Exchange", status: int, headers: bytes, body: bytes, rows: int) -> None:
        """The answer to a prediction leaves."""
        request = exchange.request
        self.in_flight -= 1
        request_id = self.request_id(request)
        request.answer(status, b"%b%bx-request-id: %b\r\n" % (headers, self._told, request_id), body)
        seconds = self._now() - request.since
        self.counts.answered(exchange.speaks.name, status, seconds, rows)
        if self._access is not None:
            path, name = request.path, request_id.decode("latin-1")
            told = {"path": path, "status": status, "seconds": round(seconds, 6), "rows": rows, "request_id": name}
            self._access.info("answered", extra={"fields": told})
        if status == 200 and self.after is not None:  # noqa: PLR2004 (it is HTTP's word for it)
            self.after(request_id.decode("latin-1"), exchange.call, exchange.outputs)


class Exchange:
    """One prediction on its way from its request to its answer."""

    __slots__ = ("app", "call", "encode", "outputs", "request", "speaks")

    def __init__(self, app: App, request: Request, speaks: Speaks) -> None:
        self.app = app
        self.request = request
        self.speaks = speaks
        self.call: Call = _NOTHING
        self.encode: Callable[[Any], bytes] = bytes
        self.outputs: Any = None

    def is_gone(self) -> bool:
        """Whether nobody waits for it; then it is over."""
        if not self.request.is_gone:
            return False
        self.app.in_flight -= 1
        return True

    def done(self, outputs: Any, error: BaseException | None) -> None:
        """The batcher has it."""
        if error is None:
            try:
                body = self.encode(outputs)
            except RequestProblem as problem:
                self.fails(problem)
            except Exception as problem:  # noqa: BLE001 (a model may return what nobody can write)
                self.fails(of_model(problem, may_be_input=False))
            else:
                self.outputs = outputs
                self.app.has_answered = True
                self.app.finish(self, 200, getattr(body, "headers", JSON), body, self.call.rows)
            return
        if isinstance(error, RequestProblem):
            self.fails(error)
        else:
            self.fails(of_model(error, may_be_input=self.app.has_answered))

    def fails(self, problem: RequestProblem) -> None:
        """Tell who asked."""
        headers = JSON
        if problem.retry_after is not None:
            headers += b"retry-after: %d\r\n" % max(1, round(problem.retry_after))
        if problem.column:
            self.app.counts.violated(problem.column)
        self.app.counts.rejected += problem.status == _TOO_MANY
        self.app.finish(self, problem.status, headers, self.speaks.problem(problem), 0)


_NOTHING: Final = Call(None, 0)  # type: ignore[arg-type]
# What models raise for rows that they cannot take.
_OF_INPUT: Final = (ValueError, TypeError, KeyError, IndexError, OverflowError)
_TOLD: Final = 500
_TOO_MANY: Final = 429


def of_model(error: BaseException, *, may_be_input: bool) -> RequestProblem:
    """What a model raised: of a kind that models raise for input that they cannot take, or its own failure."""
    said = f"{type(error).__name__}: {error}"
    said = said if len(said) <= _TOLD else f"{said[:_TOLD]}…"
    if may_be_input and isinstance(error, _OF_INPUT):
        return RequestProblem(400, f"the model cannot predict this input: {said}")
    log.error("a prediction failed", exc_info=error)
    return RequestProblem(500, f"the model failed: {said}")


def _clean(value: str) -> str:
    return "".join(one if 0x20 <= ord(one) < 0x7F else "?" for one in value)  # noqa: PLR2004 (what is visible in ASCII)
