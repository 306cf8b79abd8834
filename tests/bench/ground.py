"""A fresh cluster of pretended nodes on which pods run until the trainer ends them, and what its parts cost."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.api import Api
from tests.cluster import cluster, health, processes
from tests.cluster.cluster import Cluster
from tests.cluster.kubectl import Kubectl
from tests.cluster.layout import Profile
from tests.cluster.settings import CHECKOUT, Settings
from tests.process import TICKS

FOLDER = CHECKOUT / "build" / "bench"
LOGS = FOLDER / "logs"
NODES = 10
CAPACITY = {"cpu": "1k", "memory": "1Ti", "pods": "1000"}
ANNOTATION = "bench.serinus.dev/node"
# All of KWOK's own but the one that ends the pods of a Job at once.
STAGES = (
    "node/fast/node-initialize",
    "node/heartbeat-with-lease/node-heartbeat-with-lease",
    "pod/fast/pod-ready",
    "pod/fast/pod-delete",
)


@dataclass(frozen=True)
class Ground:
    """What a measurement stands on; `parts` are the processes whose CPU is counted."""

    kubectl: Kubectl
    api: Api
    parts: dict[str, int]
    ours: Mapping[str, subprocess.Popen[bytes]]

    def require_all(self) -> None:
        """An error where one of our own processes has ended."""
        if ended := [name for name, process in self.ours.items() if process.poll() is not None]:
            raise RuntimeError(f"{ended[0]} has ended: its log in {LOGS} says why")

    def cpu(self) -> Mapping[str, float]:
        """Seconds of CPU so far, by part with the processes that came out of it; `machine` is all that ran here."""
        parts = {name: sum(map(_cpu, processes.descendants(pid))) for name, pid in self.parts.items()}
        return {**parts, "bench": _cpu(os.getpid()), "machine": _machine()}


@contextmanager
def fresh(chosen: Settings, training_seconds: float) -> Iterator[Ground]:
    """A cluster for one measurement alone, as long as the context is open."""
    LOGS.mkdir(parents=True, exist_ok=True)
    with cluster.borrowed(chosen, Profile.KWOK, print) as started:
        api = Api(started.layout.server, started.layout.keys)
        trainer = [sys.executable, "-m", "tests.bench.trainer", f"--server={api.server}", f"--keys={api.keys}"]
        parts = {part.name: part.pid for part in health.parts(started.layout.state)}
        with (
            _running(_kwok(started), LOGS / "kwok.log") as kwok,
            _running([*trainer, f"--seconds={training_seconds}"], LOGS / "trainer.log") as training,
        ):
            nodes = [_node(f"pretended-{number}") for number in range(NODES)]
            started.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes}))
            ours = {"kwok": kwok, "trainer": training}
            yield Ground(started.kubectl, api, parts | {name: one.pid for name, one in ours.items()}, ours)


def _kwok(started: Cluster) -> list[str]:
    """A KWOK of our own, with stages of our choice; the cluster's finds no nodes that are for it."""
    stages = started.layout.binaries["kwok"] / "kustomize" / "stage"
    return [
        started.layout.program("kwok"),
        f"--kubeconfig={started.layout.kubeconfig}",
        f"--manage-nodes-with-annotation-selector={ANNOTATION}=fake",
        "--node-lease-duration-seconds=40",
        *(f"--config={stages / stage}.yaml" for stage in STAGES),
    ]


def _node(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": {ANNOTATION: "fake"}, "labels": {"kubernetes.io/hostname": name}},
        "status": {"capacity": CAPACITY, "allocatable": CAPACITY},
    }


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process of a command, as long as the context is open."""
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def _cpu(pid: int) -> float:
    """Seconds of a process and of its children that have ended; 0 where it is gone."""
    try:
        fields = (processes.PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


def _machine() -> float:
    """Seconds that all CPUs worked since the machine started: user, nice, system, and interrupts."""
    fields = (processes.PROC / "stat").read_text().split("\n", 1)[0].split()
    return sum(int(fields[index]) for index in (1, 2, 3, 6, 7)) / TICKS
