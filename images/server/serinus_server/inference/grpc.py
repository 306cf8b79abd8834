"""The protocol over gRPC: on the same event loop, for the same model, through the same batcher as over HTTP.

Importing this imports grpc, which costs what a server without it need not pay.
"""

import asyncio
import itertools
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from serinus_server.app import App, Identity, of_model
from serinus_server.inference import outputs, wire
from serinus_server.inference.messages import CLASSES
from serinus_server.inference.served import EXTENSIONS, SERVER, Served
from serinus_server.problems import RequestProblem, Slow
from serinus_server.values import Call

log = logging.getLogger(__name__)

NAME: Final = "inference.GRPCInferenceService"
_PROTOCOL: Final = "grpc"
_ID_HEADER: Final = "x-request-id"
_ID_LENGTH: Final = 128
_TOO_MANY: Final = 429
_CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_FULL: Final = "the server holds as many bytes of requests as it may; try again"

type Metadata = tuple[tuple[str, str], ...]
type Method = Callable[[Any, Any], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes: of one message, and of all that are being answered."""

    message: int = 16 * 2**20
    in_hand: int = 256 * 2**20


class Server:
    """A server that runs."""

    def __init__(self, server: Any, port: int) -> None:
        self._server = server
        self.port = port

    async def stop(self, grace: float) -> None:
        """Take no more requests, and give those that have come so many seconds."""
        await self._server.stop(grace)


async def start(  # noqa: PLR0913 - what it needs is what it is told
    app: App,
    served: Served,
    identity: Identity,
    *,
    host: str,
    port: int,
    release: str = "",
    limits: Limits | None = None,
) -> Server:
    """Serve; with port 0 on any that is free."""
    limits = limits or Limits()
    options = [
        ("grpc.max_receive_message_length", limits.message),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.aio.server(options=options)
    handlers = _Service(app, served, identity, limits, release).methods()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, handlers),))
    found = server.add_insecure_port(f"{_bracketed(host)}:{port}")
    await server.start()
    return Server(server, found)


class _Service:
    """The methods. Messages come as bytes, so that one that is none is the client's mistake and not ours."""

    def __init__(self, app: App, served: Served, identity: Identity, limits: Limits, release: str) -> None:
        self._app = app
        self._served = served
        self._limits = limits
        self._release = release
        self._in_hand = 0
        self._now = asyncio.get_running_loop().time
        self._told = _metadata(identity)
        self._model = {"model_name": served.name, "model_version": served.version}
        self._ids = (f"{os.urandom(6).hex()}-g{number:x}" for number in itertools.count(1))

    def methods(self) -> dict[str, Any]:
        """By their names."""
        simple = (self.server_live, self.server_ready, self.server_metadata, self.model_metadata, self.model_ready)
        methods = {_camel(one.__name__): self._simple(one) for one in simple}
        return {**methods, "ModelInfer": grpc.unary_unary_rpc_method_handler(self.infer)}

    def _simple(self, answer: Callable[[Any], Any]) -> Any:
        kind = CLASSES[f"{_camel(answer.__name__)}Request"]

        async def method(body: bytes, context: Any) -> bytes:
            try:
                written: bytes = answer(_parsed(kind, body)).SerializeToString()
            except RequestProblem as problem:
                await self._abort(context, problem, ())
            context.set_trailing_metadata(self._told)
            return written

        return grpc.unary_unary_rpc_method_handler(method)

    @staticmethod
    def server_live(_: Any) -> Any:
        """It answers, so it is."""
        return CLASSES["ServerLiveResponse"](live=True)

    def server_ready(self, _: Any) -> Any:
        """Whether it takes requests."""
        return CLASSES["ServerReadyResponse"](ready=self._app.is_ready)

    def server_metadata(self, _: Any) -> Any:
        """What this server is; raw contents are of the protocol itself here, and no extension."""
        extensions = [one for one in EXTENSIONS if one != "binary_tensor_data"]
        return CLASSES["ServerMetadataResponse"](name=SERVER, version=self._release, extensions=extensions)

    def model_ready(self, request: Any) -> Any:
        """Whether it takes requests for this model."""
        self._served.check(request.name, request.version)
        return CLASSES["ModelReadyResponse"](ready=self._app.is_ready)

    def model_metadata(self, request: Any) -> Any:
        """What goes in and what comes out."""
        self._served.check(request.name, request.version)
        told = self._served.metadata()
        for one in (*told["inputs"], *told["outputs"]):
            one.pop("parameters", None)
        told.pop("parameters")
        return CLASSES["ModelMetadataResponse"](**told)

    async def infer(self, body: bytes, context: Any) -> bytes:
        """Predict."""
        since = self._now()
        request_id = ""
        self._in_hand += len(body)
        self._app.in_flight += 1
        try:
            self._check_room()
            request = _parsed(CLASSES["ModelInferRequest"], body)
            request_id = _id(context, request.id) or next(self._ids)
            call, returned, written = await self._predicted(request)
        except RequestProblem as problem:
            self._count(problem, since)
            await self._abort(context, problem, ((_ID_HEADER, request_id),) if request_id else ())
        finally:
            self._in_hand -= len(body)
            self._app.in_flight -= 1
        context.set_trailing_metadata((*self._told, (_ID_HEADER, request_id)))
        self._app.counts.answered(_PROTOCOL, 0, self._now() - since, call.rows)
        if self._app.after is not None:
            self._app.after(request_id, call, returned)
        return written

    def _check_room(self) -> None:
        if self._in_hand > self._limits.in_hand:
            raise RequestProblem(503, _FULL)

    async def _predicted(self, request: Any) -> tuple[Call, Any, bytes]:
        self._served.check(request.model_name, request.model_version)
        call = await self._call(request)
        try:
            returned = await self._app.batcher.predict(call)
        except (RequestProblem, asyncio.CancelledError):
            raise
        except BaseException as error:
            raise of_model(error, may_be_input=self._app.has_answered) from error
        return call, returned, self._written(request, returned)

    async def _call(self, request: Any) -> Call:
        given, parameters = wire.read(request), wire.parameters(request.parameters)
        try:
            return self._served.call(given, parameters)
        except Slow as slow:
            call: Call = await self._app.slow_reader.read(slow.read)
            return call

    def _written(self, request: Any, returned: Any) -> bytes:
        try:
            made = outputs.chosen(outputs.read(returned, self._served.names), [one.name for one in request.outputs])
            written = wire.write({**self._model, "id": request.id}, made, raw=bool(request.raw_input_contents))
        except RequestProblem:
            raise
        except Exception as error:
            raise of_model(error, may_be_input=False) from error
        self._app.has_answered = True
        return written

    def _count(self, problem: RequestProblem, since: float) -> None:
        if self._served.has(problem.column):
            self._app.counts.violated(problem.column)
        self._app.counts.rejected += problem.status == _TOO_MANY
        self._app.counts.answered(_PROTOCOL, code_of(problem).value[0], self._now() - since, 0)

    async def _abort(self, context: Any, problem: RequestProblem, more: Metadata) -> NoReturn:
        told = (*self._told, *more)
        if problem.retry_after is not None:
            told = (*told, ("retry-after", str(max(1, round(problem.retry_after)))))
        await context.abort(code_of(problem), problem.message, told)
        raise AssertionError  # Not reached: to abort is to raise.


def code_of(problem: RequestProblem) -> grpc.StatusCode:
    """What gRPC calls it."""
    return _CODES.get(problem.status, grpc.StatusCode.INTERNAL)


def _parsed(kind: Any, body: bytes) -> Any:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise RequestProblem(400, f"the message is no {kind.DESCRIPTOR.name}: {error}") from None


def _id(context: Any, given: str) -> str:
    """The request's id: of its metadata, else its own, if it may stand in a head and in a log."""
    found = [value for name, value in context.invocation_metadata() or () if name == _ID_HEADER]
    told = str(found[-1]) if found else given
    return told if len(told) <= _ID_LENGTH and told.isascii() and told.isprintable() and " " not in told else ""


def _metadata(identity: Identity) -> Metadata:
    lines = identity.headers().decode("latin-1").splitlines()
    pairs = (line.partition(": ") for line in lines)
    return tuple((name, value) for name, _, value in pairs)


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
