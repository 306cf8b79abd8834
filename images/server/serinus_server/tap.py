"""A stream of what is asked and answered, for whoever follows: another revision in shadow mode, or a person with curl.

Answers come first. Without a follower an offer is one comparison; with one, it puts a reference into a ring. A record
is written out in the follower's own task, and a follower that is too slow finds that the ring has gone on without it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Self

from serinus_server import tap_wire
from serinus_server.exposition import Family, counter, gauge
from serinus_server.problems import RequestProblem

FOLLOWERS: Final = 4
RECORDS: Final = 2048
BYTES: Final = 16 * 1024 * 1024
# A follower sees that the stream lives, and we that the follower does.
SILENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Record:
    request_id: str
    time: float
    inputs: Any
    outputs: Any
    size: int


class Tap:
    """The ring and its followers. For the event loop's thread."""

    def __init__(
        self,
        model: Mapping[str, str] | None = None,
        *,
        share: float = 1.0,
        records: int = RECORDS,
        size: int = BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Of the answers this share is offered on; `model` names what is served: name, version and revision."""
        self.head = {name: text for name, text in (model or {}).items() if name != "name"}
        self.head["model"] = (model or {}).get("name", "")
        self.silence = SILENCE
        self._share = share
        self._due = 0.0
        self._most, self._largest = records, size
        self._clock = clock
        self._followers: set[Follower] = set()
        # By sequence number, which has no gaps.
        self._ring: dict[int, _Record] = {}
        self._next = 0
        self._size = 0
        self.offered = 0
        self.dropped = 0

    def offer(self, request_id: str, inputs: Any, outputs: Any) -> None:
        """This was asked and has been answered. Neither may be changed any more."""
        if self._followers:
            self._offer(request_id, inputs, outputs)

    def follow(self) -> "Follower":
        """A new follower, from now on; RequestProblem 429 if there are too many. To be closed by who asked for it."""
        if len(self._followers) >= FOLLOWERS:
            message = f"{FOLLOWERS} others follow the tap, which is the most; try again when one has gone"
            raise RequestProblem(HTTPStatus.TOO_MANY_REQUESTS, message, retry_after=10.0)
        follower = Follower(self, self._next)
        self._followers.add(follower)
        return follower

    def families(self) -> Iterator[Family]:
        """For /metrics."""
        yield gauge("serinus_server_tap_followers", "Who follows the tap.", len(self._followers))
        yield counter("serinus_server_tap_offered", "Records put on the tap.", self.offered)
        yield counter("serinus_server_tap_dropped", "Records that a follower was too slow for.", self.dropped)

    def record(self, number: int) -> _Record | None:
        """The record of this number; None if it is not there yet, or no more."""
        return self._ring.get(number)

    @property
    def oldest(self) -> int:
        """The number of the oldest record, or of the next one if there is none."""
        return self._next - len(self._ring)

    def leave(self, follower: "Follower") -> None:
        """It follows no more; after the last one nothing is kept."""
        self._followers.discard(follower)
        if not self._followers:
            self._ring.clear()
            self._size = 0

    def _offer(self, request_id: str, inputs: Any, outputs: Any) -> None:
        self._due += self._share
        if self._due < 1:
            return
        self._due -= 1
        self.offered += 1
        size = tap_wire.size(inputs) + tap_wire.size(outputs)
        if size > self._largest:
            self.dropped += len(self._followers)
            return
        self._ring[self._next] = _Record(request_id, self._clock(), inputs, outputs, size)
        self._next += 1
        self._size += size
        while len(self._ring) > self._most or self._size > self._largest:
            self._size -= self._ring.pop(self.oldest).size
        for follower in self._followers:
            follower.wake()


class Follower(AsyncIterator[bytes]):
    """The lines of one follower, without end until it is closed."""

    def __init__(self, tap: Tap, first: int) -> None:
        self._tap = tap
        self._at = first
        self._news = asyncio.Event()
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        # Others, who answer requests, have their turn between any two records.
        await asyncio.sleep(0)
        while not self._closed:
            if (lost := self._tap.oldest - self._at) > 0:
                return self._lost(lost)
            if (record := self._tap.record(self._at)) is not None:
                self._at += 1
                return self._line(record)
            if not await self._more():
                return b"\n"
        raise StopAsyncIteration

    def wake(self) -> None:
        """There is a new record."""
        self._news.set()

    def close(self) -> None:
        """Nothing more is wanted; may be called again."""
        self._closed = True
        self._tap.leave(self)
        self._news.set()

    async def _more(self) -> bool:
        """Whether there was news before the silence became too long."""
        self._news.clear()
        try:
            async with asyncio.timeout(self._tap.silence):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    def _lost(self, count: int) -> bytes:
        self._at += count
        self._tap.dropped += count
        return tap_wire.note(lost=count)

    def _line(self, record: _Record) -> bytes:
        head = {"request_id": record.request_id, "time": record.time, **self._tap.head}
        try:
            return tap_wire.line(head, record.inputs, record.outputs)
        except Exception:  # noqa: BLE001 (text that is no Unicode, a frame that cannot be read: the stream goes on)
            self._tap.dropped += 1
            return tap_wire.note(lost=1)
