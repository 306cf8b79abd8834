"""An event loop whose time jumps to the next timer as soon as nothing is left to do: hours pass in milliseconds.

It knows no files and waits for no threads: whatever is awaited must come about through timers or through other tasks.
The order of everything is that of the calls, so a run repeats exactly; only what iterates over sets does not: the
tasks of a TaskGroup are cancelled in no particular order, and asyncio.wait answers with sets.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class DeadlockError(Exception):
    """Every task waits for something that no timer will bring about."""


class _Selector(selectors.SelectSelector):
    """No file is ever ready; waiting is what moves the time."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise DeadlockError(f"after {self.now} s no task can go on, and no timer is set")
        self.now += max(timeout, 0.0)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The loop; its time begins at 0.0."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """The virtual time, in seconds."""
        return self._virtual.now


def run[T](coroutine: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns, run to its end in virtual time; the tasks that it leaves behind are cancelled."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)
