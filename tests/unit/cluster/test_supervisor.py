"""The supervisor with real processes: what it starts, when, and what becomes of them."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster import health, processes
from tests.cluster.settings import CHECKOUT

SOON = 10.0
SLEEP = ("sleep", "1000")


@dataclass
class Running:
    """A supervisor under test."""

    state: Path

    @property
    def pid(self) -> int:
        """The supervisor's own pid."""
        pid = processes.supervisor(self.state)
        assert pid is not None
        return pid

    def part(self, name: str) -> health.PartHealth:
        """What it says of one of its parts."""
        return next(part for part in health.parts(self.state) if part.name == name)

    def wait(self, true: Callable[[], bool]) -> None:
        """Wait until something is true, or fail with what the supervisor knows."""
        assert processes.wait_until(true, SOON), health.parts(self.state)


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a supervisor of parts given as `name=(command, after…)`."""

    def run(**parts: tuple[tuple[str, ...], tuple[str, ...]]) -> Running:
        components = [{"name": name, "command": command, "after": after} for name, (command, after) in parts.items()]
        (tmp_path / "logs").mkdir()
        (tmp_path / "plan.json").write_text(json.dumps({"components": components}))
        command = [sys.executable, "-m", "tests.cluster.supervisor", str(tmp_path)]
        subprocess.run(command, cwd=CHECKOUT, check=True)
        running = Running(tmp_path)
        running.wait(lambda: processes.supervisor(tmp_path) is not None and len(health.parts(tmp_path)) == len(parts))
        return running

    yield run
    processes.end(tmp_path)


def test_a_part_that_dies_is_started_again(start: Start) -> None:
    running = start(sleeper=(SLEEP, ()))
    first = running.part("sleeper").pid
    os.kill(first, signal.SIGKILL)
    running.wait(lambda: running.part("sleeper").pid not in {0, first})
    assert running.part("sleeper").restarts == 1
    assert running.part("sleeper").last_exit == "signal 9"


def test_a_part_that_keeps_dying_makes_the_cluster_hopeless_and_says_why(start: Start) -> None:
    running = start(broken=(("sh", "-c", "echo no such disk; exit 3"), ()), sleeper=(SLEEP, ()))
    running.wait(lambda: health.hopeless(running.state))
    words = health.troubles(running.state)
    assert "exit 3" in words
    assert "no such disk" in words
    assert "sleeper" not in words


def test_a_program_that_is_gone_does_not_take_the_others_along(start: Start) -> None:
    running = start(gone=(("/no/such/program",), ()), sleeper=(SLEEP, ()))
    running.wait(lambda: "No such file" in running.part("gone").last_exit)
    assert running.part("sleeper").pid


def test_a_part_waits_for_what_it_needs(start: Start, tmp_path: Path) -> None:
    address = tmp_path / "socket"
    running = start(server=(SLEEP, ()), client=(SLEEP, (f"unix:{address}",)))
    assert running.part("server").pid
    assert running.part("client").word == "waiting"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()
        running.wait(lambda: running.part("client").pid != 0)
    assert running.part("client").restarts == 0


def test_nothing_outlives_a_killed_supervisor(start: Start) -> None:
    running = start(one=(SLEEP, ()), two=(SLEEP, ()))
    running.wait(lambda: all(part.pid for part in health.parts(running.state)))
    pids = [part.pid for part in health.parts(running.state)]
    os.kill(running.pid, signal.SIGKILL)
    running.wait(lambda: not any(processes.command_line(pid) for pid in pids))
    assert health.hopeless(running.state)


def test_end_waits_until_all_are_gone(start: Start) -> None:
    running = start(one=(SLEEP, ()))
    running.wait(lambda: running.part("one").pid != 0)
    everything = processes.descendants(running.pid)
    assert len(everything) == 2
    processes.end(running.state)
    assert not any(processes.command_line(pid) for pid in everything)
    processes.end(running.state)


def test_it_is_found_and_ended_though_its_folder_was_removed(start: Start) -> None:
    running = start(one=(SLEEP, ()))
    pids = processes.descendants(running.pid)
    shutil.rmtree(running.state)
    assert processes.supervisor(running.state) == pids[0]
    processes.end(running.state)
    assert processes.supervisor(running.state) is None
    assert not any(processes.command_line(pid) for pid in pids)


def test_another_clusters_supervisor_is_not_ours(start: Start) -> None:
    running = start(one=(SLEEP, ()))
    assert processes.supervisor(running.state / "other") is None
    processes.end(running.state / "other")
    assert running.pid
