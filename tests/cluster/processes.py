"""Which processes are ours: found, watched and ended without ever touching somebody else's."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.errors import ClusterError

PROC = Path("/proc")
ENDING_SECONDS = 20.0
STARTING_SECONDS = 10.0
# The modules that run a cluster, each with its folder as the last argument.
SUPERVISORS = ("tests.cluster.node", "tests.cluster.supervisor")


def supervisor(state: Path) -> int | None:
    """The pid of the cluster's first process, or None where it is gone.

    It is found by what it runs, not by a note: a note can be lost, or name a later process with the same number.
    """
    return next((pid for pid in _pids() if _supervises(pid, state)), None)


def expect(state: Path, pid: int) -> None:
    """Wait until a process that was just started is found as the cluster's first."""
    if not wait_until(lambda: supervisor(state) == pid, STARTING_SECONDS):
        raise SystemExit("the supervisor ended at once")


def _is_starting(state: Path) -> bool:
    return any(_starts(pid, state) for pid in _pids())


def _starts(pid: int, state: Path) -> bool:
    """Whether a process is the cluster's first, or is about to start it."""
    words = command_line(pid)
    return len(words) >= len(SUPERVISORS) and words[-1] == str(state) and words[-2] in SUPERVISORS


def _supervises(pid: int, state: Path) -> bool:
    if not _starts(pid, state):
        return False
    # The processes that start it look the same, but lead no session.
    fields = _stat(pid)
    return bool(fields) and fields[0] != "Z" and fields[3] == str(pid)


def end(state: Path) -> None:
    """Kill the cluster's first process and wait until all that hung on it is gone.

    With it the kernel ends the node's namespaces; without namespaces it kills the parts, which asked for that. Who was
    starting it ends by itself then, even if nobody waits for that any more.
    """
    # One that is about to be started is waited for: it would be there after us.
    wait_until(lambda: supervisor(state) is not None or not _is_starting(state), ENDING_SECONDS)
    pid = supervisor(state)
    if pid is None:
        return
    started = _start_time(pid)
    parts = [child for child in descendants(pid) if child != pid]
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    gone = wait_until(lambda: _start_time(pid) != started and not any(map(_running, parts)), ENDING_SECONDS)
    wait_until(lambda: not _is_starting(state), ENDING_SECONDS)
    if not gone:
        raise ClusterError(
            f"the cluster's process {pid} did not end within {ENDING_SECONDS:.0f} s",
            remedy=f"look at it with `ps -o pid,stat,wchan,args {pid}`, then run `make cluster-down` again",
        )


def descendants(root: int) -> list[int]:
    """A process and all that came out of it, orphans included where it is the first of its namespace."""
    parents = {pid: parent for pid in _pids() if (parent := _parent(pid)) is not None}
    found = {root}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return sorted(found)


def command_line(pid: int) -> list[str]:
    """The arguments of a process, empty where it is gone."""
    try:
        text = (PROC / str(pid) / "cmdline").read_text()
    except OSError:
        return []
    return text.rstrip("\0").split("\0") if text else []


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    """Whether `true` came true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _pids() -> list[int]:
    return [int(path.name) for path in PROC.iterdir() if path.name.isdigit()]


def _stat(pid: int) -> list[str]:
    """The fields after the command's name, which may hold anything."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _parent(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def _start_time(pid: int) -> str:
    """When it started, in ticks since boot; empty where it is gone or only waits to be collected."""
    fields = _stat(pid)
    return fields[19] if fields and fields[0] != "Z" else ""


def _running(pid: int) -> bool:
    return bool(_start_time(pid))
