"""The load on one server: given to the generator, and what that found."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

CORE = "1"
CONTENT = {"Content-Type": "application/json"}
DRAIN_SECONDS = 30.0


@dataclass(frozen=True)
class Order:
    """What the generator is to do; `expected` is empty where the bytes of an answer cannot be foreseen."""

    address: str
    path: str
    bodies: Sequence[str]
    expected: Sequence[str]
    connections: int
    seconds: float
    warmup_seconds: float

    def text(self) -> str:
        """As the generator reads it."""
        return json.dumps({**asdict(self), "headers": CONTENT, "drain_seconds": DRAIN_SECONDS})


@dataclass(frozen=True)
class Load:
    """What one load found; `faults` says in words what must not be."""

    requests_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    sampled: int
    generator_cpu: float
    faults: Sequence[str]


def run(program: Path, order: Order) -> Load:
    """Load one server, from a core of the generator's own."""
    env = {"GOMAXPROCS": "1", "GOGC": "400"}
    command = ["taskset", "--cpu-list", CORE, str(program)]
    done = subprocess.run(command, input=order.text(), env=env, capture_output=True, text=True, check=True)
    return parse(done.stdout)


def parse(text: str) -> Load:
    """What the generator wrote."""
    found = json.loads(text)
    return Load(
        requests_s=round(found["answered"] / found["seconds"], 1),
        p50_ms=found["p50_ms"],
        p99_ms=found["p99_ms"],
        max_ms=found["max_ms"],
        sampled=found["sampled"],
        generator_cpu=round(found["cpu"], 3),
        faults=_faults(found),
    )


def _faults(found: Mapping[str, Any]) -> list[str]:
    said = {
        "not_ok": f"answers that are no 2xx: {found['statuses']}",
        "wrong": "answers that are not what they were before the load",
        "failed": f"connections that failed: {found.get('error', '')}",
        "unfinished": f"requests with no answer after {DRAIN_SECONDS:.0f} s more",
    }
    faults = [f"{found[key]} {words}" for key, words in said.items() if found[key]]
    return faults if found["answered"] else [*faults, "no answer came while it was measured"]
