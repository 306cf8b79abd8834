"""What takes long to read is read elsewhere, one at a time, and only for those who still wait."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from serinus_server.problems import RequestProblem
from serinus_server.slow_reader import SlowReader


def play(story: Callable[[SlowReader], Awaitable[None]], most: int = 2, timeout: float = 5.0) -> None:
    """The story with a reader, on a loop."""

    async def run() -> None:
        await story(SlowReader(most, timeout))

    asyncio.run(run())


def test_what_is_read_comes_back_from_another_thread() -> None:
    async def story(reader: SlowReader) -> None:
        assert await reader.read(threading.get_ident) != threading.get_ident()
        assert reader.waiting == 0

    play(story)


def test_what_reading_raises_comes_back_too() -> None:
    async def story(reader: SlowReader) -> None:
        with pytest.raises(ZeroDivisionError):
            await reader.read(lambda: 1 / 0)
        assert await reader.read(lambda: 1) == 1

    play(story)


def test_who_has_gone_is_not_read_for() -> None:
    async def story(reader: SlowReader) -> None:
        seen: list[int] = []
        assert await reader.read(partial(seen.append, 1), lambda: True) is None
        assert seen == []

    play(story)


def test_a_queue_that_is_full_turns_others_away() -> None:
    async def story(reader: SlowReader) -> None:
        go_on = threading.Event()
        waiting = [reader.read(go_on.wait) for _ in range(2)]
        with pytest.raises(RequestProblem, match="2 requests wait to be read already") as raised:
            reader.read(go_on.wait)
        assert raised.value.status == 429
        go_on.set()
        assert await asyncio.gather(*waiting) == [True, True]

    play(story)


def test_who_has_waited_too_long_is_told_so() -> None:
    async def story(reader: SlowReader) -> None:
        go_on = threading.Event()
        first, second = reader.read(go_on.wait), reader.read(lambda: 1)
        await asyncio.sleep(0.05)
        go_on.set()
        assert await first
        with pytest.raises(RequestProblem, match=r"not read within 0\.02 s") as raised:
            await second
        assert raised.value.status == 504

    play(story, timeout=0.02)
