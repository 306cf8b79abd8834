"""From the start of the process to its end: load, try, serve, drain."""

import asyncio
import logging
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from serinus_server import __version__, flavours, mlmodel, openapi, pages, problems, versions, warming
from serinus_server.app import App, Identity
from serinus_server.batcher import Batcher
from serinus_server.batcher import Limits as BatchLimits
from serinus_server.flavours import Model
from serinus_server.http import Limits as HttpLimits
from serinus_server.http import Server
from serinus_server.inference import pages as v2
from serinus_server.inference.served import Served
from serinus_server.metrics import Metrics
from serinus_server.mlflow_protocol import MlflowProtocol
from serinus_server.mlmodel import Recorded
from serinus_server.observing import Observers
from serinus_server.problems import ModelProblem
from serinus_server.scoring import Scoring
from serinus_server.settings import Settings
from serinus_server.values import Call

if TYPE_CHECKING:
    from serinus_server.inference.grpc import Server as GrpcServer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """A model that has answered its own example, and how requests for it are read."""

    model: Model
    recorded: Recorded
    scoring: Scoring
    identity: Identity
    joins: bool
    example: Call | None
    example_body: bytes
    seconds: float


def load(path: Path, identity: Identity, settings: Settings) -> Loaded:
    """Load the model in this folder and try it. Raises a ModelProblem."""
    began = time.perf_counter()
    recorded = mlmodel.read(path)
    for line in versions.mismatches(recorded):
        log.warning("%s", line)
    scoring = Scoring(recorded, may_take_long=False)
    scoring.warm()
    model = flavours.load(path, recorded, way=settings.model_way)
    body = warming.example(recorded)
    call = warming.warm(model, scoring, body, warming.made_up(recorded.signature))
    joins = settings.batching != "off" and (settings.batching == "on" or warming.joins(model, call))
    seconds = time.perf_counter() - began
    log.info(
        "loaded %s version %s as %s in %.2f s; rows of several requests are predicted %s",
        identity.name or path.name, identity.version or "?", model.flavour, seconds, "together" if joins else "apart",
    )  # fmt: skip
    return Loaded(model, recorded, scoring, identity, joins, call, body, seconds)


def run(loaded: Loaded, settings: Settings) -> None:
    """Serve until told to stop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(loaded, settings))


async def _serve(loaded: Loaded, settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    metrics = Metrics()
    service = Service(loaded, settings, metrics)
    try:
        port = await service.server.listen(settings.host, settings.port)
    except OSError as error:
        told = f"port {settings.port} is taken, or may not be listened on: {error.strerror}; choose another PORT"
        raise ModelProblem(problems.SETTINGS, told) from error
    grpc = await _grpc(service, loaded.identity, settings) if settings.grpc_port else None
    service.app.is_ready = metrics.ready = True
    log.info("serving on port %d%s", port, f", gRPC on port {grpc.port}" if grpc is not None else "")
    await stop.wait()
    await service.stop(settings, grpc)


async def _grpc(service: "Service", identity: Identity, settings: Settings) -> "GrpcServer":
    from serinus_server.inference import grpc

    limits = grpc.Limits(message=settings.max_body, in_hand=settings.max_in_hand)
    return await grpc.start(
        service.app,
        service.served,
        identity,
        host=settings.host,
        port=settings.grpc_port,
        release=__version__,
        limits=limits,
    )


class Service:
    """What answers, put together."""

    def __init__(self, loaded: Loaded, settings: Settings, metrics: Metrics) -> None:
        identity = loaded.identity
        metrics.model(
            name=identity.name, version=identity.version, revision=identity.revision, flavour=loaded.model.flavour
        )
        metrics.load_seconds = loaded.seconds
        known = loaded.recorded.signature.inputs or ()
        metrics.columns = frozenset(str(one.name) for one in known if one.name)
        self._metrics = metrics
        self._loaded = loaded
        told = {"name": identity.name, "version": identity.version, "revision": identity.revision}
        self.observers = Observers(settings, told, metrics)
        self.batcher = Batcher(loaded.model, _batch_limits(settings), self.observers.predicted, joins=loaded.joins)
        self.app = App(identity, self.batcher, metrics, access_log=settings.access_log)
        self.app.has_answered = loaded.example is not None
        self.server = Server(self.app, _http_limits(settings))
        speaks = MlflowProtocol(loaded.scoring)
        self.app.on("POST", "/invocations", lambda request: self.app.predict(request, speaks))
        small = pages.add(self.app, self.batcher, metrics, settings)
        self.served = Served(loaded.recorded, identity, loaded.scoring)
        v2.add(self.app, self.served, release=__version__, is_live=small.is_live, binary=True)
        if settings.docs:
            openapi.add(self.app, self.served, loaded.recorded, loaded.example_body, loaded.example)
        self.observers.add(self.app)
        if settings.shadow_of:
            self.observers.follow(settings.shadow_of, self.batcher)

    async def stop(self, settings: Settings, grpc: "GrpcServer | None" = None) -> None:
        """Not ready at once; then what has begun is finished, and nobody is cut off."""
        log.info("asked to stop: draining for %g s", settings.drain)
        self.app.is_ready = self._metrics.ready = False
        self._metrics.draining = True
        self.server.drain()
        # Whoever still has this address may go on asking until the news is everywhere.
        await asyncio.sleep(settings.drain)
        await self.observers.stop()
        if grpc is not None:
            await grpc.stop(settings.grace)
        await self.server.close(settings.grace)
        log.info("stopped")


def _batch_limits(settings: Settings) -> BatchLimits:
    return BatchLimits(
        rows=settings.batch_max_size,
        delay=settings.batch_max_delay,
        waiting=settings.queue_size,
        timeout=settings.request_timeout,
    )


def _http_limits(settings: Settings) -> HttpLimits:
    return HttpLimits(
        body=settings.max_body,
        in_hand=settings.max_in_hand,
        receive=settings.receive_timeout,
        idle=settings.idle_timeout,
    )
