"""The operator's process: log in, learn which cluster it is, lead, watch and work, and stop in good order."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

import kopf

from serinus import __version__, logs, rollout, training
from serinus.adapters import mlflow
from serinus.adapters.http import serving
from serinus.adapters.kubernetes.connection import connect, kopf_login
from serinus.adapters.kubernetes.kube import AioKube
from serinus.adapters.mlflow import Credentials, MlflowRegistry
from serinus.adapters.pods import PodMetrics
from serinus.adapters.prometheus import PrometheusMeter
from serinus.handlers import watches
from serinus.objects import LEASE, ObjectKind, Ref
from serinus.plan import Kind
from serinus.runtime import identity
from serinus.runtime.leader import Elector, Terms
from serinus.runtime.operator import Limits, Operator, Ports
from serinus.settings import Settings

log = logging.getLogger(__name__)

KINDS: Final[tuple[Kind[Any], ...]] = (training.KIND, rollout.KIND)
# How often it is tried whether what could not be watched can be watched now.
TRY_AGAIN: Final = 15.0


class SystemClock:
    """The time of this machine."""

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.now(UTC)


@dataclass
class Process:
    """What the process is made of."""

    settings: Settings
    ports: Ports
    kube: AioKube
    meter: PrometheusMeter
    random: Random
    elector: Elector | None
    login: Callable[[], Any]
    stopping: asyncio.Event
    operator: Operator = field(init=False)
    leading: bool = False
    blocked: Sequence[str] = ()

    async def run(self) -> None:
        """Lead, and work while leading; returns when told to stop, and when starting anew is the remedy."""
        if not await self._unless_stopped(self._begin()):
            return
        if self.elector is not None:
            log.info("waiting for leadership")
            if not await self._unless_stopped(self.elector.acquire()):
                return
        self.leading = True
        log.info("leading")
        try:
            await self._work()
        finally:
            self.leading = False
            if self.elector is not None:
                await self.elector.release()

    async def _begin(self) -> None:
        """Put the operator together, once the API server has said which cluster it is."""
        cluster = await identity.cluster(self.kube, self.random)
        defaults = replace(self.settings.defaults, cluster=cluster)
        operator = self.operator = Operator(KINDS, self.ports, defaults, _limits(self.settings), self.random)
        self.meter.watch(
            queue_depth=lambda: operator.queue.depth,
            queue_oldest=lambda: operator.queue.oldest_wait,
            resources=lambda: {kind.object_kind.kind: operator.cache.count(kind.object_kind) for kind in KINDS},
            leader=lambda: self.leading,
        )

    async def _work(self) -> None:
        watched = await self._watchable()
        tasks = [
            asyncio.create_task(self.operator.run(), name="operator"),
            asyncio.create_task(self._watch(watched), name="watches"),
            asyncio.create_task(self.stopping.wait(), name="stop"),
        ]
        if self.elector is not None:
            tasks.append(asyncio.create_task(self._hold(self.elector), name="lease"))
        if self.blocked:
            tasks.append(asyncio.create_task(self._unblocked(), name="blocked watches"))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            # First our own: an effect that is on its way is cut, and the next pass looks again.
            for task in tasks:
                task.cancel()
                await asyncio.wait([task])

    async def _hold(self, elector: Elector) -> None:
        await elector.hold()
        log.error("leadership is lost: stopping, to start anew as a follower")

    async def _watch(self, kinds: Sequence[ObjectKind]) -> None:
        """Kopf, until cancelled. It takes the signals for itself while it starts; we take them back."""
        ready = asyncio.Event()
        namespaces = self.settings.watch_namespaces
        handlers = watches.registry(kinds, self.operator.observe, self.login)
        chosen = watches.settings(kinds)
        taking_back = asyncio.create_task(self._take_signals_back(ready))
        try:
            await kopf.operator(
                registry=handlers,
                settings=chosen,
                clusterwide=not namespaces,
                namespaces=namespaces,
                standalone=True,
                ready_flag=ready,
            )
        finally:
            taking_back.cancel()

    async def _take_signals_back(self, ready: asyncio.Event) -> None:
        await ready.wait()
        take_signals(self.stopping)

    async def _watchable(self) -> list[ObjectKind]:
        """The kinds that can be watched; of the others the log says why not, and they are tried again."""
        watched = self.operator.cache.watched
        unserved = await self.kube.unserved(watched)
        served = [kind for kind in watched if kind not in unserved]
        refused = await self.kube.trials(served)
        missing = [f"this cluster has no {kind.plural} ({kind.api_version}): install the CRDs" for kind in unserved]
        self.blocked = [*missing, *(str(error) for error in refused.values())]
        for problem in self.blocked:
            log.error("%s; what depends on it waits", problem)
        return [kind for kind in served if kind not in refused]

    async def _unblocked(self) -> None:
        """Return when what can be watched has changed."""
        before = set(self.blocked)
        while set(self.blocked) == before:
            await asyncio.sleep(TRY_AGAIN)
            await self._watchable()
        log.info("what can be watched has changed: stopping, to start anew")

    async def _unless_stopped(self, coroutine: Coroutine[Any, Any, None]) -> bool:
        """Whether the coroutine ended before the process was told to stop."""
        task, stop = asyncio.create_task(coroutine), asyncio.create_task(self.stopping.wait())
        done, pending = await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        for one in pending:
            one.cancel()
        await asyncio.wait(pending)
        if task in done:
            task.result()
        return stop not in done

    def health(self) -> list[str]:
        """Why the process should be started anew."""
        return self.operator.problems() if self.leading else []

    def readiness(self) -> list[str]:
        """What is missing; a follower is ready to take over."""
        if not self.leading:
            return []
        waiting = [f"not all {plural} have been seen yet" for plural in self.operator.waiting_for]
        return [*self.blocked, *waiting]


def take_signals(stopping: asyncio.Event) -> None:
    """SIGTERM and SIGINT stop the process in good order."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)


