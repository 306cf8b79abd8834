"""What the operator answers over HTTP: whether it lives, whether it is ready, and its metrics."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

from aiohttp import web

# What is wrong, a line for each; empty if all is well. Must answer at once: nothing else runs meanwhile.
type Problems = Callable[[], Sequence[str]]
# The metrics in a form that an Accept header names, and the type of that form.
type Exposition = Callable[[str], tuple[bytes, str]]

type _Handler = Callable[[web.Request], Awaitable[web.Response]]

# A scrape that has begun may end.
_SHUTDOWN_SECONDS = 2.0


@asynccontextmanager
async def serving(
    port: int, health: Problems, ready: Problems, metrics: Exposition, *, host: str | None = None
) -> AsyncIterator[int]:
    """Serve while the context is open, on all addresses unless one is given; yields the port.

    /healthz answers 200, or 500 with the problems: then Kubernetes restarts us. /readyz answers 200, or 503 with the
    problems. /metrics answers with the metrics. An OSError if the port is taken.
    """
    application = web.Application()
    application.router.add_get("/healthz", _verdict(health, HTTPStatus.INTERNAL_SERVER_ERROR))
    application.router.add_get("/readyz", _verdict(ready, HTTPStatus.SERVICE_UNAVAILABLE))
    application.router.add_get("/metrics", _exposition(metrics))
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    with _listen(host, port) as listening:
        await runner.setup()
        try:
            await web.SockSite(runner, listening).start()
            yield int(listening.getsockname()[1])
        finally:
            await runner.cleanup()


def _listen(host: str | None, port: int) -> socket.socket:
    """One socket for IPv4 and IPv6 where there are both."""
    if host is None and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server((host or "", port))


def _verdict(problems: Problems, bad: HTTPStatus) -> _Handler:
    async def answer(_: web.Request) -> web.Response:
        found = problems()
        text = "".join(f"{problem}\n" for problem in found) or "ok\n"
        return web.Response(text=text, status=bad if found else HTTPStatus.OK)

    return answer


def _exposition(metrics: Exposition) -> _Handler:
    async def answer(request: web.Request) -> web.Response:
        body, content_type = metrics(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    return answer
