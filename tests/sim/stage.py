"""What all parts of a simulated world share: the time, the chance, the story."""

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from random import Random
from typing import Final

from serinus.objects import ObjectKind
from tests.sim.server import START, ApiServer
from tests.sim.story import Story
from tests.sim.weather import Weather

# How far a server may lag behind, in seconds.
LAG: Final = 20.0


class Stage:
    """One world's time, chance and story; all that is random comes from one seeded source."""

    def __init__(self, seed: int, weather: Weather | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.random = Random(seed)  # noqa: S311 (a simulation has to repeat, not to keep secrets)
        self.weather = weather or Weather.drawn(self.random)
        self.story = Story(self.loop.time)
        self.server = ApiServer(self.loop.time)
        self.over = self.loop.create_future()
        self.story.when_broken = self._end
        self.clock_offset = 0.0
        # Services that nobody can reach just now.
        self.down: set[str] = set()
        # How many requests of each sort the operator has made.
        self.requests: Counter[str] = Counter()
        # When everything was over.
        self.ended_at = 0.0
        self._planned: set[Hashable] = set()

    @property
    def now(self) -> float:
        """Virtual seconds since the start."""
        return self.loop.time()

    def time_of_day(self) -> datetime:
        """What a clock says that may be wrong."""
        return START + timedelta(seconds=self.now + self.clock_offset)

    def later(self, low: float, high: float, callback: Callable[[], None]) -> None:
        """Something happens between so many and so many seconds from now."""
        self.loop.call_later(self.random.uniform(low, high), self._unless_over, callback)

    def once_later(self, key: Hashable, high: float, callback: Callable[[], None]) -> None:
        """The same, unless it is planned already."""
        if key not in self._planned:
            self._planned.add(key)
            self.later(high / 20, high, lambda: self._planned_now(key, callback))

    def chance(self, probability: float) -> bool:
        """Whether something happens that does so with this probability."""
        return probability > 0 and self.random.random() < probability

    def behind(self, kind: ObjectKind) -> int:
        """How many changes of a kind a server that lags behind does not know yet."""
        if not self.chance(self.weather.stale_list):
            return 0
        return self.random.randint(0, self.server.recent(kind, LAG))

    async def wait(self, seconds: float) -> None:
        """Let time pass, but not after something has happened that must never happen."""
        if not self.over.done():
            await asyncio.wait((self.over,), timeout=seconds)

    def _planned_now(self, key: Hashable, callback: Callable[[], None]) -> None:
        self._planned.discard(key)
        callback()

    def _unless_over(self, callback: Callable[[], None]) -> None:
        if not self.over.done():
            callback()

    def _end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)
