"""The tap: nothing without followers, nothing lost by a quick one, and a slow one that holds nobody up."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from serinus_server import tap_wire
from serinus_server.exposition import expose
from serinus_server.problems import RequestProblem
from serinus_server.tap import FOLLOWERS, Follower, Tap
from serinus_server.values import Opaque, Table

type Anything = Any

MODEL = {"name": "churn", "version": "7", "revision": "abc"}
TABLE = Table(("a", "b"), 1, np.array([[1.5, math.nan]]))


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await story()

    asyncio.run(bounded())


async def read(follower: Follower) -> Anything:
    return orjson.loads(await anext(follower))


def test_without_a_follower_nothing_is_kept() -> None:
    tap = Tap(MODEL)
    tap.offer("1", TABLE, np.array([1]))
    assert tap.record(0) is None
    assert tap.offered == 0


def test_a_follower_reads_what_is_asked_and_answered() -> None:
    async def story() -> None:
        tap = Tap(MODEL, clock=lambda: 12.5)
        follower = tap.follow()
        tap.offer("id", TABLE, np.array([1]))
        told = await read(follower)
        assert {**MODEL, "model": "churn"}.items() >= {"model": told["model"], "version": told["version"]}.items()
        assert (told["request_id"], told["time"], told["revision"]) == ("id", 12.5, "abc")
        assert told["inputs"]["columns"][0] == {"name": "a", "dtype": "<f8", "shape": [1], "data": [1.5]}
        assert told["inputs"]["columns"][1]["data"] == [None]
        assert told["outputs"] == {"kind": "array", "dtype": "<i8", "shape": [1], "data": [1]}

    run(story)


def test_a_follower_waits_for_what_comes() -> None:
    async def story() -> None:
        tap = Tap(MODEL)
        follower = tap.follow()
        waiting = asyncio.create_task(read(follower))
        await asyncio.sleep(0.01)
        tap.offer("later", TABLE, np.array([1]))
        assert (await waiting)["request_id"] == "later"

    run(story)


def test_a_slow_follower_loses_records_and_is_told_how_many() -> None:
    async def story() -> None:
        tap = Tap(MODEL, records=10)
        slow, quick = tap.follow(), tap.follow()
        for at in range(25):
            tap.offer(str(at), TABLE, np.array([1]))
            assert (await read(quick))["request_id"] == str(at)
        assert await read(slow) == {"lost": 15}
        assert [(await read(slow))["request_id"] for _ in range(10)] == [str(at) for at in range(15, 25)]
        assert tap.dropped == 15

    run(story)


def test_memory_is_bounded_by_size_as_well() -> None:
    async def story() -> None:
        tap = Tap(MODEL, size=1000)
        follower = tap.follow()
        for at in range(5):
            tap.offer(str(at), np.zeros(50), np.zeros(1))
        tap.offer("large", np.zeros(5000), np.zeros(1))
        assert await read(follower) == {"lost": 3}
        assert (await read(follower))["request_id"] == "3"
        assert tap.dropped == 4

    run(story)


def test_there_are_so_many_followers_and_no_more() -> None:
    tap = Tap(MODEL)
    followers = [tap.follow() for _ in range(FOLLOWERS)]
    with pytest.raises(RequestProblem, match="4 others follow") as refused:
        tap.follow()
    assert refused.value.status == 429
    followers[0].close()
    followers[0].close()
    tap.follow()


def test_the_last_one_to_leave_takes_the_ring_along() -> None:
    async def story() -> None:
        tap = Tap(MODEL)
        follower = tap.follow()
        tap.offer("1", TABLE, np.array([1]))
        follower.close()
        assert tap.record(0) is None
        assert [line async for line in follower] == []
        again = tap.follow()
        tap.offer("2", TABLE, np.array([1]))
        assert (await read(again))["request_id"] == "2"

    run(story)


def test_a_follower_that_is_closed_while_it_waits_ends() -> None:
    async def story() -> None:
        tap = Tap(MODEL)
        follower = tap.follow()
        waiting = asyncio.create_task(anext(follower, b"the end"))
        await asyncio.sleep(0.01)
        follower.close()
        assert await waiting == b"the end"

    run(story)


def test_silence_is_broken_by_an_empty_line() -> None:
    async def story() -> None:
        tap = Tap(MODEL)
        tap.silence = 0.01
        assert await anext(tap.follow()) == b"\n"

    run(story)


def test_what_cannot_be_written_is_lost_and_the_stream_goes_on() -> None:
    async def story() -> None:
        tap = Tap(MODEL)
        follower = tap.follow()
        tap.offer("1", np.array(["\ud800", 2**70], object), np.array([1]))
        tap.offer("2", TABLE, np.array([1]))
        assert await read(follower) == {"lost": 1}
        assert (await read(follower))["request_id"] == "2"

    run(story)


def test_a_share_is_a_share() -> None:
    tap = Tap(MODEL, share=0.1)
    tap.follow()
    for at in range(1000):
        tap.offer(str(at), TABLE, np.array([1]))
    assert tap.offered in {99, 100}


def test_the_tap_is_in_the_metrics() -> None:
    tap = Tap(MODEL)
    tap.follow()
    assert b"serinus_server_tap_followers 1" in expose(tap.families())[0]


def back(value: Anything) -> Anything:
    return tap_wire.value(orjson.loads(tap_wire.line({}, value, None))["inputs"])


DTYPES = st.one_of(
    arrays.floating_dtypes(sizes=(16, 32, 64)),
    arrays.integer_dtypes(),
    arrays.unsigned_integer_dtypes(),
    arrays.boolean_dtypes(),
    arrays.datetime64_dtypes(),
    arrays.timedelta64_dtypes(),
)


@settings(deadline=None, max_examples=150)
@given(DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_side=0, max_dims=3))))
def test_an_array_comes_back_as_it_was(array: np.ndarray[Any, Any]) -> None:
    copy = back(array)
    assert copy.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(copy, array)


def test_a_table_comes_back_as_it_was() -> None:
    mixed = np.empty(2, object)
    mixed[:] = ["a", None]
    copy = back(Table(("s", "n"), 2, None, (mixed, np.array([1, 2], np.int32))))
    assert copy.names == ("s", "n")
    assert copy.arrays[0].tolist() == ["a", None]
    assert copy.arrays[1].dtype == np.int32
    again = back(Table(("a", "b"), 1, np.array([[1.5, math.inf]], np.float32)))
    np.testing.assert_array_equal(again.matrix, np.array([[1.5, math.inf]], np.float32))


def test_other_values_come_back_as_what_can_be_compared() -> None:
    assert back({"x": np.array([1])})["x"].tolist() == [1]
    assert back(pd.DataFrame({"a": ["x"], "b": [1.5]})).names == ("a", "b")
    assert back(pd.Series([1.5])).tolist() == [1.5]
    assert back(["a", "b"]).tolist() == ["a", "b"]
    assert back(np.array([b"\xff"], object)).tolist() == [b"\xff"]
    assert back(Opaque({})) is None
    assert back([[1], [2, 3]]) is None
