"""Shadow mode against a tap behind a real socket: agreement, errors, what was lost, and servers that misbehave."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families as plain

from serinus_server import shadow as shadows
from serinus_server import tap_client
from serinus_server.comparison import compare
from serinus_server.exposition import expose
from serinus_server.shadow import Shadow
from serinus_server.tap import Follower, Tap
from serinus_server.values import Call, Table

type Anything = Any

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\n\r\n"


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await story()

    asyncio.run(bounded())


@asynccontextmanager
async def server(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that answers every request in this way, once its head is read."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            await answer(writer)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/tap"


@asynccontextmanager
async def following(url: str, predict: shadows.Predict, **more: Anything) -> AsyncIterator[Shadow]:
    shadow = Shadow(url, predict, **more)
    task = asyncio.create_task(shadow.run())
    try:
        yield shadow
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def tapped(tap: Tap, followers: list[Follower]) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def answer(writer: asyncio.StreamWriter) -> None:
        follower = tap.follow()
        followers.append(follower)
        writer.write(HEAD)
        async for line in follower:
            writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    return answer


def sends(*pieces: bytes) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def answer(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)

    return answer


def shown(shadow: Shadow) -> dict[str, float]:
    text = expose(shadow.families())[0].decode()
    return {
        " ".join([one.name.removeprefix("serinus_server_shadow_"), *one.labels.values()]): one.value
        for family in plain(text)
        for one in family.samples
    }


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 (what is waited for are counters)
        await asyncio.sleep(0.005)


async def total(call: Call) -> Anything:
    table = call.value
    assert isinstance(table, Table)
    assert table.matrix is not None
    return table.matrix.sum(axis=1)


def row(*values: float) -> Table:
    return Table(tuple("abcd"[: len(values)]), 1, np.array([values]))


def test_it_predicts_what_the_other_was_asked_and_compares() -> None:
    async def story() -> None:
        tap, followers = Tap({"name": "churn", "version": "7"}), list[Follower]()
        async with server(tapped(tap, followers)) as url, following(url, total) as shadow:
            await until(lambda: bool(followers))
            for at in range(100):
                # Each tenth answer of the other is one off.
                tap.offer(str(at), row(at, 1), np.array([at + 1.0 + (at % 10 == 0)]))
            await until(lambda: shown(shadow)["records_total compared"] == 100)
            figures = shown(shadow)
            assert (figures["rows_total true"], figures["rows_total false"]) == (90, 10)
            assert figures["difference_bucket 1e-09"] == 90
            assert figures["difference_bucket 1.0"] == 100
            assert figures["prediction_seconds_count"] == 100
            assert (figures["connected"], figures["connections_total"]) == (1, 1)
            assert 0 <= figures["lag_seconds"] < 10
            for one in followers:
                one.close()

    run(story)


def test_a_model_that_fails_and_outputs_that_cannot_be_compared_are_counted() -> None:
    async def predict(call: Call) -> Anything:
        if call.request_id == "bad":
            raise ValueError("no")
        return {"odd": object()}

    async def story() -> None:
        tap, followers = Tap(), list[Follower]()
        async with server(tapped(tap, followers)) as url, following(url, predict) as shadow:
            await until(lambda: bool(followers))
            tap.offer("bad", row(1), np.array([1.0]))
            tap.offer("odd", row(1), np.array([1.0]))
            tap.offer("other", row(1), object())
            await until(lambda: shown(shadow)["records_total incomparable"] == 2)
            assert shown(shadow)["records_total error"] == 1
            followers[0].close()

    run(story)


def test_a_slow_shadow_loses_records_and_holds_nobody_up() -> None:
    async def slow(call: Call) -> Anything:
        await asyncio.sleep(0.02)
        return await total(call)

    async def story() -> None:
        tap, followers = Tap(records=5), list[Follower]()
        async with server(tapped(tap, followers)) as url, following(url, slow, at_once=1) as shadow:
            await until(lambda: bool(followers))
            for at in range(500):
                tap.offer(str(at), Table(("a",), 2000, np.ones((2000, 1))), np.ones(2000))
                await asyncio.sleep(0)
            await until(lambda: shown(shadow)["records_total lost"] > 0)
            assert tap.dropped > 0
            followers[0].close()

    run(story)


def test_it_comes_back_after_the_other_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadows, "FIRST_PAUSE", 0.01)
    line = b'{"lost": 1}\n'

    async def story() -> None:
        async with server(sends(PLAIN, line[:5], line[5:])) as url, following(url, total) as shadow:
            await until(lambda: shown(shadow)["records_total lost"] >= 3)
            assert shown(shadow)["connections_total"] >= 3

    run(story)


@pytest.mark.parametrize(
    ("pieces", "trouble"),
    [
        ([b"HTTP/1.1 429 Too Many Requests\r\n\r\n"], "answered 429 Too Many Requests"),
        ([b"garbage\r\n\r\n"], "answered with no HTTP"),
        ([], "answered with no HTTP"),
        ([HEAD, b"zz\r\n"], "invalid literal"),
        ([HEAD, b"-5\r\n"], "longer than"),
        ([HEAD, b"fffffffffff\r\n"], "longer than"),
        ([HEAD, b"10\r\nabc"], "bytes read on a total of"),
        ([HEAD, b"0\r\n\r\n"], "ended the stream"),
        ([b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 3 + b"Z: " + b"z" * 200_000], "exceed the limit"),
    ],
)
def test_a_tap_that_cannot_be_read_is_told_in_words(pieces: Sequence[bytes], trouble: str) -> None:
    async def story() -> None:
        async with server(sends(*pieces)) as url, following(url, total) as shadow:
            await until(lambda: bool(shadow.trouble))
            assert trouble in shadow.trouble
            assert url in shadow.trouble

    run(story)


@pytest.mark.parametrize("url", ["ftp://a/tap", "http:///tap", "http://127.0.0.1:1/tap", "http://h:99999/"])
def test_an_address_that_leads_nowhere_is_told_in_words(url: str) -> None:
    async def story() -> None:
        async with following(url, total) as shadow:
            await until(lambda: bool(shadow.trouble))
            assert shadow.trouble.startswith(url)

    run(story)


@pytest.mark.parametrize(
    "line",
    [b"[]", b"{", b"{}", b'{"lost": []}', b'{"time": 1, "inputs": {"kind": "array", "dtype": "x"}}', b"\xff", b"3"],
)
def test_a_line_that_is_none_is_counted_and_the_next_one_read(line: bytes) -> None:
    async def story() -> None:
        async with server(sends(PLAIN, line + b'\n\n{"lost": 1}\n')) as url, following(url, total) as shadow:
            await until(lambda: shown(shadow)["records_total lost"] == 1)
            assert shown(shadow)["records_total unreadable"] == 1

    run(story)


def test_lines_are_the_same_however_they_are_cut() -> None:
    body = b'{"a": 1}\n\n{"b": 2}\n{"c'

    async def story() -> None:
        for size in range(1, len(body) + 1):
            pieces = [body[at : at + size] for at in range(0, len(body), size)]
            async with server(sends(PLAIN, *pieces)) as url:
                assert [one async for one in tap_client.lines(url)] == [b'{"a": 1}', b'{"b": 2}']

    run(story)


@pytest.mark.parametrize(
    ("theirs", "ours", "agreed"),
    [
        (np.array([1, 2]), np.array([1, 3]), 1),
        (np.array([1, 0]), np.array([True, False]), 2),
        (np.array(["a", "b"]), np.array(["a", "b"], object), 2),
        (np.array([math.nan, math.inf]), np.array([math.nan, math.inf]), 2),
        (np.array([math.nan, math.inf]), np.array([1.0, -math.inf]), 0),
        (np.array([1.0, 1e9]), np.array([1.0 + 1e-7, 1e9 + 10]), 2),
        (np.array([[0.1, 0.9]]), np.array([[0.1, 0.8]]), 0),
        (np.array([None, "a"], object), np.array([math.nan, "a"], object), 2),
        (np.array(["1", "2"]), np.array([1, 2]), 0),
    ],
)
def test_what_agrees(theirs: Anything, ours: Anything, agreed: int) -> None:
    comparison = compare(theirs, ours, 1e-9, 1e-6)
    assert comparison is not None
    assert comparison.agreed == agreed


def test_different_shapes_cannot_be_compared() -> None:
    assert compare(np.array([1]), np.array([1, 2]), 0, 0) is None
    assert compare(np.array([[1, 2]]), np.array([1]), 0, 0) is None
    assert compare(None, np.array([1]), 0, 0) is None
