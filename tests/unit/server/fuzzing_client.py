"""Who sends hostile requests over many connections, and judges what comes back."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import uvloop

from tests.unit.server.fuzzing import Case, Fuzz, request

# After so long without a word, what is no whole request is not answered any more.
QUIET_SECONDS: Final = 0.05
ANSWER_SECONDS: Final = 30.0
# Overload, and only that.
ALLOWED: Final = frozenset({503, 504})
LONGEST_MESSAGE: Final = 1000
# In characters: an answer may name what was wrong, and is no mirror.
LONGEST_ECHO: Final = 300


@dataclass
class Found:
    """What came back; `faults` says in words what must not be."""

    statuses: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    sent: int = 0
    # Of good requests in between, in seconds.
    probes: list[float] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")


@dataclass(frozen=True)
class Answer:
    """One of them."""

    status: int
    body: bytes
    is_last: bool


@dataclass(frozen=True)
class Probe:
    """A good request, and the body of its answer."""

    data: bytes
    expected: bytes


class Client:
    """Sends the cases of a fuzz to a port, and good requests in between."""

    def __init__(self, port: int, fuzz: Fuzz, probe: Probe) -> None:
        self.port = port
        self.fuzz = fuzz
        self.probe = probe
        self.found = Found()
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def run(self, first: int, count: int, connections: int) -> Found:
        """Cases from this number on; what was found, together with all that was before."""
        numbers = iter(range(first, first + count))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._all(numbers, connections))
        return self.found

    async def _all(self, numbers: Iterator[int], connections: int) -> None:
        asking = asyncio.create_task(self._ask_between())
        try:
            await asyncio.gather(*(self._work(numbers) for _ in range(connections)))
        finally:
            asking.cancel()
        if asking.done() and not asking.cancelled() and (error := asking.exception()) is not None:
            self.found.faults.append(f"a good request failed: {error!r}")

    async def _work(self, numbers: Iterator[int]) -> None:
        line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        for number in numbers:
            case = self.fuzz.case(number)
            self.found.sent += 1
            self.found.kinds[case.kind] += 1
            try:
                if not case.is_whole:
                    await self._broken(case)
                    continue
                line = line or await self._open()
                line = line if await self._whole(case, *line) else None
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                self._fault(case, f"no answer: {error!r}")
                line = None
        if line is not None:
            line[1].close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)

    async def _whole(self, case: Case, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One answer is due; whether the connection goes on."""
        began = time.monotonic()
        await _send(case, writer)
        answer = await asyncio.wait_for(read(reader), ANSWER_SECONDS)
        self.found.slowest = max(self.found.slowest, (time.monotonic() - began, str(case)))
        self._judge(case, answer)
        if answer.is_last:
            writer.close()
        return not answer.is_last

    async def _broken(self, case: Case) -> None:
        """Any number of answers, or none; then who sent it goes away."""
        reader, writer = await self._open()
        try:
            await _send(case, writer)
            while True:
                answer = await asyncio.wait_for(read(reader), QUIET_SECONDS)
                self._judge(case, answer)
        except (TimeoutError, EOFError, ConnectionError):
            self.found.statuses["hung up"] += 1
        finally:
            writer.transport.abort()

    def _judge(self, case: Case, answer: Answer) -> None:
        self.found.statuses[str(answer.status)] += 1
        if answer.status >= 500 and answer.status not in ALLOWED:
            self._fault(case, f"{answer.status}: {answer.body[:500]!r}")
        elif answer.status >= 400 and (fault := fault_of(answer.body, case.data)):
            self._fault(case, f"{answer.status}: {fault}: {answer.body[:500]!r}")

    def _fault(self, case: Case, words: str) -> None:
        self.found.faults.append(f"seed {self.fuzz.seed}, {case}\n  {words}")

    async def _ask_between(self) -> None:
        """Good requests, one after the other: answered, correctly and soon."""
        reader, writer = await self._open()
        try:
            while True:
                began = time.monotonic()
                writer.write(self.probe.data)
                answer = await asyncio.wait_for(read(reader), ANSWER_SECONDS)
                self.found.probes.append(time.monotonic() - began)
                if (answer.status, answer.body) != (200, self.probe.expected):
                    self.found.faults.append(f"a good request is answered {answer}")
                await asyncio.sleep(0.005)
        finally:
            writer.close()


async def read(reader: asyncio.StreamReader) -> Answer:
    """The next answer of a connection."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
    status = int(lines[0].split()[1])
    if status == 100:
        return await read(reader)
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    body = await reader.readexactly(int(headers["content-length"]))
    return Answer(status, body, headers.get("connection") == "close")


async def _send(case: Case, writer: asyncio.StreamWriter) -> None:
    size = -(-len(case.data) // case.pieces) or 1
    for at in range(0, len(case.data), size):
        if at:
            await asyncio.sleep(0.005)
        if writer.is_closing():
            raise ConnectionError("closed while it was sent")
        writer.write(case.data[at : at + size])
    await writer.drain()


def fault_of(body: bytes, sent: bytes) -> str:
    """What is wrong with the answer to something wrong; empty if it is as it should be."""
    message = body.decode()
    if body.startswith(b"{"):
        told = json.loads(body)
        message = told.get("message") or told.get("error") or ""
    if not message.strip():
        return "it does not say why"
    if len(message) > LONGEST_MESSAGE:
        return f"its message has {len(message)} characters"
    return "it repeats what was sent" if _repeats(message, sent) else ""


def _repeats(message: str, sent: bytes) -> bool:
    """Whether more than an echo is in both; looked for in every place only if something is found in few."""
    half = LONGEST_ECHO // 2
    if not any(message[at : at + half].encode() in sent for at in range(0, len(message) - half, half)):
        return False
    ends = range(LONGEST_ECHO + 1, len(message) + 1)
    return any(message[end - LONGEST_ECHO - 1 : end].encode() in sent for end in ends)


def good_request(body: bytes) -> bytes:
    """One that is expected to be answered."""
    return request(b"/invocations", body, b"application/json", b"x-request-id: probe")
