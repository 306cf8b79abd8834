"""Reads the lines of another server's tap: as much of HTTP/1.1 as that needs, on asyncio's streams alone."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from http import HTTPStatus
from typing import Final
from urllib.parse import SplitResult, urlsplit

# The longest line: a tap's largest record, written out.
LONGEST: Final = 64 * 1024 * 1024
_LONGEST_HEAD: Final = 64 * 1024
_MOST_HEADERS: Final = 100
CONNECT: Final = 5.0
# A tap sends an empty line every ten seconds.
SILENCE: Final = 30.0


class TapError(Exception):
    """The tap cannot be read, and why."""


async def lines(url: str) -> AsyncGenerator[bytes]:
    """The lines until the server ends the stream; TapError if it cannot be had or breaks off."""
    parts = urlsplit(url)
    try:
        async with _connected(parts) as (reader, writer):
            writer.write(_request(parts))
            pieces = _pieces(reader, chunked=await _head(reader, url))
            async for line in _lines(pieces):
                yield line
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
        raise TapError(f"{url}: {str(error) or type(error).__name__}") from error


@asynccontextmanager
async def _connected(parts: SplitResult) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("this is no URL of a tap: it has to be like http://host:8080/tap")
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if secure else 80)
    async with asyncio.timeout(CONNECT):
        reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=secure, limit=_LONGEST_HEAD)
    with closing(writer):
        yield reader, writer


def _request(parts: SplitResult) -> bytes:
    path = (parts.path or "/tap") + (f"?{parts.query}" if parts.query else "")
    return f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: application/x-ndjson\r\n\r\n".encode("ascii")


async def _head(reader: asyncio.StreamReader, url: str) -> bool:
    """Whether the body comes in chunks; else it ends with the connection."""
    async with asyncio.timeout(CONNECT):
        status = (await reader.readline()).split(maxsplit=2)
        headers = [await reader.readline()]
        while headers[-1].strip() and len(headers) < _MOST_HEADERS:
            headers.append(await reader.readline())
    if len(status) < 2 or status[1] != str(HTTPStatus.OK.value).encode():  # noqa: PLR2004 (version and status)
        answer = b" ".join(status[1:]).decode("latin-1").strip()
        raise TapError(f"{url} answered {answer or 'with no HTTP'}")
    return any(one.lower().startswith(b"transfer-encoding:") and b"chunked" in one.lower() for one in headers)


async def _pieces(reader: asyncio.StreamReader, *, chunked: bool) -> AsyncIterator[bytes]:
    while True:
        async with asyncio.timeout(SILENCE):
            piece = await (_chunk(reader) if chunked else reader.read(_LONGEST_HEAD))
        if not piece:
            return
        yield piece


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    """The next chunk; nothing at the end."""
    told = await reader.readuntil(b"\n")
    size = int(told.split(b";")[0], 16)
    if not 0 <= size <= LONGEST:
        raise ValueError(f"a chunk of {size} bytes is longer than {LONGEST}")
    piece = await reader.readexactly(size)
    with suppress(asyncio.IncompleteReadError):
        await reader.readuntil(b"\n")
    return piece


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What was sent, by line and without the empty ones; the rest of a broken line is nobody's."""
    begun: list[bytes] = []
    size = 0
    async for piece in pieces:
        first, *others = piece.split(b"\n")
        begun.append(first)
        size += len(first)
        if size > LONGEST:
            raise ValueError(f"a line is longer than {LONGEST} bytes")
        if not others:
            continue
        for line in (b"".join(begun), *others[:-1]):
            if line.strip():
                yield line
        begun, size = [others[-1]], len(others[-1])
