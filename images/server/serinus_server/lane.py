"""Where predictions run: on the event loop while they are quick, and in a thread of their own while they are not.

A thread costs two switches of threads for each batch, which is more than a quick model takes. A slow one on the loop
would keep everybody waiting: probes, those who are turned away, and what arrives for the next batch.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final

# Below this a prediction is quick.
QUICK: Final = 0.001
# So many must have been quick before the loop is trusted with them; one that is not starts the count again.
TRUSTED_AFTER: Final = 20

type Done = Callable[[Any, BaseException | None, float], None]


class Lane:
    """One prediction at a time. `done` is called on the loop: with the outputs, or the error, and the seconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._orders: queue.SimpleQueue[tuple[Callable[[], Any], Done]] = queue.SimpleQueue()
        self._quick = 0
        self._thread: threading.Thread | None = None
        # When the prediction that runs in the thread began; 0 while none does.
        self.since = 0.0

    @property
    def is_inline(self) -> bool:
        """Whether the next prediction runs on the loop."""
        return self._quick >= TRUSTED_AFTER

    def run(self, work: Callable[[], Any], done: Done) -> None:
        """Do it; while it runs in the thread, nothing else is to be run."""
        if self.is_inline:
            outputs, error, seconds = _timed(work)
            self._learn(seconds)
            done(outputs, error, seconds)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="predictions", daemon=True)
            self._thread.start()
        self.since = self._loop.time()
        self._orders.put((work, done))

    def _work(self) -> None:
        while True:
            work, done = self._orders.get()
            outputs, error, seconds = _timed(work)
            self._loop.call_soon_threadsafe(self._finish, done, outputs, error, seconds)

    def _finish(self, done: Done, outputs: Any, error: BaseException | None, seconds: float) -> None:
        self.since = 0.0
        self._learn(seconds)
        done(outputs, error, seconds)

    def _learn(self, seconds: float) -> None:
        self._quick = self._quick + 1 if seconds < QUICK else 0


def _timed(work: Callable[[], Any]) -> tuple[Any, BaseException | None, float]:
    began = time.perf_counter()
    try:
        outputs = work()
    except BaseException as error:  # noqa: BLE001 (a model may raise anything, and it is told to who asked)
        return None, error, time.perf_counter() - began
    return outputs, None, time.perf_counter() - began
