"""A server of the Open Inference Protocol around a function, over HTTP and gRPC, on an event loop of its own."""

import asyncio
import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import uvloop

from serinus_server import openapi
from serinus_server.app import App, Identity
from serinus_server.batcher import Batch, Batcher
from serinus_server.batcher import Limits as BatchLimits
from serinus_server.http import Limits, Server
from serinus_server.inference import grpc as rpc
from serinus_server.inference import pages
from serinus_server.inference.served import Served
from serinus_server.mlmodel import Recorded
from serinus_server.scoring import Scoring
from serinus_server.signature import Column, Signature
from serinus_server.values import Table, Value

IDENTITY = Identity("wines", "3", "blue")
PATH = "/v2/models/wines"
BODY = 1_000_000


def columns(**types: str) -> Signature:
    """A signature of columns; a type that ends in a question mark is not required."""
    made = [
        Column(name, kind.rstrip("?"), not kind.endswith("?"), {"name": name, "type": kind.rstrip("?")})
        for name, kind in types.items()
    ]
    return Signature(tuple(made))


def total(value: Value) -> Any:
    """A row's sum."""
    assert isinstance(value, Table)
    assert value.matrix is not None
    return value.matrix.sum(axis=1)


def numbers(name: str, *values: Any, datatype: str = "FP64") -> dict[str, Any]:
    """An input of one axis."""
    return {"name": name, "datatype": datatype, "shape": [len(values)], "data": list(values)}


def matrix(*rows: list[Any], datatype: str = "FP64") -> dict[str, Any]:
    """An input of rows."""
    return {"name": "rows", "datatype": datatype, "shape": [len(rows), len(rows[0])], "data": list(rows)}


def recorded(signature: Signature, path: Path = Path("/nowhere")) -> Recorded:
    """A model that has nothing but a signature."""
    return Recorded(path, {"python_function": {"loader_module": "mlflow.sklearn"}}, signature)


class Function:
    """A model that is a function of what comes in; it remembers that."""

    joins = True

    def __init__(self, predict: Callable[[Value], Any]) -> None:
        self._predict = predict
        self.seen: list[Value] = []
        self.params: list[Any] = []

    def predict(self, value: Value, params: dict[str, Any] | None) -> Any:
        """What the function says."""
        self.seen.append(value)
        self.params.append(params)
        return self._predict(value)


class Counts:
    """What was counted."""

    def __init__(self) -> None:
        self.rejected = 0
        self.answers: list[tuple[str, int, int]] = []
        self.columns: list[str] = []

    def answered(self, protocol: str, code: int, _: float, rows: int) -> None:
        """An answer has left."""
        self.answers.append((protocol, code, rows))

    def violated(self, column: str) -> None:
        """A request did not keep to the signature."""
        self.columns.append(column)


class Running:
    """A server that runs."""

    def __init__(self, model: Function, counts: Counts, app: App, port: int, grpc_port: int) -> None:
        self.model = model
        self.counts = counts
        self.app = app
        self.port = port
        self.grpc_port = grpc_port
        self._line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers, and body; what is no bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        self._line.request(method, path, data, headers or {})
        answer = self._line.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, told, answer.read()

    def infer(self, *inputs: Any, **more: Any) -> tuple[int, Any]:
        """Status and body of an inference of these inputs."""
        status, _, body = self.ask("POST", f"{PATH}/infer", {"inputs": inputs, **more})
        return status, orjson.loads(body)

    def close(self) -> None:
        """Let go."""
        self._line.close()


@contextmanager
def serving(  # noqa: PLR0913 - what a test may choose
    signature: Signature,
    predict: Callable[[Value], Any],
    *,
    path: Path = Path("/nowhere"),
    identity: Identity = IDENTITY,
    limits: rpc.Limits | None = None,
    batches: BatchLimits | None = None,
) -> Iterator[Running]:
    """Serve a function as a model of this signature."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def do(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(20)

    async def start() -> tuple[Running, Server, rpc.Server]:
        model, counts = Function(predict), Counts()
        batcher = Batcher(model, batches or BatchLimits(), _ignore)
        app = App(identity, batcher, counts)
        app.is_ready = True
        known = recorded(signature, path)
        served = Served(known, identity, Scoring(known))
        pages.add(app, served, release="1")
        openapi.add(app, served, known, b"", None)
        server = Server(app, Limits(body=BODY))
        port = await server.listen("127.0.0.1", 0)
        over_grpc = await rpc.start(app, served, identity, host="127.0.0.1", port=0, limits=limits)
        return Running(model, counts, app, port, over_grpc.port), server, over_grpc

    running, server, over_grpc = do(start())
    try:
        yield running
    finally:
        running.close()
        do(over_grpc.stop(1))
        do(server.close(1))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def _ignore(_: Batch) -> None:
    pass
