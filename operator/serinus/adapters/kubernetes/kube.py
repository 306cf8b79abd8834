"""The API server by its plain HTTP interface: JSON in, JSON out, no typed models."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from kubernetes.aio.client import ApiClient
from kubernetes.aio.config import ConfigException

from serinus.adapters.kubernetes.errors import Unserved, refusal, silent
from serinus.adapters.kubernetes.request import APPLY, MERGE, METADATA, Request, as_yaml
from serinus.api import names
from serinus.objects import EVENT, Manifest, ObjectKind, Ref, ref_of, uid, version
from serinus.ports import Conflict, KubeError, Meter, Missing

TIMEOUT: Final = 15.0

_MANAGER: Final = ("fieldManager", names.MANAGER)
_FROM_CACHE: Final = ("resourceVersion", "0")


class AioKube:
    """`ports.Kube`; it watches these namespaces (all, if none are named), of each kind what its selector chooses."""

    def __init__(
        self,
        client: ApiClient,
        meter: Meter,
        *,
        namespaces: Sequence[str] = (),
        selectors: Mapping[ObjectKind, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._client = client
        self._meter = meter
        self._namespaces = tuple(namespaces) or ("",)
        self._selectors = selectors or {}
        self._timeout = timeout

    async def close(self) -> None:
        """Close the connections; nothing may be asked any more."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def get(self, ref: Ref) -> Manifest | None:
        """See `ports.Kube`; a kind that is not served is an error."""
        try:
            return _stored(await self._send(Request("get", ref.kind, ref.namespace, ref.name)))
        except Unserved:
            raise
        except Missing:
            return None

    async def list_versions(self, kind: ObjectKind, *, current: bool = False) -> Mapping[Ref, tuple[str, int]]:
        """See `ports.Kube`; in one piece for each namespace, from the API server's cache if that may be behind."""
        query = () if current else (_FROM_CACHE,)
        lists = [await self._send(request) for request in self._lists(kind, *query)]
        items = (item for answer in lists for item in answer.get("items") or ())
        return {ref_of(kind, item): (uid(item), version(item)) for item in items}

    async def apply(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """See `ports.Kube`."""
        ref = ref_of(kind, manifest)
        query = (_MANAGER, ("force", "true" if uid(manifest) else "false"))
        body = as_yaml(manifest)
        request = Request("apply", kind, ref.namespace, ref.name, query=query, content=APPLY, body=body)
        return _stored(await self._send(request))

    async def create(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """See `ports.Kube`."""
        request = Request("create", kind, ref_of(kind, manifest).namespace, query=(_MANAGER,), body=manifest)
        return _stored(await self._send(request))

    async def replace(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """See `ports.Kube`; Missing if it is gone."""
        ref = ref_of(kind, manifest)
        request = Request("replace", kind, ref.namespace, ref.name, query=(_MANAGER,), body=manifest)
        return _stored(await self._send(request))

    async def delete(self, ref: Ref, uid: str) -> None:
        """See `ports.Kube`."""
        options = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            await self._send(Request("delete", ref.kind, ref.namespace, ref.name, body=options))
        except Unserved:
            raise
        except (Missing, Conflict):
            # Gone, or gone and followed by another one of its name.
            return

    async def patch_status(self, ref: Ref, patch: Mapping[str, Any], resource_version: str) -> Manifest:
        """See `ports.Kube`."""
        body = {"metadata": {"resourceVersion": resource_version}, "status": patch}
        request = Request(
            "patch", ref.kind, ref.namespace, ref.name, "status", query=(_MANAGER,), content=MERGE, body=body
        )
        return _stored(await self._send(request))

    async def warning(self, ref: Ref, uid: str) -> str:
        """See `ports.Kube`."""
        chosen = ("fieldSelector", f"involvedObject.uid={uid},type=Warning")
        answer = await self._send(Request("list", EVENT, ref.namespace, query=(chosen,)))
        last = max(answer.get("items") or (), key=_when, default=None)
        return " ".join(f"{last.get('reason')}: {last.get('message')}".split()) if last is not None else ""

    async def unserved(self, kinds: Iterable[ObjectKind]) -> tuple[ObjectKind, ...]:
        """Those of the kinds that this cluster does not have: their definitions are not installed."""
        wanted = tuple(kinds)
        one_of_each = {kind.api_version: kind for kind in wanted}
        served = {api_version: await self._plurals(kind) for api_version, kind in one_of_each.items()}
        return tuple(kind for kind in wanted if kind.plural not in served[kind.api_version])

    async def trials(self, kinds: Iterable[ObjectKind]) -> Mapping[ObjectKind, KubeError]:
        """Why some of the kinds cannot be watched, found by trying to list one object of each."""
        refusals: dict[ObjectKind, KubeError] = {}
        for kind in kinds:
            try:
                for request in self._lists(kind, ("limit", "1")):
                    await self._send(request)
            except KubeError as error:
                refusals[kind] = error
        return refusals

    async def _plurals(self, kind: ObjectKind) -> frozenset[str]:
        """What is served in the group and version of this kind."""
        try:
            answer = await self._send(Request("discover", kind))
        except Missing:
            return frozenset()
        return frozenset(resource["name"] for resource in answer["resources"])

    def _lists(self, kind: ObjectKind, *query: tuple[str, str]) -> Iterator[Request]:
        selector = self._selectors.get(kind, "")
        chosen = (*query, ("labelSelector", selector)) if selector else query
        for namespace in self._namespaces:
            yield Request("list", kind, namespace, query=chosen, accept=METADATA)

    async def _send(self, request: Request) -> dict[str, Any]:
        """The answer to a request, which is counted whatever comes of it."""
        time = asyncio.get_running_loop().time
        started, outcome = time(), "cancelled"
        try:
            answer = await self._exchange(request)
            outcome = "ok"
        except KubeError as error:
            outcome = type(error).__name__.lower()
            raise
        finally:
            self._meter.called("kubernetes", request.operation, outcome, time() - started)
        return answer

    async def _exchange(self, request: Request) -> dict[str, Any]:
        """The answer in bounded time, or a KubeError."""
        host = self._client.configuration.host
        try:
            async with asyncio.timeout(self._timeout):
                status, headers, body = await self._call(request)
        except TimeoutError as error:
            raise silent(request, f"{host} did not answer within {self._timeout:g} s") from error
        except (aiohttp.ClientError, OSError, ConfigException) as error:
            raise silent(request, f"{host} does not answer: {error}") from error
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise refusal(request, status, headers, body)
        try:
            answer: dict[str, Any] = json.loads(body)
        except ValueError as error:
            raise silent(request, f"{host} answered with something else than JSON: {error}") from error
        return answer

    async def _call(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        parameters = await self._client.param_serialize(
            request.method,
            request.path,
            query_params=list(request.query),
            header_params={"Accept": request.accept, "Content-Type": request.content},
            body=request.body,
            auth_settings=["BearerToken"],
        )
        response = await self._client.call_api(*parameters)
        return response.status, response.headers, await response.read()  # type: ignore[no-untyped-call]


def _when(event: Manifest) -> str:
    """When an event was told last, as old and new events say it."""
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")


def _stored(answer: dict[str, Any]) -> Manifest:
    """The object without the account of who set which field, which is longer than all the rest."""
    answer.get("metadata", {}).pop("managedFields", None)
    return answer
