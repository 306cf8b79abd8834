"""Requests to one MLflow server: bounded in time, size and number, counted, and never followed elsewhere."""

import asyncio
import json
from collections.abc import Awaitable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from yarl import URL

from serinus.adapters.mlflow.failures import ABSENT, Failed, Party, Reply, not_mlflow, of_error, of_reply
from serinus.asks import TroubleKind
from serinus.ports import Clock, Meter

type Json = Mapping[str, Any]
type Query = Mapping[str, str | int]

FILE_BYTES: Final = 1 << 20
_API = "api/2.0/mlflow"
_ANSWER_BYTES = 64 << 20
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Limits:
    """How much a server is asked at once, and how long it is waited for."""

    concurrency: int = 8
    request_seconds: float = 10.0
    answer_seconds: float = 30.0


@dataclass(frozen=True)
class _Request:
    method: str
    operation: str
    url: URL
    body: Json | None = None
    limit: int = _ANSWER_BYTES


async def all_of[T](answering: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What all of these answer. The failure of one ends the others, and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in answering]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


@dataclass(frozen=True)
class Client:
    """Speaks to one server with one credential. Every method raises Failed, and nothing else, for what goes wrong."""

    session: aiohttp.ClientSession
    party: Party
    headers: Mapping[str, str]
    slots: asyncio.Semaphore
    meter: Meter
    clock: Clock
    seconds: float
    # Experiments by name, each with the moment until which it is taken to be as it was.
    experiments: dict[str, tuple[Json, float]]

    def now(self) -> int:
        """The time as MLflow has it: milliseconds since 1970."""
        return int(self.clock.now().timestamp() * 1000)

    async def get(self, operation: str, query: Query) -> Json:
        """What MLflow answers to a question."""
        return await self._json(_Request("GET", operation, self._api(operation).with_query(query)))

    async def find(self, operation: str, query: Query) -> Json | None:
        """What MLflow answers to a question for one thing; None if it is not there."""
        return await _if_there(self.get(operation, query))

    async def post(self, operation: str, body: Json) -> Json:
        """What MLflow answers to a change, or to a question that is asked with a body."""
        return await self._json(_Request("POST", operation, self._api(operation), body))

    async def file(self, operation: str, query: Query) -> bytes | None:
        """A small file that MLflow serves beside its API; None if it is not there."""
        url = (self.party.address / operation).with_query(query)
        reply = await _if_there(self._counted(_Request("GET", operation, url, limit=FILE_BYTES)))
        return None if reply is None else reply.body

    def _api(self, operation: str) -> URL:
        return self.party.address / _API / operation

    async def _json(self, request: _Request) -> Json:
        reply = await self._counted(request)
        value = reply.json()
        if value is None:
            raise not_mlflow(self.party, request.operation, reply)
        return value

    async def _counted(self, request: _Request) -> Reply:
        """The reply to a request that MLflow took."""
        async with self.slots:
            loop = asyncio.get_running_loop()
            started, outcome = loop.time(), TroubleKind.UNREACHABLE.value.lower()
            try:
                reply = await self._send(request)
                if reply.status != HTTPStatus.OK:
                    raise of_reply(self.party, request.operation, reply)
                outcome = "ok"
            except Failed as failed:
                outcome = failed.outcome
                raise
            finally:
                self.meter.called("mlflow", request.operation, outcome, loop.time() - started)
        return reply

    async def _send(self, request: _Request) -> Reply:
        # As UTF-8 and not as \u escapes, which would make a batch of long texts several times as large.
        data = None if request.body is None else json.dumps(request.body, ensure_ascii=False).encode()
        headers = {**self.headers, **({} if data is None else {"Content-Type": "application/json"})}
        timeout = aiohttp.ClientTimeout(total=self.seconds)
        try:
            async with self.session.request(
                request.method, request.url, data=data, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                return Reply(response.status, response.headers, await self._read(response, request))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise of_error(self.party, self.seconds, error) from error

    async def _read(self, response: aiohttp.ClientResponse, request: _Request) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK):
            body += chunk
            if len(body) > request.limit:
                what = f"answered {request.operation} with more than {request.limit} bytes: that is not read"
                raise self.party.trouble(TroubleKind.REFUSED, what)
        return bytes(body)


async def _if_there[T](answering: Awaitable[T]) -> T | None:
    try:
        return await answering
    except Failed as failed:
        if failed.code != ABSENT:
            raise
        return None
