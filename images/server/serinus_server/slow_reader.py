"""Where requests are read that take long to read: in a thread of their own, while all others are answered.

One at a time: MLflow's and pandas' readings of a request take many times its size, and that must not add up.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, Final

from serinus_server.problems import RequestProblem

_FULL: Final = "{0} requests wait to be read already; try again in a second"
_LATE: Final = "the request was not read within {0:g} s; send fewer rows, or ask for a longer request timeout"

type Work = tuple[Callable[[], Any], Callable[[], bool], asyncio.Future[Any], float]


class SlowReader:
    """A queue before one thread. For the event loop's thread."""

    def __init__(self, most: int, timeout: float) -> None:
        self._most = most
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._orders: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.waiting = 0

    def read(self, work: Callable[[], Any], is_gone: Callable[[], bool] = lambda: False) -> asyncio.Future[Any]:
        """What `work` returns or raises, and a RequestProblem if there is no time or no room; None for who has gone."""
        if self.waiting >= self._most:
            raise RequestProblem(429, _FULL.format(self.waiting), retry_after=1.0)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="slow requests", daemon=True)
            self._thread.start()
        future = self._loop.create_future()
        self.waiting += 1
        self._orders.put((work, is_gone, future, self._loop.time() + self._timeout))
        return future

    def _work(self) -> None:
        while True:
            work, is_gone, future, until = self._orders.get()
            found, error = self._done(work, is_gone, until)
            self._loop.call_soon_threadsafe(self._finish, future, found, error)
            # Nothing of it is kept until the next one comes.
            del work, is_gone, future, found, error

    def _done(self, work: Callable[[], Any], is_gone: Callable[[], bool], until: float) -> tuple[Any, Exception | None]:
        if self._loop.time() > until:
            return None, RequestProblem(504, _LATE.format(self._timeout))
        try:
            return (None if is_gone() else work()), None
        except Exception as error:  # noqa: BLE001 (it is told to who asked)
            return None, error

    def _finish(self, future: asyncio.Future[Any], found: Any, error: Exception | None) -> None:
        self.waiting -= 1
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(found)
