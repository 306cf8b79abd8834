"""What may stand between the operator and MLflow: a proxy that lets some through, and servers that are out of order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

type Refusal = Callable[[web.Request], web.Response | None]

HOST = "127.0.0.1"


@asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A server on this machine; its address."""
    application = web.Application(client_max_size=1 << 26)
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        yield f"http://{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def forwarding(
    target: str,
    refusal: Refusal = lambda _: None,
    *,
    host: str = "",
    rewrite: Callable[[str], str] = str,
) -> AsyncIterator[str]:
    """A reverse proxy before a server: it refuses some, gives the server another name, and rewrites addresses."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def handle(request: web.Request) -> web.Response:
            if (refused := refusal(request)) is not None:
                return refused
            headers = {"Content-Type": request.content_type} | ({"Host": host} if host else {})
            url, data = f"{target}{rewrite(request.path_qs)}", await request.read()
            async with session.request(request.method, url, data=data, headers=headers) as answer:
                kept = {"Content-Type": answer.headers["Content-Type"]}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)

        async with serving(handle) as address:
            yield address


def demanding(authorization: str) -> Refusal:
    """Lets through who has this authorization."""

    def refusal(request: web.Request) -> web.Response | None:
        given = request.headers.get("Authorization")
        return None if given == authorization else web.Response(status=401, text=f"not authorized: {given}")

    return refusal


def always(status: int, body: str = "", form: str = "text/html", headers: Mapping[str, str] | None = None) -> Refusal:
    """Answers everybody so."""
    return lambda _: web.Response(status=status, text=body, content_type=form, headers=headers)


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """A server that takes connections and never answers."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, HOST, 0)
    async with server:
        yield f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
        server.close_clients()
