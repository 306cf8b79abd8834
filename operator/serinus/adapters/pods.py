"""What pods count, read from their own metrics endpoints."""

import asyncio
from http import HTTPStatus
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from serinus.asks import PodAddress, PodSamples, Sample, Scrape, pairs
from serinus.ports import Clock, Meter

CONCURRENCY: Final = 16
TIMEOUT: Final = 3.0
LARGEST_BODY: Final = 1024 * 1024

# The classic form, which is also what OpenMetrics looks like line by line; compression would hide how long it is.
_HEADERS: Final = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "identity"}


class _TroubleError(Exception):
    """Why a pod's samples are not known, in words; the outcome is the word for it in metrics."""

    def __init__(self, message: str, outcome: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class PodMetrics:
    """`ports.Metrics` over HTTP. To be made in a running event loop, and closed."""

    def __init__(self, clock: Clock, meter: Meter, *, concurrency: int = CONCURRENCY, timeout: float = TIMEOUT) -> None:
        self._clock = clock
        self._meter = meter
        self._turn = asyncio.Semaphore(concurrency)
        self._timeout = timeout
        # Nothing of one pod is told to another, and pods are not behind the proxy that the environment may name.
        self._session = aiohttp.ClientSession(headers=_HEADERS, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)

    async def close(self) -> None:
        """Close the connections; nothing may be scraped any more."""
        await self._session.close()

    async def scrape(self, ask: Scrape) -> tuple[PodSamples, ...]:
        """See `ports.Metrics`; of many pods, so many at a time as `concurrency` says."""
        return tuple(await asyncio.gather(*(self._scrape(pod, ask) for pod in ask.pods)))

    async def _scrape(self, pod: PodAddress, ask: Scrape) -> PodSamples:
        time = asyncio.get_running_loop().time
        async with self._turn:
            started, outcome = time(), "cancelled"
            try:
                samples = await self._samples(_url(pod, ask), ask.prefix)
                outcome = "ok"
            except _TroubleError as trouble:
                outcome = trouble.outcome
                return PodSamples(pod.name, self._clock.now(), trouble=str(trouble))
            finally:
                self._meter.called("pods", "scrape", outcome, time() - started)
        return PodSamples(pod.name, self._clock.now(), samples)

    async def _samples(self, address: str, prefix: str) -> tuple[Sample, ...]:
        text = await self._read(address)
        try:
            return _parsed(text, prefix)
        except ValueError as error:
            raise _TroubleError(f"{address} answered with what is no Prometheus text: {error}", "refused") from error

    async def _read(self, address: str) -> str:
        try:
            async with asyncio.timeout(self._timeout), self._session.get(address, allow_redirects=False) as response:
                if response.status != HTTPStatus.OK:
                    raise _TroubleError(f"{address} answered {response.status} {response.reason}", "refused")
                body = await _bounded(response.content)
        except TimeoutError as error:
            raise _TroubleError(f"{address} did not answer within {self._timeout:g} s", "unreachable") from error
        except (aiohttp.ClientError, OSError) as error:
            raise _TroubleError(f"{address} does not answer: {error}", "unreachable") from error
        if len(body) > LARGEST_BODY:
            raise _TroubleError(f"{address} answered with more than {LARGEST_BODY} bytes", "refused")
        return body.decode(errors="replace")


def _url(pod: PodAddress, ask: Scrape) -> str:
    """Where the pod answers; an IPv6 address stands in brackets."""
    host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
    return f"http://{host}:{ask.port}/{ask.path.removeprefix('/')}"


def _parsed(text: str, prefix: str) -> tuple[Sample, ...]:
    """The samples whose names begin with the prefix. The other lines, which are many, are not even looked at."""
    wanted = "\n".join(line for line in text.split("\n") if line.startswith(prefix) and not line.startswith("#"))
    families = text_string_to_metric_families(f"{wanted}\n")
    return tuple(Sample(one.name, pairs(one.labels), float(one.value)) for family in families for one in family.samples)


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    """The body, or so much of it as shows that it is too long."""
    body = bytearray()
    while len(body) <= LARGEST_BODY and (chunk := await content.readany()):
        body += chunk
    return bytes(body)
