"""Pods are scraped over real HTTP, and one that does not answer says so in words."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from serinus.adapters.pods import PodMetrics
from serinus.asks import PodAddress, PodSamples, Sample, Scrape
from tests.contract.kubernetes.connections import Calls, answering, serving, silent

NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
TEXT: Final = """# HELP serinus_requests_total Requests.
# TYPE serinus_requests_total counter
serinus_requests_total{code="200",version="7"} 1027 1395066363000
serinus_requests_total{code="500",version="say \\"é\\"\\n"} 3 # {trace_id="x"} 0.5
serinus_seconds_bucket{le="+Inf"} 1.5e3
serinus_up 1
python_info{version="3.13"} 1
# serinus_comment 1
broken{ 1
# EOF
"""


class Noon:
    """It is always noon."""

    def now(self) -> datetime:
        """The time."""
        return NOON


@asynccontextmanager
async def metrics(
    meter: Calls | None = None, *, seconds: float = 3.0, concurrency: int = 16
) -> AsyncIterator[PodMetrics]:
    adapter = PodMetrics(Noon(), meter or Calls(), concurrency=concurrency, timeout=seconds)
    try:
        yield adapter
    finally:
        await adapter.close()


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


async def scraped(address: str, *, seconds: float = 3.0) -> PodSamples:
    """What a pod at this address is found to say."""
    async with metrics(seconds=seconds) as adapter:
        ask = Scrape(pods=(PodAddress("a", "127.0.0.1"),), port=port_of(address), prefix="serinus_")
        (samples,) = await adapter.scrape(ask)
        return samples


async def said(text: str, status: int = 200) -> PodSamples:
    async with answering(status, text) as address:
        return await scraped(address)


def test_samples_with_the_prefix_are_read() -> None:
    assert asyncio.run(said(TEXT)) == PodSamples(
        "a",
        NOON,
        (
            Sample("serinus_requests_total", (("code", "200"), ("version", "7")), 1027.0),
            Sample("serinus_requests_total", (("code", "500"), ("version", 'say "é"\n')), 3.0),
            Sample("serinus_seconds_bucket", (("le", "+Inf"),), 1500.0),
            Sample("serinus_up", (), 1.0),
        ),
    )


def test_a_pod_that_counts_nothing_yet() -> None:
    assert asyncio.run(said("")) == PodSamples("a", NOON)


def test_a_pod_that_answers_otherwise() -> None:
    for text, status, trouble in (
        ("not here", 404, "answered 404 Not Found"),
        ("", 302, "answered 302 Found"),
        ("serinus_up one", 200, "answered with what is no Prometheus text"),
        ("x" * 1_100_000, 200, "answered with more than 1048576 bytes"),
    ):
        found = asyncio.run(said(text, status))
        assert trouble in found.trouble
        assert found.trouble.startswith("http://127.0.0.1:")
        assert found.samples == ()


def test_a_pod_that_says_nothing() -> None:
    async def story() -> PodSamples:
        async with silent() as address:
            return await scraped(address, seconds=0.1)

    assert "did not answer within 0.1 s" in asyncio.run(story()).trouble


def test_a_pod_that_is_gone() -> None:
    async def story() -> PodSamples:
        async with answering(200, "") as address:
            pass
        return await scraped(address)

    assert "does not answer" in asyncio.run(story()).trouble


def test_each_pod_has_its_entry_in_the_order_of_the_ask_and_is_counted() -> None:
    async def story() -> None:
        meter = Calls()
        async with answering(200, TEXT) as address, metrics(meter) as adapter:
            # One that answers, one where nothing listens, one that cannot be an address.
            pods = (PodAddress("b", "127.0.0.1"), PodAddress("a", "::1"), PodAddress("c", "nonsense/"))
            found = await adapter.scrape(Scrape(pods=pods, port=port_of(address), prefix="serinus_up"))
        assert [one.pod for one in found] == ["b", "a", "c"]
        assert [len(one.samples) for one in found] == [1, 0, 0]
        assert found[1].trouble.startswith("http://[::1]:")
        assert sorted(meter.made) == [("pods", "scrape", "ok"), *[("pods", "scrape", "unreachable")] * 2]

    asyncio.run(story())


def test_so_many_at_a_time_and_no_more() -> None:
    async def story() -> int:
        at_once, most = 0, 0

        async def answer(_: web.Request) -> web.Response:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.01)
            at_once -= 1
            return web.Response(text=TEXT)

        async with AsyncExitStack() as stack:
            address = await stack.enter_async_context(serving(answer, "GET", "/metrics"))
            adapter = await stack.enter_async_context(metrics(concurrency=4))
            pods = tuple(PodAddress(str(number), "127.0.0.1") for number in range(20))
            found = await adapter.scrape(Scrape(pods=pods, port=port_of(address), path="metrics", prefix="serinus_"))
        assert [one.trouble for one in found] == [""] * 20
        return most

    assert asyncio.run(story()) == 4
