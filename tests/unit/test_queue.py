"""The work queue: each key once, never two workers at one key, and no key forgotten."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.runtime.queue import Backoff, WorkQueue
from tests import virtual_time
from tests.unit.fakes import seeded

BACKOFF = Backoff(first=1.0, most=60.0)
SOON = 0.001


def story(test: Callable[[WorkQueue[str]], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """The test, given a queue and run in virtual time."""

    @wraps(test)
    def run() -> None:
        virtual_time.run(test(WorkQueue(BACKOFF, seeded())))

    # pytest would take the parameter for a fixture.
    del run.__wrapped__
    return run


def now() -> float:
    return asyncio.get_running_loop().time()


async def nothing_is_due(queue: WorkQueue[str], within: float = SOON) -> bool:
    try:
        await asyncio.wait_for(queue.take(), within)
    except TimeoutError:
        return True
    return False


@story
async def test_what_is_added_first_is_taken_first(queue: WorkQueue[str]) -> None:
    for key in "bca":
        queue.add(key)
    assert [await queue.take() for _ in range(3)] == ["b", "c", "a"]


@story
async def test_a_key_that_waits_is_not_added_again_and_keeps_its_place(queue: WorkQueue[str]) -> None:
    for key in "aba":
        queue.add(key)
    assert queue.depth == 2
    assert [await queue.take(), await queue.take()] == ["a", "b"]
    assert await nothing_is_due(queue)


@story
async def test_a_key_that_is_added_while_it_is_worked_on_comes_again_once(queue: WorkQueue[str]) -> None:
    queue.add("a")
    key = await queue.take()
    queue.add("a")
    queue.add("a")
    assert await nothing_is_due(queue), "two workers would be at one key"
    queue.done(key)
    assert await queue.take() == "a"
    queue.done("a")
    assert await nothing_is_due(queue)


@story
async def test_a_timer_that_rings_while_the_key_is_worked_on_makes_it_come_again(queue: WorkQueue[str]) -> None:
    queue.add("a")
    await queue.take()
    queue.add_after("a", 1)
    await asyncio.sleep(2)
    assert queue.depth == 0
    queue.done("a")
    assert queue.depth == 1


@pytest.mark.parametrize(("first", "second"), [(5.0, 9.0), (9.0, 5.0), (5.0, 5.0)])
def test_of_two_timers_the_earlier_one_counts(first: float, second: float) -> None:
    async def run() -> None:
        queue: WorkQueue[str] = WorkQueue(BACKOFF, seeded())
        queue.add_after("a", first)
        queue.add_after("a", second)
        await queue.take()
        assert now() == 5
        queue.done("a")
        assert await nothing_is_due(queue, 100)

    virtual_time.run(run())


@story
async def test_taking_a_key_clears_its_timer(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 5)
    queue.add("a")
    queue.done(await queue.take())
    assert await nothing_is_due(queue, 100)


@story
async def test_a_timer_of_the_past_rings_at_once(queue: WorkQueue[str]) -> None:
    queue.add_after("a", -3)
    assert await queue.take() == "a"
    assert now() == 0


@story
async def test_a_key_that_fails_is_due_later_each_time_until_it_succeeds(queue: WorkQueue[str]) -> None:
    delays = [queue.retry("a") for _ in range(9)]
    for failures, delay in enumerate(delays):
        whole = min(2.0**failures, 60)
        assert whole / 2 <= delay <= whole
    queue.succeeded("a")
    assert queue.retry("a") <= 1


@story
async def test_failures_of_one_key_do_not_delay_another(queue: WorkQueue[str]) -> None:
    for _ in range(5):
        queue.retry("a")
    assert queue.retry("b") <= 1


@story
async def test_a_server_that_says_when_to_come_again_is_heard(queue: WorkQueue[str]) -> None:
    assert queue.retry("a", at_least=7) == 7
    await queue.take()
    assert now() == 7


@given(st.integers(1, 10_000), st.integers())
def test_a_backoff_keeps_its_bounds_however_often_it_fails(failures: int, seed: int) -> None:
    assert 0.5 * min(2.0 ** min(failures - 1, 10), 60) <= BACKOFF.delay(failures, seeded(seed)) <= 60


@story
async def test_a_taker_that_waits_gets_the_next_key(queue: WorkQueue[str]) -> None:
    taker = asyncio.create_task(queue.take())
    await asyncio.sleep(1)
    queue.add("a")
    assert await taker == "a"


@story
async def test_a_taker_that_is_cancelled_passes_its_wake_up_on(queue: WorkQueue[str]) -> None:
    leaving, staying = asyncio.create_task(queue.take()), asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.add("a")
    leaving.cancel()
    assert await asyncio.wait_for(staying, SOON) == "a"


@story
async def test_a_taker_that_left_earlier_is_passed_over(queue: WorkQueue[str]) -> None:
    leaving, staying = asyncio.create_task(queue.take()), asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    queue.add("a")
    assert await asyncio.wait_for(staying, SOON) == "a"


@story
async def test_it_is_known_how_long_the_first_key_waits_and_the_slowest_worker_works(queue: WorkQueue[str]) -> None:
    assert (queue.oldest_wait, queue.longest_work, queue.depth) == (0, 0, 0)
    queue.add("a")
    await asyncio.sleep(3)
    queue.add("b")
    assert (queue.oldest_wait, queue.depth) == (3, 2)
    await queue.take()
    await asyncio.sleep(2)
    assert (queue.oldest_wait, queue.longest_work) == (2, 2)
    queue.done("a")
    assert queue.longest_work == 0


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["add", "later", "retry", "wait"]), st.sampled_from("abc"), st.floats(0, 5)), max_size=30
)


@given(OPERATIONS, st.integers(1, 3))
def test_whatever_is_added_is_worked_on_afterwards_and_never_by_two(
    operations: list[tuple[str, str, float]], workers: int
) -> None:
    virtual_time.run(busy(operations, workers))


async def busy(operations: list[tuple[str, str, float]], workers: int) -> None:
    queue: WorkQueue[str] = WorkQueue(BACKOFF, seeded())
    added: dict[str, float] = {}
    started: dict[str, float] = {}
    at_work: set[str] = set()

    async def work() -> None:
        while True:
            key = await queue.take()
            assert key not in at_work
            at_work.add(key)
            started[key] = now()
            await asyncio.sleep(0.7)
            at_work.discard(key)
            queue.done(key)

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(work()) for _ in range(workers)]
        for what, key, seconds in operations:
            match what:
                case "add":
                    queue.add(key)
                case "later":
                    queue.add_after(key, seconds)
                case "retry":
                    queue.retry(key)
                case _:
                    await asyncio.sleep(seconds)
            if what == "add":
                added[key] = now()
        await asyncio.sleep(1000)
        assert queue.depth == 0
        assert all(started[key] >= time for key, time in added.items())
        for one in running:
            one.cancel()
