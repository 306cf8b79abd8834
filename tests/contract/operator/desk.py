"""What a user does at the keyboard, and what the operator says then."""

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import process
from tests.cluster import processes
from tests.cluster.cluster import Cluster
from tests.process import Operator

# Nothing listens there: the registry is away, which most of these stories do not mind.
NOWHERE = "http://127.0.0.1:9"
SECONDS = 60.0
SPEC: Mapping[str, Mapping[str, Any]] = {
    "TrainingJob": {"args": ["$(params.depth)"], "parameters": {"depth": 8}},
    "ModelDeployment": {"model": {"name": "churn", "alias": "champion"}},
}


@dataclass(frozen=True)
class Desk:
    """A cluster, an operator that runs, and its log."""

    cluster: Cluster
    operator: Operator
    log: Path

    def create(
        self, namespace: str, kind: str, name: str, spec: Mapping[str, Any] | None = None, **more: object
    ) -> None:
        """Create a resource of ours."""
        create(self.cluster, namespace, kind, name, spec, **more)

    def status(self, namespace: str, kind: str, name: str) -> Mapping[str, Any]:
        """Its status, once the operator has said something."""
        found: list[Mapping[str, Any]] = []

        def said() -> bool:
            found[:] = [self.cluster.kubectl.get(kind, name, "-n", namespace)["status"]]
            return bool(found[0].get("conditions"))

        assert processes.wait_until(said, SECONDS), f"{kind} {name} got no status: {self.log.read_text()[-2000:]}"
        return found[0]

    def condition(self, namespace: str, kind: str, name: str, reason: str) -> str:
        """The message of a condition with this reason, once there is one."""
        return self.until(lambda: _message(self.cluster.kubectl.get(kind, name, "-n", namespace), reason))

    def logged(self, words: str) -> str:
        """The line of the log with these words, once there is one."""
        return self.until(lambda: next((line for line in self.log.read_text().splitlines() if words in line), ""))

    def until(self, look: Callable[[], str]) -> str:
        """What is seen as soon as anything is."""
        seen = [""]

        def saw() -> bool:
            seen[0] = look()
            return bool(seen[0])

        assert processes.wait_until(saw, SECONDS), self.log.read_text()[-3000:]
        return seen[0]


@contextmanager
def operator(cluster: Cluster, folder: Path, kubeconfig: Path | None = None, **settings: str) -> Iterator[Desk]:
    """An operator of our own, alone and so without a Lease, as long as the context is open."""
    told = {"tracking_uri": NOWHERE, "leader_election": "false", **settings}
    log = folder / "operator.log"
    where = str(kubeconfig or cluster.layout.kubeconfig)
    with process.running(where, _free_port(), log, **told) as running:
        yield Desk(cluster, running, log)


def create(
    cluster: Cluster, namespace: str, kind: str, name: str, spec: Mapping[str, Any] | None = None, **more: object
) -> None:
    """Create a resource of ours, as it is written, without kubectl's own checks."""
    metadata = {"name": name, "namespace": namespace, **more}
    document = {"apiVersion": "serinus.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec or SPEC[kind]}
    cluster.kubectl("create", "--validate=ignore", "-f", "-", stdin=json.dumps(document))


def _message(resource: Mapping[str, Any], reason: str) -> str:
    found = (one for one in resource["status"].get("conditions", []) if one["reason"] == reason)
    return next((f"{one['status']}: {one['message']}" for one in found), "")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
