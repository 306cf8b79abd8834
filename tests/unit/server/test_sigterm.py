"""SIGTERM under full load: who has connected is answered, also in the very last moment."""

import asyncio
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from tests.unit.server.fuzzing import request
from tests.unit.server.fuzzing_client import read
from tests.unit.server.processes import Running, running, write_model

ASKED = request(b"/invocations", b'{"inputs":{"a":[1.0],"b":[2.0]}}')
ANSWERED = (200, b'{"predictions":[2.0]}')
CLIENTS = 64
DRAIN = 1.0


@dataclass
class Seen:
    """What all clients have seen."""

    answered: int = 0
    failures: list[str] = field(default_factory=list)
    told_at: float = 0.0


async def ask_on(port: int, seen: Seen) -> None:
    """Without a pause, over new connections where one is closed, until none is taken."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError as error:
            if not seen.told_at or time.monotonic() < seen.told_at + 0.9 * DRAIN:
                seen.failures.append(f"refused too early: {error!r}")
            return
        await ask_over(reader, writer, seen)
        writer.close()


async def ask_over(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen) -> None:
    """Over one connection, until it is closed in order."""
    while True:
        try:
            writer.write(ASKED)
            answer = await read(reader)
        except (OSError, EOFError) as error:
            seen.failures.append(f"cut off: {error!r}")
            return
        seen.answered += 1
        if (answer.status, answer.body) != ANSWERED:
            seen.failures.append(f"{answer}")
        if answer.is_last:
            return


async def play(server: Running) -> Seen:
    """Full load, and in the midst of it the end."""
    seen = Seen()
    clients = [asyncio.create_task(ask_on(server.port, seen)) for _ in range(CLIENTS)]
    await asyncio.sleep(1)
    server.process.send_signal(signal.SIGTERM)
    seen.told_at = time.monotonic()
    await asyncio.gather(*clients)
    return seen


def test_nobody_is_cut_off_who_has_connected(tmp_path: Path) -> None:
    with running(write_model(tmp_path / "model"), tmp_path / "log", DRAIN=f"{DRAIN:g}s") as server:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            seen = runner.run(play(server))
        assert (server.process.wait(20), seen.failures) == (0, [])
        assert seen.answered > 500
