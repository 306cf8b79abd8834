"""The operator: cache, queue, answers and executor put together, and the workers that keep them going."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from serinus.logs import about
from serinus.objects import Manifest, ObjectKind, Ref
from serinus.plan import Defaults, Kind
from serinus.ports import Clock, Conflict, Forbidden, Kube, KubeError, Meter, Metrics, Missing, Refused, Registry
from serinus.ports import Unavailable as KubeUnavailable
from serinus.runtime.answers import Answers
from serinus.runtime.cache import Cache
from serinus.runtime.executor import Executor, NameTaken
from serinus.runtime.queue import Backoff, WorkQueue
from serinus.runtime.reconcile import Reconciler
from serinus.runtime.sweep import Sweep
from serinus.runtime.sync import Sync

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ports:
    """The world, as the operator reaches it."""

    kube: Kube
    registry: Registry
    metrics: Metrics
    clock: Clock
    meter: Meter


@dataclass(frozen=True)
class Limits:
    """How much at a time, and how long; seconds all."""

    workers: int = 8
    reconcile_timeout: float = 60.0
    resync: float = 600.0
    stuck_after: float = 300.0
    sweep: float = 300.0
    backoff: Backoff = field(default_factory=Backoff)


class Operator:
    """Everything between the watches and the effects. One at a time may run in a cluster: the leader's."""

    def __init__(
        self, kinds: Sequence[Kind[Any]], ports: Ports, defaults: Defaults, limits: Limits, random: Random
    ) -> None:
        self._ports = ports
        self._limits = limits
        self._kinds: Mapping[ObjectKind, Kind[Any]] = {kind.object_kind: kind for kind in kinds}
        self.cache = Cache(kinds)
        self.queue: WorkQueue[Ref] = WorkQueue(limits.backoff, random)
        self.answers = Answers(ports.registry, ports.metrics, ports.kube, ports.clock, self.queue.add, random)
        self.executor = Executor(ports.kube, self.cache, ports.clock)
        self.reconciler = Reconciler(self._kinds, self.cache, self.answers, self.executor, ports.clock, defaults)
        self.sync = Sync(ports.kube, self.cache, self.observe, limits.resync, random)
        self.sweeps: Mapping[ObjectKind, Sweep] = {
            kind.object_kind: Sweep(
                kind.object_kind,
                kind.leftovers,
                ports.kube,
                ports.registry,
                self.cache,
                defaults,
                limits.sweep,
                random,
            )
            for kind in kinds
            if kind.leftovers is not None
        }
        # The kinds of which all that was there has been seen, and their children: before that nothing is decided.
        self._seen: set[ObjectKind] = set()
        self._open: set[ObjectKind] = set()

    def observe(self, kind: ObjectKind, manifest: Manifest, *, gone: bool = False) -> None:
        """Something was seen of an object: remember it, and have those whom it concerns looked at."""
        for key in self.cache.observe(kind, manifest, gone=gone):
            if key.kind in self._open:
                self.queue.add(key)
        if kind in self.sweeps:
            self.sweeps[kind].seen(manifest, gone=gone)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for kind in self.cache.watched:
                tasks.create_task(self._see(kind))
            tasks.create_task(self.sync.forever())
            tasks.create_task(self.answers.run())
            for sweep in self.sweeps.values():
                tasks.create_task(sweep.run())
            for _ in range(self._limits.workers):
                tasks.create_task(self._work())

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """The kinds of which not all that was there has been seen yet; ready when there are none."""
        return tuple(kind.plural for kind in self.cache.watched if kind not in self._seen)

    async def _see(self, kind: ObjectKind) -> None:
        """See all that is there of a kind; with the last of its kinds, the work on a kind of resource begins."""
        await self.sync.first(kind)
        self._seen.add(kind)
        for object_kind, ours in self._kinds.items():
            if object_kind not in self._open and {object_kind, *ours.children} <= self._seen:
                self._open.add(object_kind)
                if object_kind in self.sweeps:
                    self.sweeps[object_kind].begin()
                for ref in sorted(self.cache.versions(object_kind)):
                    self.queue.add(ref)

    def problems(self) -> list[str]:
        """Why the operator should be started anew; empty while it does well."""
        found = list(self.sync.problems())
        if self.queue.oldest_wait > self._limits.stuck_after:
            found.append(f"the work queue is stuck: its first key has waited for {self.queue.oldest_wait:.0f} s")
        if self.queue.longest_work > self._limits.reconcile_timeout + self._limits.stuck_after:
            found.append(f"a worker is stuck: it has been at one key for {self.queue.longest_work:.0f} s")
        return found

    async def _work(self) -> None:
        while True:
            key = await self.queue.take()
            started = asyncio.get_running_loop().time()
            try:
                with about(key):
                    outcome = await self._once(key)
            finally:
                self.queue.done(key)
            self._ports.meter.reconciled(key.kind.kind, outcome, asyncio.get_running_loop().time() - started)

    async def _once(self, key: Ref) -> str:
        """One pass, and when the next is due. What went wrong is said here, once, and tried again."""
        try:
            async with asyncio.timeout(self._limits.reconcile_timeout):
                again = await self.reconciler.reconcile(key)
        except Missing as error:
            # The resource itself is gone, or its namespace; if not, the retry finds out.
            return self._retry(key, "retried", logging.INFO, error)
        except (Conflict, KubeUnavailable) as error:
            return self._retry(key, "retried", logging.INFO, error)
        except (Forbidden, Refused, NameTaken) as error:
            return self._retry(key, "refused", logging.WARNING, error)
        except TimeoutError:
            late = KubeError(f"gave up after {self._limits.reconcile_timeout:.0f} s")
            return self._retry(key, "failed", logging.WARNING, late)
        except Exception as error:
            log.exception("the reconcile failed by a mistake in the operator; it is tried again")
            return self._retry(key, "failed", logging.ERROR, error)
        self.queue.succeeded(key)
        if again is not None:
            self.queue.add_after(key, again)
        return "ok"

    def _retry(self, key: Ref, outcome: str, level: int, error: Exception) -> str:
        at_least = getattr(error, "retry_after", None) or 0.0
        delay = self.queue.retry(key, at_least)
        log.log(level, "%s; again in %.1f s", error, delay)
        return outcome
