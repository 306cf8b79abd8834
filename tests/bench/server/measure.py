"""One server with one model: started, asked for the first time, checked, loaded, weighed, ended."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.server import formats, load
from tests.bench.server.formats import Question, Sample
from tests.bench.server.load import Order
from tests.bench.server.servers import CEILING, Place, Server
from tests.cluster import processes
from tests.process import TICKS

CORE = "0"
HOST = "127.0.0.1"
START_SECONDS = 90.0
# Some listen before their model is loaded; who refuses for longer than this will not change its mind.
REFUSED_SECONDS = 15.0
END_SECONDS = 15.0
POLL_SECONDS = 0.005
ASK_SECONDS = 30.0
# One of each is asked once before the load, and what it is answered then is what it is to be answered under load.
DIFFERENT = {1: 32, 100: 8}
QUIET = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Cell:
    """One load: so many rows in a request, over so many connections, for so long."""

    rows: int
    connections: int
    seconds: float

    @property
    def name(self) -> str:
        """How it is called in reports."""
        return f"{self.rows}x{self.connections}"


@dataclass(frozen=True)
class Subject:
    """What is measured: a server with a model, and the programs that both need."""

    server: Server
    python: Path
    model: Path
    generator: Path
    log: Path


@dataclass(frozen=True)
class Asked:
    """Requests that were asked once each, and the bytes of their answers where those are always the same."""

    path: str
    bodies: Sequence[str]
    expected: Sequence[str]


class Wrong(Exception):
    """A server does not answer what the model predicts."""


def measure(subject: Subject, cells: Sequence[Cell]) -> Mapping[str, Any]:
    """What was found, cell by cell; a RuntimeError or Wrong where the server does not work."""
    sample = formats.read(subject.model / "sample.json")
    with _running(subject, sample) as (process, port, began):
        first = _questions(subject.server, sample, 1)[0]
        start = _first_answer(subject, process, port, first, began)
        asked = {rows: _checked(subject.server, sample, port, rows) for rows in {cell.rows for cell in cells}}
        found = {cell.name: _cell(subject, process.pid, port, cell, asked[cell.rows]) for cell in cells}
        memory = _memory(process.pid)
    return {"start_s": round(start, 3), "memory_mb": memory, "cells": found}


def _cell(subject: Subject, pid: int, port: int, cell: Cell, asked: Asked) -> Mapping[str, Any]:
    warmup = max(0.25, cell.seconds / 8)
    order = Order(f"{HOST}:{port}", asked.path, asked.bodies, asked.expected, cell.connections, cell.seconds, warmup)
    before, core, began = _cpu(pid), _core(), time.monotonic()
    found = load.run(subject.generator, order)
    took = time.monotonic() - began
    used, worked = (_cpu(pid) - before) / took, (_core() - core) / took
    return {**asdict(found), "server_cpu": round(used, 2), "others_cpu": round(max(0.0, worked - used), 2)}


def _checked(server: Server, sample: Sample, port: int, rows: int) -> Asked:
    """Ask each question once and compare with the model's own predictions."""
    questions = _questions(server, sample, rows)
    bodies = [one.body for one in questions]
    path = _path(server, questions[0])
    if server.name == CEILING:
        return Asked(path, bodies, ())
    answers = [_ask(port, path, body) for body in bodies]
    for one, (status, text) in zip(questions, answers, strict=True):
        if status != http.HTTPStatus.OK:
            raise Wrong(f"{server.name} answers {status}: {text[:300]}")
        if list(formats.predictions(json.loads(text))) != list(one.predictions):
            raise Wrong(f"{server.name} predicts {text[:300]}, the model itself {one.predictions}")
    same = _ask(port, path, bodies[0]) == answers[0]
    return Asked(path, bodies, [text for _, text in answers] if same else ())


def _questions(server: Server, sample: Sample, rows: int) -> list[Question]:
    return formats.questions(sample, server.write, rows, DIFFERENT[rows])


def _path(server: Server, question: Question) -> str:
    """The ceiling is told in the path how many bytes MLflow's protocol would answer."""
    return server.path.format(bytes=len(json.dumps({"predictions": list(question.predictions)})))


def _first_answer(
    subject: Subject, process: subprocess.Popen[bytes], port: int, asked: Question, began: float
) -> float:
    """Seconds from the start of the process to its first answer with a prediction."""
    path, refused = _path(subject.server, asked), began + START_SECONDS
    while time.monotonic() - began < START_SECONDS:
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, text = _ask(port, path, asked.body)
            if status == http.HTTPStatus.OK:
                return time.monotonic() - began
            refused = min(refused, time.monotonic())
            if time.monotonic() - refused > REFUSED_SECONDS:
                raise RuntimeError(f"it answers {status} {text[:200]}; its log is {subject.log}")
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}; its log is {subject.log}")
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"it has no answer after {START_SECONDS:.0f} s; its log is {subject.log}")


def _ask(port: int, path: str, body: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(HOST, port, timeout=ASK_SECONDS)
    with contextlib.closing(connection):
        connection.request("POST", path, body, load.CONTENT)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@contextmanager
def _running(subject: Subject, sample: Sample) -> Iterator[tuple[subprocess.Popen[bytes], int, float]]:
    """The server's process on its core, its port, and when it began, as long as the context is open."""
    with tempfile.TemporaryDirectory() as scratch, subject.log.open("w") as log:
        place = Place(subject.python, subject.model, sample, Path(scratch), free_ports(3))
        start = subject.server.start(place)
        env = {name: value for name, value in os.environ.items() if name not in QUIET}
        path = f"{subject.python.parent}:{os.environ['PATH']}"
        began = time.monotonic()
        process = subprocess.Popen(
            ["taskset", "--cpu-list", CORE, *start.command],
            env={**env, **THREADS, "PATH": path, **start.env},
            cwd=scratch,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process, place.ports[0], began
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to end, and then make it: its session has no processes but its own."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_ports(number: int) -> list[int]:
    """So many ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]


def _memory(pid: int) -> float:
    """MB of a process and all that came out of it, what is shared counted by share (PSS)."""
    return round(sum(map(_pss, processes.descendants(pid))) / 1024, 1)


def _pss(pid: int) -> int:
    try:
        lines = (processes.PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _cpu(pid: int) -> float:
    """Seconds of CPU of a process and all that came out of it."""
    return sum(map(_seconds, processes.descendants(pid)))


def _core() -> float:
    """Seconds that the server's core worked, for whomever, stolen ones included."""
    lines = (processes.PROC / "stat").read_text().splitlines()
    fields = next(line.split()[1:] for line in lines if line.startswith(f"cpu{CORE} "))
    return sum(int(fields[index]) for index in (0, 1, 2, 5, 6, 7)) / TICKS


def _seconds(pid: int) -> float:
    try:
        fields = (processes.PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS
