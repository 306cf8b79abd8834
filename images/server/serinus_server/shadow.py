"""Shadow mode: predicts what another revision is asked, and compares the answers. Nobody sees its own.

It follows the other's tap, which drops what we are too slow for; so the other is never held up, and what was lost is
counted.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from random import random
from typing import Any, Final

import orjson

from serinus_server import tap_client, tap_wire
from serinus_server.comparison import Comparison, compare
from serinus_server.exposition import Family, counter, gauge, labels
from serinus_server.histogram import FINE_SECONDS, Histogram
from serinus_server.tap_client import TapError
from serinus_server.values import Call, Table, Value, key_of

type Predict = Callable[[Call], Awaitable[Any]]

# What is predicted at a time: enough that batches form.
AT_ONCE: Final = 32
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0

# Differences of numbers: powers of ten, and their thirds.
DIFFERENCES: Final = tuple(float(f"{step}e{power}") for power in range(-9, 7) for step in (1, 3))


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Numbers agree that differ by no more than this, in all or in relation to the other's."""

    absolute: float = 1e-9
    relative: float = 1e-6


class Shadow:
    """What follows one tap. `predict` answers one call, and is asked so many at a time as `at_once` says."""

    def __init__(
        self,
        url: str,
        predict: Predict,
        *,
        tolerance: Tolerance | None = None,
        at_once: int = AT_ONCE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.url = url
        self.trouble = ""
        self._predict = predict
        self._tolerance = tolerance or Tolerance()
        self._turn = asyncio.Semaphore(at_once)
        self._clock = clock
        self._pause = FIRST_PAUSE
        self._connected = False
        self._connections = 0
        self._counts = dict.fromkeys(("compared", "error", "incomparable", "unreadable", "lost"), 0)
        self._rows = {True: 0, False: 0}
        self._difference = Histogram(DIFFERENCES)
        self._seconds = Histogram(FINE_SECONDS)
        self._lag = 0.0

    async def run(self) -> None:
        """Follow until cancelled: a tap that ends or cannot be had is tried again, after a pause that grows."""
        while True:
            self.trouble = await self._follow()
            self._connected = False
            # Not all shadows at the same moment, when what they follow has restarted.
            await asyncio.sleep(self._pause * (0.5 + random() / 2))  # noqa: S311 (no secret)
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def families(self) -> Iterator[Family]:
        """For /metrics."""
        yield gauge("serinus_server_shadow_connected", "Whether the tap is being read: 1 or 0.", int(self._connected))
        yield counter("serinus_server_shadow_connections", "Times that the tap was reached.", self._connections)
        yield counter(
            "serinus_server_shadow_records",
            "Records of the tap, by what became of them; lost are those that the tap dropped.",
            {labels(result=name): count for name, count in self._counts.items()},
        )
        yield counter(
            "serinus_server_shadow_rows",
            "Rows compared: whether both said the same, numbers within the tolerance.",
            {labels(agree=str(agree).lower()): count for agree, count in self._rows.items()},
        )
        for name, meaning, histogram in (
            ("difference", "By how much the numbers of a row differ at most.", self._difference),
            ("prediction_seconds", "How long a record took, with its wait for a batch.", self._seconds),
        ):
            yield Family(f"serinus_server_shadow_{name}", "histogram", meaning, histogram.lines())
        yield gauge("serinus_server_shadow_lag_seconds", "How old the newest record was when it was read.", self._lag)

    async def _follow(self) -> str:
        """Why the stream has ended, with all that was read of it predicted."""
        async with asyncio.TaskGroup() as tasks, aclosing(tap_client.lines(self.url)) as lines:
            try:
                async for line in lines:
                    self._reached()
                    record = self._read(line)
                    if record is not None:
                        # While all turns are taken nothing is read, and the tap is what drops.
                        await self._turn.acquire()
                        tasks.create_task(self._shadowed(*record))
            except TapError as error:
                return str(error)
        return f"{self.url} ended the stream"

    def _reached(self) -> None:
        if not self._connected:
            self._connected, self._pause, self.trouble = True, FIRST_PAUSE, ""
            self._connections += 1

    def _read(self, line: bytes) -> tuple[Call, Value] | None:
        """The call and what the other answered; None if there is nothing in the line to predict."""
        try:
            record = orjson.loads(line)
            if "lost" in record:
                self._counts["lost"] += int(record["lost"])
                return None
            self._lag = self._clock() - float(record["time"])
            inputs, outputs = tap_wire.value(record["inputs"]), tap_wire.value(record["outputs"])
        except Exception:  # noqa: BLE001 (nothing that another server sends may end the shadow)
            self._counts["unreadable"] += 1
            return None
        if inputs is None or outputs is None:
            self._counts["incomparable"] += 1
            return None
        return Call(inputs, _rows(inputs), key=key_of(inputs), request_id=str(record["request_id"])), outputs

    async def _shadowed(self, call: Call, theirs: Value) -> None:
        started = time.perf_counter()
        try:
            ours = await self._predict(call)
            took = time.perf_counter() - started
            comparison = compare(theirs, ours, self._tolerance.absolute, self._tolerance.relative)
        except Exception:  # noqa: BLE001 (whatever a model raises is what is counted here)
            self._counts["error"] += 1
            return
        finally:
            self._turn.release()
        self._seconds.add(took)
        self._count(comparison)

    def _count(self, comparison: Comparison | None) -> None:
        if comparison is None:
            self._counts["incomparable"] += 1
            return
        self._counts["compared"] += 1
        self._rows[True] += comparison.agreed
        self._rows[False] += comparison.rows - comparison.agreed
        for difference in comparison.differences:
            self._difference.add(difference)


def _rows(inputs: Value) -> int:
    if isinstance(inputs, Table):
        return inputs.rows
    if isinstance(inputs, dict):
        return len(next(iter(inputs.values()), ()))
    return len(inputs)  # type: ignore[arg-type]  # what comes from the tap is never opaque
