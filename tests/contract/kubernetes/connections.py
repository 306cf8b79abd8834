"""Ways to the API server for tests: as its administrator, as a ServiceAccount, or to a server that is none."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from serinus.adapters.kubernetes.connection import connect
from serinus.adapters.kubernetes.kube import AioKube
from serinus.objects import ObjectKind
from tests.cluster.cluster import Cluster

CONFIG_MAP = ObjectKind("v1", "ConfigMap", "configmaps")


@dataclass
class Calls:
    """A meter that remembers."""

    made: list[tuple[str, str, str]] = field(default_factory=list)

    def reconciled(self, kind: str, outcome: str, seconds: float) -> None:
        """Not counted here."""

    def called(self, service: str, operation: str, outcome: str, seconds: float) -> None:
        """One more."""
        assert seconds >= 0
        self.made.append((service, operation, outcome))


@asynccontextmanager
async def kube(
    kubeconfig: Path, *, namespaces: Sequence[str] = (), selectors: Mapping[ObjectKind, str] | None = None
) -> AsyncIterator[AioKube]:
    """The adapter, logged in by a kubeconfig."""
    client = await connect({"KUBECONFIG": str(kubeconfig)})
    adapter = AioKube(client, Calls(), namespaces=namespaces, selectors=selectors)
    try:
        yield adapter
    finally:
        await adapter.close()


@asynccontextmanager
async def kube_at(address: str, *, timeout: float = 15.0, meter: Calls | None = None) -> AsyncIterator[AioKube]:  # noqa: ASYNC109 (the adapter's own)
    """The adapter, for a server that needs no login."""
    adapter = AioKube(ApiClient(Configuration(host=address)), meter or Calls(), timeout=timeout)
    try:
        yield adapter
    finally:
        await adapter.close()


@asynccontextmanager
async def answering(status: int, body: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[str]:
    """A server that has one answer to everything."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body, headers=headers)

    async with serving(answer, "*", "/{path:.*}") as address:
        yield address


@asynccontextmanager
async def serving(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], method: str, path: str
) -> AsyncIterator[str]:
    """A server on the loopback that answers this at this path."""
    application = web.Application()
    application.router.add_route(method, path, answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield site.name
    finally:
        await runner.cleanup()


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """A server that takes connections and never says a word."""
    until = asyncio.Event()

    async def wait(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await until.wait()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(wait, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        until.set()
        server.close()
        await server.wait_closed()


def token(control_plane: Cluster, namespace: str, *rules: Mapping[str, Sequence[str]]) -> str:
    """The token of a new ServiceAccount that may do what the rules say, in its namespace."""
    role = {"kind": "Role", "apiVersion": "rbac.authorization.k8s.io/v1", "rules": rules}
    objects: list[dict[str, Any]] = [
        {"kind": "ServiceAccount", "apiVersion": "v1"},
        role,
        {
            "kind": "RoleBinding",
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "limited"},
            "subjects": [{"kind": "ServiceAccount", "name": "limited", "namespace": namespace}],
        },
    ]
    for one in objects:
        one["metadata"] = {"name": "limited", "namespace": namespace}
    control_plane.kubectl.apply(json.dumps({"kind": "List", "apiVersion": "v1", "items": objects}))
    return control_plane.kubectl("-n", namespace, "create", "token", "limited").strip()


def with_user(kubeconfig: Path, folder: Path, user: Mapping[str, str]) -> Path:
    """The same cluster in a new kubeconfig, with another login."""
    content = yaml.safe_load(kubeconfig.read_text())
    content["users"][0]["user"] = dict(user)
    written = folder / "kubeconfig"
    written.write_text(yaml.safe_dump(content))
    return written


def config_map(namespace: str, name: str = "one", **data: str) -> dict[str, Any]:
    """A ConfigMap."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
