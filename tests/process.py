"""The operator as a process of this machine, and what it costs."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


@dataclass(frozen=True)
class Operator:
    """One that runs."""

    process: subprocess.Popen[bytes]
    port: int

    def memory(self, field: str = "VmRSS") -> float:
        """Resident memory in MB; with VmHWM the most that it ever was."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in text.splitlines() if line.startswith(field))) / 1024

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def requests(self) -> Mapping[str, float]:
        """Requests so far, by service and operation."""
        found: dict[str, float] = {}
        for name, labels, value in self.samples():
            if name == "serinus_requests_total":
                parts = dict(re.findall(r'(\w+)="([^"]*)"', labels))
                key = f"{parts['service']} {parts['operation']}"
                found[key] = found.get(key, 0.0) + float(value)
        return found

    def samples(self) -> list[tuple[str, str, str]]:
        """Its metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        matches = (match for line in lines if (match := _SAMPLE.match(line)))
        return [(match[1], match[2] or "", match[3]) for match in matches]

    def is_ready(self) -> bool:
        """Whether it leads and has seen all that is there."""
        try:
            leads = any(name == "serinus_leader" and float(value) == 1 for name, _, value in self.samples())
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=10) as answer:
                return leads and bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        """End it without a chance to say anything."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def running(kubeconfig: str, port: int, log: Path, **settings: str) -> Iterator[Operator]:
    """An operator, as long as the context is open."""
    told = {
        "SERINUS_TRAINER_IMAGE": "serinus/trainer:test",
        "SERINUS_SERVER_IMAGE": "serinus/server:test",
        "SERINUS_POD_NAME": f"operator-{port}",
        "SERINUS_LOG_FORMAT": "json",
        **{f"SERINUS_{name.upper()}": value for name, value in settings.items()},
    }
    env = {name: value for name, value in os.environ.items() if not name.startswith("SERINUS_")}
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "serinus"],
            env={**env, "KUBECONFIG": kubeconfig, "SERINUS_PORT": str(port), **told},
            stdout=output,
            stderr=output,
        )
        try:
            yield Operator(process, port)
        finally:
            process.terminate()
            process.wait()


def seconds_since(start: float) -> float:
    """How long ago that was, rounded for a report."""
    return round(time.monotonic() - start, 2)
