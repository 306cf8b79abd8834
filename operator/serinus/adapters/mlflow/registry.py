"""The registry port: asks of one server, answered together."""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from serinus import asks
from serinus.adapters.mlflow import batch, found, inputs, models, progress, runs, versions
from serinus.adapters.mlflow.client import Client, Json, Limits, all_of
from serinus.adapters.mlflow.credentials import Credentials, Wallet
from serinus.adapters.mlflow.failures import Failed, Party, address_of
from serinus.asks import Answer, Known, RegistryAsk, Server, Trouble, TroubleKind
from serinus.ports import Clock, Kube, Meter

type _Answers = dict[RegistryAsk[Any], Answer[Any]]
type _Way = Callable[[Client, Any], Awaitable[object]]

_LOG = logging.getLogger(__name__)

_WAYS: Mapping[type[RegistryAsk[Any]], _Way] = {
    asks.ResolveVersion: versions.resolve,
    asks.ReadModel: models.read,
    asks.FindVersions: versions.find,
    asks.ReadRun: runs.read,
    asks.FindRuns: runs.find,
    asks.FindOpenRuns: runs.find_open,
    asks.ReadProgress: progress.read,
    asks.FindModel: found.find,
    asks.EnsureRun: runs.ensure,
    asks.QueueRun: runs.queue,
    asks.LogInputs: inputs.log,
    asks.EndRun: runs.end,
    asks.TagRun: runs.tag,
    asks.EnsureVersion: versions.ensure,
    asks.SetAlias: versions.set_alias,
    asks.TagVersion: versions.tag,
}


@dataclass(frozen=True)
class _Together:
    """How many asks of one type are answered with few requests: which of them, from how many on, and how.

    What it leaves unanswered is asked one by one.
    """

    fits: Callable[[Any], bool]
    worthwhile: int
    answer: Callable[[Client, Any], Awaitable[Mapping[Any, object]]]


_TOGETHER: Mapping[type[RegistryAsk[Any]], _Together] = {
    asks.ResolveVersion: _Together(batch.fits, batch.WORTHWHILE, batch.resolve),
    asks.ReadProgress: _Together(progress.fits, progress.WORTHWHILE, progress.read_all),
}

# What an answer raises that has not the form of MLflow's.
_MALFORMED = (LookupError, TypeError, ValueError, AttributeError, OverflowError)


# uvicorn closes idle connections after 5 s; a request that meets the closing would fail.
_KEEP_ALIVE_SECONDS = 4.0


class MlflowRegistry:
    """MLflow servers. `own` are the operator's credentials, for the server at `home` and for no other.

    A ValueError if `home` is neither empty nor an address.
    """

    def __init__(  # noqa: PLR0913 (the ports, and the settings)
        self,
        kube: Kube,
        clock: Clock,
        meter: Meter,
        *,
        home: str,
        own: Credentials | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._wallet = Wallet(kube, home, own or Credentials())
        self._clock = clock
        self._meter = meter
        self._limits = limits or Limits()
        self._slots = defaultdict[Server, asyncio.Semaphore](lambda: asyncio.Semaphore(self._limits.concurrency))
        self._experiments = defaultdict[Server, dict[str, tuple[Json, float]]](dict)
        self._session: aiohttp.ClientSession | None = None

    async def answer(self, server: Server, asks: Sequence[RegistryAsk[Any]]) -> Mapping[RegistryAsk[Any], Answer[Any]]:
        """The answers to asks that are all of this server, in bounded time; orders are carried out in their order."""
        try:
            party = Party(address_of(server.uri), self._wallet.remedy(server))
        except Failed as failed:
            return dict.fromkeys(asks, failed.trouble)
        answers: _Answers = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.answer_seconds):
                await self._fill(server, party, tuple(dict.fromkeys(asks)), answers)
        troubles = {one.kind for one in answers.values() if isinstance(one, Trouble)}
        if TroubleKind.UNAUTHORIZED in troubles:
            self._wallet.forget(server)
        if TroubleKind.UNREACHABLE in troubles:
            # It may come back as another one, with other ids.
            self._experiments[server].clear()
        late = party.unreachable(f"did not answer all within {self._limits.answer_seconds:g} s: is it overloaded?")
        return {ask: answers.get(ask, late.trouble) for ask in asks}

    async def close(self) -> None:
        """Close all connections. What is asked afterwards opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _fill(self, server: Server, party: Party, asks: Sequence[RegistryAsk[Any]], answers: _Answers) -> None:
        try:
            client = await self._client(server, party)
        except Failed as failed:
            answers.update(dict.fromkeys(asks, failed.trouble))
            return
        together = _together(asks)
        apart = set(asks).difference(*together.values())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._orders(client, [ask for ask in asks if ask.order], answers))
            for way, those in together.items():
                group.create_task(self._together(client, way, those, answers))
            for ask in apart:
                if not ask.order:
                    group.create_task(self._one(client, ask, answers))

    async def _orders(self, client: Client, orders: Sequence[RegistryAsk[Any]], answers: _Answers) -> None:
        for order in orders:
            await self._one(client, order, answers)

    async def _together(
        self, client: Client, way: _Together, asks: Sequence[RegistryAsk[Any]], answers: _Answers
    ) -> None:
        """Answer asks as one, or one by one where the server does not know how: MLflow learned lists late."""
        at = self._clock.now()
        found = await _guarded(client, way.answer(client, asks))
        if not isinstance(found, Trouble):
            answers.update({ask: Known(value, at) for ask, value in found.items()})
            await all_of(self._one(client, ask, answers) for ask in asks if ask not in found)
        elif found.kind == TroubleKind.REFUSED:
            await all_of(self._one(client, ask, answers) for ask in asks)
        else:
            answers.update(dict.fromkeys(asks, found))

    async def _one(self, client: Client, ask: RegistryAsk[Any], answers: _Answers) -> None:
        at = self._clock.now()
        value = await _guarded(client, _WAYS[type(ask)](client, ask))
        answers[ask] = value if isinstance(value, Trouble) else Known(value, at)

    async def _client(self, server: Server, party: Party) -> Client:
        credentials = await self._wallet.credentials(server)
        if self._session is None:
            self._session = _new_session()
        slots, seconds = self._slots[server], self._limits.request_seconds
        experiments = self._experiments[server]
        return Client(
            self._session, party, credentials.headers(), slots, self._meter, self._clock, seconds, experiments
        )


def _together(asks: Sequence[RegistryAsk[Any]]) -> Mapping[_Together, list[RegistryAsk[Any]]]:
    """The asks that are answered together, by the way in which they are."""
    fitting = {way: [ask for ask in asks if type(ask) is of and way.fits(ask)] for of, way in _TOGETHER.items()}
    return {way: those for way, those in fitting.items() if len(those) >= way.worthwhile}


def _new_session() -> aiohttp.ClientSession:
    """Connections to all servers. It keeps no cookies: a server must not know one credential by another's session."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "serinus", "Accept": "*/*"},
    )


async def _guarded[T](client: Client, answering: Awaitable[T]) -> T | Trouble:
    """What is answered, or what keeps it from being known."""
    try:
        return await answering
    except Failed as failed:
        return failed.trouble
    except _MALFORMED:
        _LOG.warning("%s gave an answer that MLflow would not give", client.party, exc_info=True)
        return client.party.unreachable("gave an answer that MLflow would not give: is its version 3 or later?").trouble
