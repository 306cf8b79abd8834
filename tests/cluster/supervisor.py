"""Keeps the parts of one cluster running, and says in a file how they do.

It is the first process of the node's own namespaces. That is what makes `down` safe: when this process dies, by
whatever hand, the kernel ends every process of the node and drops its mounts, interfaces and rules with it.
"""

import ctypes
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.cluster import processes

PR_SET_PDEATHSIG = 1
RESTART_SECONDS = (0.2, 0.5, 1, 2, 5)  # the last for every further restart
STEADY_SECONDS = 20.0
IDLE_SECONDS = 5.0
STARTING_SECONDS = 0.1
PROBE_SECONDS = 1.0

_libc = ctypes.CDLL(None)


@dataclass
class Part:
    """One part and what has become of it."""

    name: str
    command: list[str]
    after: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float = 0.0
    restarts: int = 0
    failures: int = 0
    last_exit: str = ""

    def start(self, logs: Path) -> None:
        """Start it; should the supervisor die, the kernel kills it. A program that is gone has ended at once."""
        self.started = time.monotonic()
        try:
            self._spawn(logs / f"{self.name}.log")
        except OSError as error:
            self.ended(str(error))

    def _spawn(self, path: Path) -> None:
        with path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_prepare_child,  # noqa: PLW1509 (one thread only)
            )

    def ended(self, how: str) -> None:
        """Note how it ended and when it is to be started again."""
        self.due = time.monotonic() + RESTART_SECONDS[min(self.failures, len(RESTART_SECONDS) - 1)]
        self.failures += 1
        self.restarts += 1
        self.last_exit = how
        self.process = None

    def forgive(self) -> bool:
        """Forget its quick ends once it has run for a while; whether there were any."""
        steady = self.process is not None and time.monotonic() - self.started > STEADY_SECONDS
        forgiven = steady and self.failures > 0
        self.failures = 0 if steady else self.failures
        return forgiven

    def summary(self) -> dict[str, Any]:
        """What `status` shows of it."""
        return {
            "pid": self.process.pid if self.process else 0,
            "restarts": self.restarts,
            "failures": self.failures,
            "last_exit": self.last_exit,
        }


@dataclass
class Supervisor:
    """All parts of one cluster."""

    state: Path
    parts: list[Part] = field(default_factory=list)

    def run(self) -> None:
        """Start what is due, restart what ended, until told to stop."""
        watched = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
        signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        while True:
            changed = self._reap()
            changed |= self._start_due()
            changed |= sum(part.forgive() for part in self.parts) > 0
            if changed:
                self._report()
            waiting = any(part.process is None for part in self.parts)
            received = signal.sigtimedwait(watched, STARTING_SECONDS if waiting else IDLE_SECONDS)
            if received is not None and received.si_signo != signal.SIGCHLD:
                return

    def _reap(self) -> bool:
        """Collect every ended child: orphans of the node, too, are children of its first process."""
        changed = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return changed
            if pid == 0:
                return changed
            for part in self.parts:
                if part.process is not None and part.process.pid == pid:
                    part.process.returncode = code = os.waitstatus_to_exitcode(status)
                    part.ended(f"signal {-code}" if code < 0 else f"exit {code}")
                    changed = True

    def _start_due(self) -> bool:
        started = False
        for part in self.parts:
            if part.process is None and time.monotonic() >= part.due and all(map(_answers, part.after)):
                part.start(self.state / "logs")
                started = True
        return started

    def _report(self) -> None:
        """Write down how all do; a full disk must not take the parts along."""
        report = {part.name: part.summary() for part in self.parts}
        temporary = self.state / "report.json.tmp"
        try:
            temporary.write_text(json.dumps(report))
            temporary.rename(self.state / "report.json")
        except OSError as error:
            print(f"no report: {error}", file=sys.stderr, flush=True)


def _prepare_child() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT})
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _answers(address: str) -> bool:
    """Whether somebody listens at `host:port` or `unix:path`, or a URL answers 200."""
    if address.startswith("https://"):
        return _answers_ok(address)
    kind, _, rest = address.partition(":")
    target: Any = rest if kind == "unix" else (kind, int(rest))
    with socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET) as probe:
        probe.settimeout(PROBE_SECONDS)
        return probe.connect_ex(target) == 0


def _answers_ok(url: str) -> bool:
    trusting = ssl._create_unverified_context()  # noqa: S323, SLF001 (our own server; nothing is sent to it)
    try:
        with urlopen(url, timeout=PROBE_SECONDS, context=trusting) as answer:  # noqa: S310 (https only, see above)
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False


def main(state: Path) -> None:
    """Run the parts that `plan.json` in the state folder names."""
    plan = json.loads((state / "plan.json").read_text())
    parts = [Part(entry["name"], list(entry["command"]), list(entry["after"])) for entry in plan["components"]]
    Supervisor(state, parts).run()


def start(state: Path) -> None:
    """Run them in a process of its own session, and return once it can be found."""
    child = os.fork()
    if child == 0:
        os.setsid()
        main(state)
        os._exit(0)
    processes.expect(state, child)


if __name__ == "__main__":
    start(Path(sys.argv[1]))