async def run(settings: Settings) -> None:
    """Run until told to stop."""
    stopping = asyncio.Event()
    take_signals(stopping)
    async with AsyncExitStack() as stack:
        meter = PrometheusMeter(kind.object_kind.kind for kind in KINDS)
        process = await _assemble(settings, meter, stopping, stack)
        await stack.enter_async_context(serving(settings.port, process.health, process.readiness, meter.expose))
        log.info("serinus %s, identity %s", __version__, settings.pod_name)
        await process.run()
        log.info("stopped")


async def _assemble(
    settings: Settings, meter: PrometheusMeter, stopping: asyncio.Event, stack: AsyncExitStack
) -> Process:
    client = await connect()
    children = {child for kind in KINDS for child in (kind.object_kind, *kind.children)}
    kube = AioKube(client, meter, namespaces=settings.watch_namespaces, selectors=watches.selectors(children))
    stack.push_async_callback(kube.close)
    clock = SystemClock()
    own = Credentials(
        settings.mlflow_username.get_secret_value(),
        settings.mlflow_password.get_secret_value(),
        settings.mlflow_token.get_secret_value(),
    )
    asked = mlflow.Limits(settings.registry_concurrency, settings.registry_timeout.total_seconds())
    registry = MlflowRegistry(kube, clock, meter, home=settings.tracking_uri, own=own, limits=asked)
    stack.push_async_callback(registry.close)
    metrics = PodMetrics(clock, meter)
    stack.push_async_callback(metrics.close)
    ports = Ports(kube, registry, metrics, clock, meter)
    random = Random()  # noqa: S311 (spreads retries; nothing is to be kept secret)
    elector = _elector(settings, kube, clock, random) if settings.leader_election else None
    return Process(settings, ports, kube, meter, random, elector, lambda: kopf_login(client), stopping)


def _limits(settings: Settings) -> Limits:
    return Limits(
        workers=settings.workers,
        reconcile_timeout=settings.reconcile_timeout.total_seconds(),
        resync=settings.resync.total_seconds(),
        stuck_after=settings.stuck_after.total_seconds(),
    )


def _elector(settings: Settings, kube: AioKube, clock: SystemClock, random: Random) -> Elector:
    terms = Terms(settings.lease_duration, settings.lease_renew_deadline, settings.lease_retry_period)
    lease = Ref(LEASE, settings.namespace, settings.lease_name)
    return Elector(kube=kube, lease=lease, identity=settings.pod_name, clock=clock, terms=terms, random=random)


def main() -> None:
    """Run as the environment says; a SettingsError if it says something else."""
    settings = Settings.read(os.environ)
    logs.configure(settings.log_level, settings.log_format)
    asyncio.run(run(settings))
