"""Who of several operators works: the one whose name is on a Lease, for as long as it is sure of that.

Nobody compares clocks. A leader is sure until `renew_deadline` after it *began* the last write that succeeded. Another
operator takes the Lease over once it has seen it unchanged for the longer `duration`, which began after that write. The
write itself is tied to the version that was seen unchanged. So the one has stopped before the other may start, however
long calls take and whatever the time of day does; only an operator whose whole event loop stands still learns it late.
A Lease that is missing may have had a holder a moment ago: who makes it does not lead yet, but waits like all others.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from serinus.objects import LEASE, Manifest, Ref, uid
from serinus.ports import Clock, Conflict, Kube, KubeError, Missing

_log = logging.getLogger(__name__)
_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class Terms:
    """How long a leader that is silent stays leader, when it stops by itself, and how often a Lease is looked at."""

    duration: timedelta = timedelta(seconds=10)
    renew_deadline: timedelta = timedelta(seconds=7)
    retry: timedelta = timedelta(seconds=2)

    def __post_init__(self) -> None:
        if not timedelta() < self.retry < self.renew_deadline < self.duration:
            raise ValueError(f"{self}: must be 0 < retry < renew_deadline < duration")


@dataclass(eq=False, kw_only=True)
class Elector:
    """One candidate: `acquire`, do the work while `hold` runs, stop the work, `release`.

    The identity must not be that of another operator that runs. After a loss or a release it may acquire anew.
    """

    kube: Kube
    lease: Ref
    identity: str
    clock: Clock
    terms: Terms
    random: Random
    _seen: tuple[str, object] | None = field(default=None, init=False)
    _unchanged_since: float = field(default=math.inf, init=False)
    _held: Manifest | None = field(default=None, init=False)
    _sure_until: float = field(default=-math.inf, init=False)
    _renewed_at: datetime | None = field(default=None, init=False)
    _trouble: str = field(default="", init=False)

    @property
    def leads(self) -> bool:
        """Whether nobody else can be leader now."""
        return self._now() < self._sure_until

    async def acquire(self) -> None:
        """Return when we lead. An outage, or a Role that lacks a verb, is logged and waited out."""
        _log.info("%s waits for %s", self.identity, self.lease)
        next_try = self._next_try()
        while not await self._attempt(self._try_to_acquire()):
            await self._sleep_until(next_try)
            next_try = self._next_try()
        _log.info("%s leads: it holds %s", self.identity, self.lease)

    async def hold(self) -> None:
        """Renew, and return when we lead no longer, or can no longer be sure."""
        while self.leads:
            next_try = self._next_try()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._sure_until):
                    await self._attempt(self._renew())
            await self._sleep_until(min(next_try, self._sure_until))
        if self._held is not None:
            _log.warning("%s no longer leads: it could not renew %s in time", self.identity, self.lease)

    async def release(self) -> None:
        """Let another operator take over at once, if we hold the Lease. All work must have stopped."""
        self._sure_until = -math.inf
        if self._held is not None and await self._attempt(self._give_up()):
            _log.info("%s has given up %s", self.identity, self.lease)
        self._held = None

    async def _attempt(self, work: Awaitable[bool]) -> bool:
        """Whether it succeeded, soon enough to leave time for another try; each trouble is logged when it begins."""
        seconds = self.terms.renew_deadline.total_seconds() / 2
        trouble = ""
        try:
            async with asyncio.timeout(seconds):
                return await work
        except TimeoutError:
            trouble = f"no answer about {self.lease} within {seconds:g} s"
        except KubeError as error:
            trouble = str(error)
        finally:
            if trouble not in {"", self._trouble}:
                _log.warning("%s has trouble with its leadership: %s", self.identity, trouble)
            self._trouble = trouble
        return False

    def _next_try(self) -> float:
        """When to try again, if a try begins now: `retry` later or a bit less, so that several do not go in step."""
        return self._now() + self.terms.retry.total_seconds() * self.random.uniform(0.75, 1.0)

    async def _sleep_until(self, moment: float) -> None:
        await asyncio.sleep(moment - self._now())

    async def _try_to_acquire(self) -> bool:
        lease = await self.kube.get(self.lease)
        self._observe(lease)
        try:
            if lease is None:
                await self.kube.create(LEASE, _taken(None, self.lease, self._record()))
            elif self._is_free(lease):
                await self._write(_taken(lease, self.lease, self._record()))
                return True
        except (Conflict, Missing) as error:
            _log.debug("%s looks again, another was faster: %s", self.identity, error)
        return False

    async def _renew(self) -> bool:
        """One write, if nobody touched the Lease; else find out whether it is still ours."""
        if self._held is None:
            return False
        renewal = {"renewTime": _micro_time(self._tick())}
        try:
            await self._write(_changed(self._held, renewal))
        except (Conflict, Missing):
            await self._look_again()
            return False
        return True

    async def _give_up(self) -> bool:
        """Nobody holds it; the first write may meet one of our own that was not answered."""
        while self._held is not None:
            try:
                await self._write(_changed(self._held, {"holderIdentity": "", "renewTime": _micro_time(self._tick())}))
            except (Conflict, Missing):
                await self._look_again()
            else:
                self._sure_until = -math.inf
                return True
        return False

    async def _look_again(self) -> None:
        """Go on from the Lease as it is now if it is of our term; make it again if it is gone."""
        lease = await self.kube.get(self.lease)
        if self._held is not None and lease is None:
            self._held = _taken(None, self.lease, self._held["spec"])
        elif self._held is not None and lease is not None and _term(lease) == _term(self._held):
            self._held = lease
        else:
            _log.warning("%s no longer leads: %s holds %s", self.identity, _holder(lease) or "nobody", self.lease)
            self._held, self._sure_until = None, -math.inf

    async def _write(self, lease: Manifest) -> None:
        """Store a Lease that we hold. We are sure of it from when the writing began, and know it once it is stored."""
        began = self._now()
        write = self.kube.replace if "resourceVersion" in lease["metadata"] else self.kube.create
        self._held = await write(LEASE, lease)
        self._sure_until = began + self.terms.renew_deadline.total_seconds()

    def _observe(self, lease: Manifest | None) -> None:
        seen = None if lease is None else (uid(lease), lease.get("spec"))
        if seen != self._seen:
            self._seen, self._unchanged_since = seen, self._now()

    def _is_free(self, lease: Manifest) -> bool:
        """Whether nobody can be leader: it was given up, or has not changed for so long that its holder has stopped."""
        return not _holder(lease) or self._now() - self._unchanged_since >= self._patience(lease)

    def _patience(self, lease: Manifest) -> float:
        """The longer of what its holder promised and what we would, in case we have other terms."""
        promised = (lease.get("spec") or {}).get("leaseDurationSeconds") or 0
        return max(float(promised), self.terms.duration.total_seconds())

    def _record(self) -> dict[str, Any]:
        now = _micro_time(self._tick())
        seconds = math.ceil(self.terms.duration.total_seconds())
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": seconds,
            "acquireTime": now,
            "renewTime": now,
        }

    def _tick(self) -> datetime:
        """The time of day, but never the same twice: a Lease that was renewed must have changed."""
        now = self.clock.now()
        if self._renewed_at is not None and now <= self._renewed_at:
            now = self._renewed_at + _TICK
        self._renewed_at = now
        return now

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _taken(lease: Manifest | None, ref: Ref, record: Mapping[str, Any]) -> Manifest:
    """The Lease, in place of this one or of none, with this record and one more transition."""
    if lease is None:
        metadata = {"name": ref.name, "namespace": ref.namespace}
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": metadata,
            "spec": {"leaseTransitions": 0, **record},
        }
    transitions = (lease.get("spec") or {}).get("leaseTransitions")
    return _changed(lease, {**record, "leaseTransitions": transitions + 1 if isinstance(transitions, int) else 0})


def _changed(lease: Manifest, fields: Mapping[str, Any]) -> Manifest:
    return {**lease, "spec": {**(lease.get("spec") or {}), **fields}}


def _holder(lease: Manifest | None) -> str:
    return str(((lease or {}).get("spec") or {}).get("holderIdentity") or "")


def _term(lease: Manifest) -> tuple[object, ...]:
    """What stays the same while one operator leads."""
    spec = lease.get("spec") or {}
    return tuple(spec.get(name) for name in ("holderIdentity", "acquireTime", "leaseTransitions"))


def _micro_time(moment: datetime) -> str:
    """As Kubernetes writes a MicroTime."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
