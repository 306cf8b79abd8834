"""What is asked of a server beside predictions: whether it is well, what it is, and what it has counted."""

import importlib.metadata

from serinus_server.app import JSON, TEXT, App
from serinus_server.batcher import Batcher
from serinus_server.http import Request
from serinus_server.metrics import Metrics
from serinus_server.settings import Settings


def add(app: App, batcher: Batcher, metrics: Metrics, settings: Settings) -> "Pages":
    """Have them answered."""
    pages = Pages(app, batcher, metrics, settings)
    for path in ("/ping", "/health"):
        app.on("GET", path, pages.ready)
    app.on("GET", "/live", pages.live)
    app.on("GET", "/version", pages.version)
    app.on("GET", "/metrics", pages.metrics)
    return pages


class Pages:
    """Small answers."""

    def __init__(self, app: App, batcher: Batcher, metrics: Metrics, settings: Settings) -> None:
        self._app = app
        self._batcher = batcher
        self._metrics = metrics
        self._hung_after = settings.hung_after
        self._version = _mlflow_version()

    def ready(self, request: Request) -> None:
        """Whether it takes requests."""
        status = 200 if self._app.is_ready else 503
        self._app.answer(request, status, JSON, b"\n")

    def live(self, request: Request) -> None:
        """Whether it gets on: a model that hangs will not come back by itself."""
        is_live = self.is_live()
        text = "\n" if is_live else f"a prediction has been running for more than {self._hung_after:g} s\n"
        self._app.answer(request, 200 if is_live else 503, TEXT, text.encode())

    def is_live(self) -> bool:
        """Whether no prediction hangs."""
        since = self._batcher.lane.since
        return not since or self._batcher.now() - since <= self._hung_after

    def version(self, request: Request) -> None:
        """The version of MLflow, as its own server tells it."""
        self._app.answer(request, 200, JSON, self._version)

    def metrics(self, request: Request) -> None:
        """For Prometheus."""
        self._metrics.queue(self._batcher.waiting)
        self._metrics.in_flight = self._app.in_flight
        self._metrics.timeouts = self._batcher.late
        self._metrics.disconnects = self._batcher.deserted
        body, kind = self._metrics.expose(request.header(b"accept").decode("latin-1"))
        self._app.answer(request, 200, f"content-type: {kind}\r\n".encode(), body)


def _mlflow_version() -> bytes:
    try:
        return importlib.metadata.version("mlflow").encode()
    except importlib.metadata.PackageNotFoundError:
        return b"unknown"
