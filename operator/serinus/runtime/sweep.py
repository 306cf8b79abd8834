"""The sweep: runs that nobody works on get their end, also those that were left while no operator ran.

What is open in a registry and carries the tag of this cluster is compared with what there is in the cluster: when
everything was seen, from time to time, and soon after a resource has gone. A server that does not answer keeps no
other one waiting.
"""

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import batched
from random import Random

from serinus import objects
from serinus.api.names import CLUSTER_TAG
from serinus.asks import EndRun, FindOpenRuns, Known, Server, Trouble, TroubleKind
from serinus.objects import Manifest, ObjectKind
from serinus.plan import Defaults, Gone, Leftovers, Orphan, Owned
from serinus.ports import Kube, KubeError, Registry, Unavailable
from serinus.runtime.cache import Cache
from serinus.runtime.queue import Backoff

log = logging.getLogger(__name__)

# How soon after a deletion, with those that come meanwhile; and once more, for what was on its way when it happened.
SOON = 1.0
AGAIN = 30.0
# A server is not swept more often than this, however much is deleted.
PAUSE = 10.0
# For how long something must look like an orphan that may be a moment in the life of a resource.
WHILE = 60.0
# How many servers at a time, and how many runs are ended with one list of orders.
SERVERS = 16
LENGTH = 25
RETRY = Backoff(first=10.0, most=300.0)


