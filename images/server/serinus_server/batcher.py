"""Requests that come while a prediction runs are predicted together next. Nobody waits for others to come.

Only what fits together is joined: the same columns of the same types, and the same params. A batch that fails is
predicted again one request at a time, so that who sent what the model cannot take fails alone.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from serinus_server import values
from serinus_server.lane import Lane
from serinus_server.problems import RequestProblem
from serinus_server.values import Call, Value

# A model that does not answer row by row is asked for one request at a time from then on.
_DISTRUST: Final = 3
_FULL: Final = "{0} requests are waiting already; try again in {1:g} s"
_LATE: Final = "no prediction within {0:g} s; send fewer rows, or ask for a longer request timeout"


class Predictor(Protocol):
    """A model that is loaded."""

    @property
    def joins(self) -> bool:
        """Whether rows of several requests are known to come out the same when they are predicted together."""

    def predict(self, value: Value, params: dict[str, Any] | None) -> Any:
        """The outputs, as `mlflow.pyfunc` would return them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of batches and of what waits for them."""

    rows: int = 64
    delay: float = 0.0
    waiting: int = 1024
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Batch:
    """What was predicted, for those who count."""

    calls: tuple[Call, ...]
    value: Value
    outputs: Any
    error: BaseException | None
    rows: int
    waited: float
    took: float


class Waiting:
    """A call on its way; `done` is called once, with its outputs or with what went wrong."""

    __slots__ = ("call", "done", "is_gone", "since")

    def __init__(self, call: Call, done: "Done", is_gone: Callable[[], bool] | None, since: float) -> None:
        self.call = call
        self.done: Done | None = done
        self.is_gone = is_gone
        self.since = since


type Done = Callable[[Any, BaseException | None], None]


class Batcher:
    """A queue before one lane."""

    def __init__(
        self, predictor: Predictor, limits: Limits, watch: Callable[[Batch], None], *, joins: bool = True
    ) -> None:
        self._predictor = predictor
        self._joins = joins
        self.limits = limits
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self.lane = Lane(self._loop)
        # By what may be joined, in the order in which the first of each came.
        self._lines: dict[Hashable, deque[Waiting]] = {}
        self.waiting = 0
        self._is_busy = False
        self._is_called = False
        # In the order in which they came, for those whose time is over.
        self._all: deque[Waiting] = deque()
        self._retry_after = 1.0
        # How often joined rows came back as something else than rows.
        self._unsplit = 0
        self.late = 0
        self.deserted = 0
        self._loop.call_later(0.05, self._expire)

    def submit(self, call: Call, done: Done, is_gone: Callable[[], bool] | None = None) -> None:
        """Have it predicted; raises a RequestProblem if too many wait already."""
        if self.waiting >= self.limits.waiting:
            seconds = max(1.0, round(self._retry_after, 1))
            raise RequestProblem(429, _FULL.format(self.waiting, seconds), retry_after=seconds)
        one = Waiting(call, done, is_gone, self._loop.time())
        key = call.key if self._joins and self._unsplit < _DISTRUST else None
        line = self._lines.get(key) if key is not None else None
        if line is None:
            self._lines[one if key is None else key] = line = deque()
        line.append(one)
        self._all.append(one)
        self.waiting += 1
        if not self._is_busy and not self._is_called:
            self._is_called = True
            if self.limits.delay:
                self._loop.call_later(self.limits.delay, self._begin)
            else:
                # After all that has arrived by now was read.
                self._loop.call_soon(self._begin)

    async def predict(self, call: Call) -> Any:
        """The outputs; for those who are coroutines."""
        future: asyncio.Future[Any] = self._loop.create_future()

        def done(outputs: Any, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(outputs)

        self.submit(call, done, future.cancelled)
        return await future

    # --- batches

    def _begin(self) -> None:
        """The next batch, if there is one."""
        self._is_called = False
        if self._is_busy:
            return
        batch = self._take()
        if batch:
            self._is_busy = True
            self._run(batch)

    def _take(self) -> list[Waiting]:
        """Those who have waited longest, and whoever fits to them; nobody who has gone."""
        while self._lines:
            key = next(iter(self._lines))
            line = self._lines.pop(key)
            batch: list[Waiting] = []
            rows = 0
            while line and (not batch or rows + line[0].call.rows <= self.limits.rows):
                one = line.popleft()
                self.waiting -= 1
                if one.done is not None and not self._has_gone(one):
                    batch.append(one)
                    rows += one.call.rows
            if line:
                self._lines[key] = line
            if batch:
                return batch
        return []

    def _has_gone(self, one: Waiting) -> bool:
        if one.is_gone is None or not one.is_gone():
            return False
        one.done = None
        self.deserted += 1
        return True

    def _run(self, batch: list[Waiting]) -> None:
        """Predict them together; joining them is work of the lane too."""
        began = self._loop.time()
        calls = [one.call for one in batch]
        params = calls[0].params
        joined: list[Value] = []

        def work() -> Any:
            joined.append(values.join([one.value for one in calls]))
            return self._predictor.predict(joined[0], params)

        def done(outputs: Any, error: BaseException | None, seconds: float) -> None:
            self._retry_after = 0.9 * self._retry_after + 0.1 * seconds * self.waiting
            rows = sum(one.rows for one in calls)
            told = Batch(tuple(calls), joined[0] if joined else calls[0].value, outputs, error, rows,
                         began - batch[0].since, seconds)  # fmt: skip
            self._finish(batch, told)

        self.lane.run(work, done)

    def _finish(self, batch: list[Waiting], told: Batch) -> None:
        """Give everyone their part; or, if it failed, predict each by itself."""
        parts = [told.outputs] if len(batch) == 1 else None
        if told.error is None and parts is None:
            parts = values.split(told.outputs, [one.call.rows for one in batch])
        if parts is None and len(batch) > 1:
            self._unsplit += told.error is None
            self._alone(deque(batch))
            return
        self._watch(told)
        for number, one in enumerate(batch):
            self._tell(one, None if told.error else parts[number] if parts else None, told.error)
        self._go_on()

    def _alone(self, batch: deque[Waiting]) -> None:
        """One after the other, each its own batch."""
        self._lines = {**{one: deque([one]) for one in batch}, **self._lines}
        self.waiting += len(batch)
        self._go_on()

    def _go_on(self) -> None:
        self._is_busy = False
        if self._lines and not self._is_called:
            self._is_called = True
            self._loop.call_soon(self._begin)

    @staticmethod
    def _tell(one: Waiting, outputs: Any, error: BaseException | None) -> None:
        done, one.done = one.done, None
        if done is not None:
            done(outputs, error)

    def _expire(self) -> None:
        """Tell those whose time is over; the prediction that they are in goes on without them."""
        now = self._loop.time()
        line = self._all
        while line and (line[0].done is None or line[0].since + self.limits.timeout <= now):
            one = line.popleft()
            if one.done is not None:
                self.late += 1
                self._tell(one, None, RequestProblem(504, _LATE.format(self.limits.timeout)))
        self._loop.call_later(0.05, self._expire)
