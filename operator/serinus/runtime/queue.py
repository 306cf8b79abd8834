"""The work queue: what is to be reconciled, each key once, and never by two workers at a time."""

import asyncio
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Backoff:
    """How long to wait after failures in a row: doubled each time up to `most`, and spread so that no herd forms."""

    first: float = 0.2
    most: float = 300.0

    def delay(self, failures: int, random: Random) -> float:
        """Between half and the whole of the doubled delay; `failures` is 1 after the first."""
        # The exponent is bounded because floats are.
        whole = min(self.most, self.first * 2.0 ** min(failures - 1, 60))
        return whole * random.uniform(0.5, 1.0)


class WorkQueue[K: Hashable]:
    """Keys that are due, first come first served.

    A key that is added again while it waits waits once; one that is added while it is worked on comes again
    afterwards. A key has at most one timer, and taking the key clears it: each pass decides anew when the next is.
    """

    def __init__(self, backoff: Backoff, random: Random) -> None:
        self._backoff = backoff
        self._random = random
        self._due: dict[K, float] = {}
        self._busy: dict[K, float] = {}
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._takers: deque[asyncio.Future[None]] = deque()

    def add(self, key: K) -> None:
        """The key is due now."""
        if key in self._busy:
            self._again.add(key)
        elif key not in self._due:
            self._due[key] = _now()
            self._wake()

    def add_after(self, key: K, delay: float) -> None:
        """The key is due after so many seconds, unless it is due earlier anyway."""
        due = _now() + max(delay, 0.0)
        timer = self._timers.get(key)
        if timer is None or timer.when() > due:
            self._clear_timer(key)
            self._timers[key] = asyncio.get_running_loop().call_at(due, self._ring, key)

    def retry(self, key: K, at_least: float = 0.0) -> float:
        """The key has failed: it is due after a delay that grows with each failure in a row. Returns the delay."""
        self._failures[key] = self._failures.get(key, 0) + 1
        delay = max(self._backoff.delay(self._failures[key], self._random), at_least)
        self.add_after(key, delay)
        return delay

    def succeeded(self, key: K) -> None:
        """The failures of the key are history."""
        self._failures.pop(key, None)

    async def take(self) -> K:
        """The key that has been due for longest, once there is one. `done` must follow."""
        while not self._due:
            taker = asyncio.get_running_loop().create_future()
            self._takers.append(taker)
            try:
                await taker
            except asyncio.CancelledError:
                # A wake-up that reached a taker who is leaving is passed on.
                if taker.done() and not taker.cancelled():
                    self._wake()
                raise
        key = next(iter(self._due))
        del self._due[key]
        self._clear_timer(key)
        self._busy[key] = _now()
        return key

    def done(self, key: K) -> None:
        """The work on the key is over; it is due at once if it was added meanwhile."""
        del self._busy[key]
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    @property
    def depth(self) -> int:
        """How many keys are due and wait for a worker."""
        return len(self._due)

    @property
    def oldest_wait(self) -> float:
        """For how many seconds the first of them has waited."""
        return _now() - next(iter(self._due.values())) if self._due else 0.0

    @property
    def longest_work(self) -> float:
        """For how many seconds the slowest worker has been at one key."""
        return _now() - min(self._busy.values()) if self._busy else 0.0

    def _ring(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _clear_timer(self, key: K) -> None:
        if timer := self._timers.pop(key, None):
            timer.cancel()

    def _wake(self) -> None:
        while self._takers:
            taker = self._takers.popleft()
            if not taker.done():
                taker.set_result(None)
                return


def _now() -> float:
    return asyncio.get_running_loop().time()