class Failed(Exception):
    """A sweep did not come to its end."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.message)
        self.kind = trouble.kind


@dataclass
class _Visit:
    """What is known of one server: when it is swept next, and what looked like an orphan, since when."""

    due: float
    again: float = math.inf
    began: float = -math.inf
    busy: bool = False
    failures: int = 0
    complaint: object = None
    suspects: dict[Orphan, float] = field(default_factory=dict)


class Sweep:
    """Ends the orphans among the runs of one kind of resource. Without the name of the cluster it does nothing."""

    def __init__(  # noqa: PLR0913, PLR0917 (the ports, and what it is about)
        self,
        kind: ObjectKind,
        leftovers: Leftovers,
        kube: Kube,
        registry: Registry,
        cache: Cache,
        defaults: Defaults,
        every: float,
        random: Random,
    ) -> None:
        self._kind = kind
        self._leftovers = leftovers
        self._kube = kube
        self._registry = registry
        self._cache = cache
        self._defaults = defaults
        self._every = every
        self._random = random
        self._home = Server(defaults.tracking_uri)
        self._visits: dict[Server, _Visit] = {}
        self._all_seen = asyncio.Event()
        self._kick = asyncio.Event()

    def seen(self, resource: Manifest, *, gone: bool) -> None:
        """Something was seen of a resource: its servers are swept from now on, and soon if it is gone."""
        if not self._defaults.cluster:
            return
        leaves = gone and self._leftovers.may_leave(resource)
        for server in self._leftovers.servers(resource, self._defaults):
            visit = self._know(server)
            if leaves:
                visit.due = min(visit.due, max(_now() + SOON, visit.began + PAUSE))
                visit.again = _now() + AGAIN
                self._kick.set()

    def begin(self) -> None:
        """All resources and children have been seen: what is not known now is not there."""
        self._all_seen.set()

    async def run(self) -> None:
        """Sweep what is due, until cancelled."""
        if not self._defaults.cluster:
            return
        await self._all_seen.wait()
        if self._home.uri:
            self._know(self._home)
        limit = asyncio.Semaphore(SERVERS)
        async with asyncio.TaskGroup() as sweeping:
            while True:
                self._kick.clear()
                for server, visit in self._visits.items():
                    if not visit.busy and visit.due <= _now():
                        visit.busy = True
                        sweeping.create_task(self._visit(server, visit, limit))
                await self._until_due()

    async def _until_due(self) -> None:
        first = min((visit.due for visit in self._visits.values() if not visit.busy), default=math.inf)
        delay = None if first == math.inf else max(first - _now(), 0.0)
        try:
            async with asyncio.timeout(delay):
                await self._kick.wait()
        except TimeoutError:
            return

    async def _visit(self, server: Server, visit: _Visit, limit: asyncio.Semaphore) -> None:
        """One sweep of one server, and when the next is due. What went wrong is said once."""
        async with limit:
            visit.began, visit.due = _now(), math.inf
            visit.again = visit.again if visit.again > visit.began else math.inf
            try:
                await self._sweep(server, visit)
                visit.failures, visit.complaint = 0, None
            except Failed as failed:
                self._complain(visit, failed.kind, failed)
            except Unavailable as error:
                self._complain(visit, type(error), error)
            except Exception:
                log.exception("sweeping %s failed by a mistake in the operator; it is tried again", server)
                visit.failures += 1
        visit.busy = False
        visit.due = min(visit.due, visit.again, _now() + self._delay(visit))
        is_done = not visit.failures and not visit.suspects and visit.due > _now() + AGAIN
        if is_done and not self._is_named(server):
            del self._visits[server]
        self._kick.set()

    def _complain(self, visit: _Visit, kind: object, error: Exception) -> None:
        visit.failures += 1
        if visit.complaint != kind:
            visit.complaint = kind
            log.warning("runs that nobody works on cannot be closed: %s; it is tried again", error)

    def _delay(self, visit: _Visit) -> float:
        if visit.failures:
            return RETRY.delay(visit.failures, self._random)
        every = min(self._every, WHILE) if visit.suspects else self._every
        return every * self._random.uniform(1.0, 1.1)

    async def _sweep(self, server: Server, visit: _Visit) -> None:
        ask = FindOpenRuns(server=server, tag=CLUSTER_TAG, value=self._defaults.cluster)
        found = (await self._registry.answer(server, (ask,)))[ask]
        if not isinstance(found, Known):
            raise Failed(found)
        now, before = _now(), visit.suspects
        orphans = self._leftovers.orphans(found.value, self._owned(), self._defaults) if found.value else ()
        visit.suspects = {orphan: before.get(orphan, now) for orphan in orphans if orphan.because is None}
        due = [one for one in orphans if one.because is not None or now - visit.suspects[one] >= WHILE]
        for together in batched(due, LENGTH, strict=False):
            await self._end(server, await self._certain(together))

    async def _certain(self, orphans: Sequence[Orphan]) -> list[Orphan]:
        """Those whose resource is gone indeed: the cache may not have heard of it yet, and an end cannot be undone."""
        causes = sorted({orphan.because for orphan in orphans if orphan.because is not None})
        gone = await asyncio.gather(*(self._is_gone(cause) for cause in causes))
        certain = {cause for cause, is_gone in zip(causes, gone, strict=True) if is_gone}
        return [orphan for orphan in orphans if orphan.because is None or orphan.because in certain]

    async def _is_gone(self, cause: Gone) -> bool:
        try:
            live = await self._kube.get(cause.ref)
        except Unavailable:
            raise
        except KubeError as error:
            # Tags are anybody's to write: what they say may be nothing that can be read.
            log.warning("runs of %s are not closed: %s", cause.ref, error)
            return False
        return live is None or objects.uid(live) != cause.uid

    async def _end(self, server: Server, orphans: Sequence[Orphan]) -> None:
        """End these; what one of them is refused keeps the others from nothing, but a silent server is left alone."""
        orders = [EndRun(server=server, run_id=one.run_id, end=one.end, tags=one.tags) for one in orphans]
        answers = await self._registry.answer(server, orders) if orders else {}
        for order in orders:
            answer = answers[order]
            if isinstance(answer, Known):
                log.info("run %s, which nobody works on, is %s (%s)", order.run_id, order.end, dict(order.tags))
            elif answer.kind == TroubleKind.REFUSED:
                log.warning("run %s, which nobody works on, cannot be closed: %s", order.run_id, answer.message)
            else:
                raise Failed(answer)

    def _owned(self) -> dict[str, Owned]:
        """Everything that there is, by uid."""
        there = ((uid, ref, self._cache.get(ref)) for ref, (uid, _) in self._cache.versions(self._kind).items())
        return {uid: Owned(one, tuple(self._cache.children(ref))) for uid, ref, one in there if one is not None}

    def _is_named(self, server: Server) -> bool:
        """Whether it is our own server, or somebody names it now."""
        there = (self._cache.get(ref) for ref in self._cache.versions(self._kind))
        named = (self._leftovers.servers(one, self._defaults) for one in there if one is not None)
        return server == self._home or any(server in servers for servers in named)

    def _know(self, server: Server) -> _Visit:
        if server not in self._visits:
            self._visits[server] = _Visit(_now())
            self._kick.set()
        return self._visits[server]


def _now() -> float:
    return asyncio.get_running_loop().time()
