"""Sync: that the cache knows everything before it is used, and that nothing the watches lost stays lost.

A watch may lose an event: after a broken connection it lists again, and what was deleted meanwhile is simply not there.
So, from time to time, uid and resourceVersion of everything are listed and compared. What the cache does not know, or
has older, is read; what is not there any more is buried. A watch that is behind for the whole of GRACE is dead, and is
reported: starting anew is the remedy.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from random import Random

from serinus import objects
from serinus.objects import ObjectKind, Ref
from serinus.ports import Kube, KubeError
from serinus.runtime.cache import Cache
from serinus.runtime.queue import Backoff

log = logging.getLogger(__name__)

# How often the cache is looked at while it fills, how long the watches may take, and how far behind they may be.
GLANCE = 0.05
PATIENCE = 30.0
GRACE = 20.0
RETRY = Backoff(first=0.5, most=30.0)

type Versions = Mapping[Ref, tuple[str, int]]


class Sync:
    """Compares the cache with what the API server has; `observe` gets what is news."""

    def __init__(self, kube: Kube, cache: Cache, observe: Callable[..., None], every: float, random: Random) -> None:
        self._kube = kube
        self._cache = cache
        self._observe = observe
        self._every = every
        self._random = random
        self._behind: dict[ObjectKind, int] = {}

    async def first(self, kind: ObjectKind) -> None:
        """Return when the cache knows all that is there of a kind: what was made last by the one before us, too."""
        listed = await self._list(kind, current=True)
        await self._wait_for(listed)
        while unseen := [ref for ref, (uid, version) in listed.items() if not self._cache.knows(ref, uid, version)]:
            log.warning(
                "the watch of %s has not brought %d of them: they are read one by one", kind.plural, len(unseen)
            )
            for ref in unseen:
                await self._read(ref)
            listed = await self._list(kind, current=True)

    async def forever(self) -> None:
        """Compare from time to time, until cancelled."""
        while True:
            await asyncio.sleep(self._every * self._random.uniform(0.9, 1.1))
            for kind in self._cache.watched:
                await self._compare(kind)

    def problems(self) -> list[str]:
        """Which watches are dead."""
        return [
            f"the watch of {kind.plural} is dead: {number} of them were not seen"
            for kind, number in self._behind.items()
        ]

    async def _compare(self, kind: ObjectKind) -> None:
        listed = await self._list(kind)
        if self._differing(kind, listed):
            # A watch may take its time.
            await asyncio.sleep(GRACE)
        differing = self._differing(kind, listed)
        unseen = sum(ref in listed for ref in differing)
        self._behind.pop(kind, None)
        if unseen:
            self._behind[kind] = unseen
        for ref in differing:
            await self._read(ref)

    def _differing(self, kind: ObjectKind, listed: Versions) -> list[Ref]:
        """What the cache has older or not at all, and what it has and was not listed."""
        cached = self._cache.versions(kind)
        older = [ref for ref, (uid, version) in listed.items() if not self._cache.knows(ref, uid, version)]
        return older + [ref for ref in cached if ref not in listed]

    async def _wait_for(self, listed: Versions) -> None:
        """The watches bring what was listed, as a rule in no time."""
        patience = asyncio.get_running_loop().time() + PATIENCE
        while not all(self._cache.knows(ref, uid, version) for ref, (uid, version) in listed.items()):
            if asyncio.get_running_loop().time() > patience:
                return
            await asyncio.sleep(GLANCE)

    async def _list(self, kind: ObjectKind, *, current: bool = False) -> Versions:
        failures = 0
        while True:
            try:
                return await self._kube.list_versions(kind, current=current)
            except KubeError as error:
                failures += 1
                delay = RETRY.delay(failures, self._random)
                log.warning("%s; again in %.1f s", error, delay)
                await asyncio.sleep(delay)

    async def _read(self, ref: Ref) -> None:
        """Take the object as it is now; what cannot be read now is compared again the next time."""
        try:
            live = await self._kube.get(ref)
        except KubeError as error:
            log.warning("%s", error)
            return
        cached = self._cache.get(ref)
        if live is not None:
            self._observe(ref.kind, live)
        if cached is not None and (live is None or objects.uid(live) != objects.uid(cached)):
            self._observe(ref.kind, cached, gone=True)
