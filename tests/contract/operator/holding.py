"""A proxy before one of the operator's servers: it holds chosen requests, before or after the server has seen them."""

import json
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

HOST = "127.0.0.1"
_NOT_RELAYED = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}

type Wanted = Callable[[Request], bool]


@dataclass(frozen=True)
class Request:
    """One that is on its way to the server."""

    method: str
    path: str
    body: Mapping[str, Any]

    def is_post(self, operation: str) -> bool:
        """Whether it is a change of MLflow's, of this name."""
        return self.method == "POST" and self.path.partition("?")[0].endswith(f"/{operation}")


@dataclass(frozen=True)
class Hold:
    """Which requests are held: before the server has seen them, or after that and before anybody hears of it."""

    wanted: Wanted
    after: bool
    caught: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def keep(self) -> None:
        """Say that one is held, and hold it."""
        self.caught.set()
        self.over.wait()


class Proxy(ThreadingHTTPServer):
    """Passes on everything but what is held."""

    daemon_threads = True

    def __init__(self, target: str, context: ssl.SSLContext | None = None) -> None:
        super().__init__((HOST, 0), _Handler)
        self._target = urlsplit(target)
        self._context = context
        self._holds: tuple[Hold, ...] = ()
        self._upstreams = WeakSet[HTTPConnection]()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.server_address[1]}"

    def upstream(self) -> HTTPConnection:
        """A new connection to the server."""
        host = self._target.netloc
        made = HTTPSConnection(host, context=self._context) if self._context else HTTPConnection(host)
        self._upstreams.add(made)
        return made

    @contextmanager
    def holding(self, *holds: Hold) -> Iterator[None]:
        """These are held as long as the context is open; then nobody waits for them any more."""
        self._holds += holds
        try:
            yield
        finally:
            self._holds = tuple(hold for hold in self._holds if hold not in holds)
            for hold in holds:
                hold.over.set()

    def hold_for(self, request: Request) -> Hold | None:
        """What holds a request, if anything does."""
        return next((hold for hold in self._holds if hold.wanted(request)), None)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 (as it is in the base class)
        """Who was killed hangs up in the middle of anything, and at the end we do."""
        if not isinstance(sys.exception(), ConnectionError | HTTPException | ValueError):
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        """Close all connections: that of a watch would wait for ever."""
        super().server_close()
        for socket in (one.sock for one in self._upstreams):
            if socket is not None:
                with suppress(OSError):
                    socket.shutdown(SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One connection of the operator's, with one of its own to the server."""

    server: Proxy
    protocol_version = "HTTP/1.1"
    wbufsize = 65536

    def setup(self) -> None:
        super().setup()
        self._upstream = self.server.upstream()

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def log_message(self, *_: object) -> None:
        """The server's own log says it all."""

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hold = self.server.hold_for(Request(self.command, self.path, _parsed(body)))
        if hold is not None and not hold.after:
            self._keep(hold)
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_RELAYED}
        self._upstream.request(self.command, self.path, body or None, headers)
        with self._upstream.getresponse() as answer:
            if hold is not None and answer.status < 300:
                answer.read()
                self._keep(hold)
            else:
                self._relay(answer)

    def _keep(self, hold: Hold) -> None:
        hold.keep()
        self.close_connection = True

    def _relay(self, answer: HTTPResponse) -> None:
        """The answer, piece by piece as it comes: a watch has no end."""
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _NOT_RELAYED:
                self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while piece := answer.read1(65536):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815 (so the base class wants them)


@contextmanager
def proxy(target: str, context: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """A proxy before this server, as long as the context is open."""
    with Proxy(target, context) as serving:
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        try:
            yield serving
        finally:
            serving.shutdown()
            thread.join()


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        # As YAML, or as a file.
        return {}
    return found if isinstance(found, Mapping) else {}
