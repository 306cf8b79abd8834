"""The probes and the metrics, asked over real HTTP."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from serinus.adapters.http import serving

LOOPBACK = "127.0.0.1"


class Operator:
    """What is served."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.not_ready: list[str] = []

    def health(self) -> list[str]:
        """Why it should be restarted."""
        return self.problems

    def ready(self) -> list[str]:
        """Why it should not be relied upon yet."""
        return self.not_ready

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """The metrics, which say what they were asked for."""
        return f"# {accept}\n".encode(), "text/plain; version=1.0.0; charset=utf-8"


type Answer = tuple[int, str, str]
type Get = Callable[[str], Awaitable[Answer]]


def served(operator: Operator, story: Callable[[Get], Awaitable[None]]) -> None:
    """Tell a story with a server that answers for this operator."""

    async def run() -> None:
        async with (
            serving(0, operator.health, operator.ready, operator.metrics, host=LOOPBACK) as port,
            aiohttp.ClientSession(f"http://{LOOPBACK}:{port}") as session,
        ):

            async def get(path: str) -> Answer:
                async with session.get(path, headers={"Accept": "text/plain"}) as answer:
                    return answer.status, answer.headers["Content-Type"], await answer.text()

            await story(get)

    asyncio.run(run())


def test_health_is_asked_anew_each_time() -> None:
    operator = Operator()

    async def story(get: Get) -> None:
        assert await get("/healthz") == (200, "text/plain; charset=utf-8", "ok\n")
        operator.problems = ["the queue waits for 6m", "the watch of jobs is silent"]
        status, _, text = await get("/healthz")
        assert (status, text) == (500, "the queue waits for 6m\nthe watch of jobs is silent\n")
        operator.problems = []
        assert (await get("/healthz"))[0] == 200

    served(operator, story)


def test_readiness_is_another_question() -> None:
    operator = Operator()
    operator.not_ready = ["the cache is not filled yet"]

    async def story(get: Get) -> None:
        assert (await get("/readyz"))[::2] == (503, "the cache is not filled yet\n")
        assert (await get("/healthz"))[0] == 200

    served(operator, story)


def test_metrics_are_in_the_form_that_was_asked_for() -> None:
    async def story(get: Get) -> None:
        assert await get("/metrics") == (200, "text/plain; version=1.0.0; charset=utf-8", "# text/plain\n")

    served(Operator(), story)


def test_there_is_nothing_else() -> None:
    async def story(get: Get) -> None:
        assert (await get("/"))[0] == 404

    served(Operator(), story)


def test_a_question_that_fails_is_not_taken_for_health() -> None:
    operator = Operator()
    operator.problems = None  # type: ignore[assignment] # what fails is the case

    async def story(get: Get) -> None:
        assert (await get("/healthz"))[0] == 500

    served(operator, story)


def test_requests_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def story(get: Get) -> None:
        await get("/healthz")

    served(Operator(), story)
    assert "healthz" not in caplog.text


def test_a_port_that_is_taken_is_an_error() -> None:
    operator = Operator()

    async def serve(port: int) -> None:
        async with serving(port, operator.health, operator.ready, operator.metrics, host=LOOPBACK):
            pass

    with socket.create_server((LOOPBACK, 0)) as taken, pytest.raises(OSError, match="already in use"):
        asyncio.run(serve(taken.getsockname()[1]))


def test_the_port_is_free_again_afterwards() -> None:
    operator = Operator()

    async def twice() -> None:
        async with serving(0, operator.health, operator.ready, operator.metrics, host=LOOPBACK) as port:
            pass
        async with serving(port, operator.health, operator.ready, operator.metrics, host=LOOPBACK) as again:
            assert again == port

    asyncio.run(twice())


def test_by_default_it_answers_on_every_address() -> None:
    operator = Operator()

    async def ask() -> int:
        async with (
            serving(0, operator.health, operator.ready, operator.metrics) as port,
            aiohttp.ClientSession() as session,
            session.get(f"http://{LOOPBACK}:{port}/healthz") as answer,
        ):
            return answer.status

    assert asyncio.run(ask()) == 200
