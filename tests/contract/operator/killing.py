"""A ground on which the operator is killed in the middle of an effect, and what must have become of everything then."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import processes
from tests.cluster.cluster import Cluster
from tests.contract.mlflow.rest import Rest
from tests.contract.operator import desk, playing
from tests.contract.operator.desk import SECONDS, Desk
from tests.contract.operator.holding import Hold, Proxy, Request
from tests.contract.operator.playing import METRIC, PODS, Player

# What is held keeps nobody else from working, and is not given up before all are held.
_PATIENT = {"workers": "32", "registry_concurrency": "32", "registry_timeout": "30s"}

# Whether a request brings about an effect, for the TrainingJob of this name.
type Effect = Callable[[Ground, str, Request], bool]


@dataclass
class Ground:
    """A cluster, MLflow, the ways that the operator has to both, and the operator that runs at this moment."""

    cluster: Cluster
    namespace: str
    mlflow: Rest
    to_kubernetes: Proxy
    to_mlflow: Proxy
    player: Player
    folder: Path
    starts: int = 0
    running: AbstractContextManager[Desk] | None = None
    at: Desk | None = None

    def start(self) -> None:
        """Start an operator, with a log of its own."""
        self.starts += 1
        folder = self.folder / str(self.starts)
        folder.mkdir()
        kubeconfig = _kubeconfig(folder, self.to_kubernetes.address)
        self.running = desk.operator(self.cluster, folder, kubeconfig, tracking_uri=self.to_mlflow.address, **_PATIENT)
        self.at = self.running.__enter__()

    def end(self) -> None:
        """End the one that runs."""
        if self.running is not None:
            self.running.__exit__(None, None, None)

    def create(self, models: Mapping[str, str], *args: str) -> None:
        """A TrainingJob for each model, all at once: with a gate, and a version to register."""
        items = [self._training_job(name, model, args) for name, model in models.items()]
        self.cluster.kubectl(
            "create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        )

    def _training_job(self, name: str, model: str, args: Sequence[str]) -> Mapping[str, Any]:
        register = {"model": model, "alias": "champion"}
        spec = {"gate": [{"metric": METRIC, "min": 0.8}], "register": register, "podTemplate": PODS, "args": args}
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": "serinus.dev/v1alpha1", "kind": "TrainingJob", "metadata": metadata, "spec": spec}

    @contextmanager
    def killed(self, effects: Mapping[str, Effect]) -> Iterator[None]:
        """Kill the operator when each effect is under way for the TrainingJob of its name, and start another one.

        Those whose name ends in "-after" have come about when it is killed, the others never do.
        """
        holds = [self._hold(name, effect) for name, effect in effects.items()]
        with self.to_kubernetes.holding(*holds), self.to_mlflow.holding(*holds):
            yield
            caught = processes.wait_until(lambda: all(hold.caught.is_set() for hold in holds), SECONDS)
            missed = [name for name, hold in zip(effects, holds, strict=True) if not hold.caught.is_set()]
            assert self.at is not None
            assert caught, f"{missed} got nowhere: {self.at.log.read_text()[-3000:]}"
            self.at.operator.kill()
        self.end()
        self.start()

    def _hold(self, name: str, effect: Effect) -> Hold:
        return Hold(lambda request: effect(self, name, request), after=name.endswith("-after"))

    def resource(self, name: str) -> str:
        """How a run's tag names a TrainingJob."""
        return f"{self.namespace}/{name}"

    def ended(self, name: str) -> Mapping[str, Any]:
        """The TrainingJob, once it is told how it ended."""
        found: list[Mapping[str, Any]] = [{}]

        def is_over() -> bool:
            found[0] = self.cluster.kubectl.get("tj", name, "-n", self.namespace)
            return "finishedAt" in found[0].get("status", {})

        assert self.at is not None
        assert processes.wait_until(is_over, SECONDS), f"{found[0]}: {self.at.log.read_text()[-3000:]}"
        return found[0]

    def runs_of(self, job: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """All runs that were made for a TrainingJob, in the order of their attempts."""
        experiment = self.mlflow.get("experiments/get-by-name", experiment_name=self.resource(job["metadata"]["name"]))
        runs = self.mlflow.runs(experiment["experiment"]["experiment_id"])
        mine = [run for run in runs if tags(run["data"])["serinus.uid"] == job["metadata"]["uid"]]
        return sorted(mine, key=lambda run: int(tags(run["data"])["serinus.attempt"]))

    def versions_of(self, model: str) -> Sequence[Mapping[str, Any]]:
        """All versions of a model."""
        found = self.mlflow.get("model-versions/search", filter=f"name='{model}'")
        return list(found.get("model_versions", []))

    def jobs_of(self, name: str) -> Sequence[Mapping[str, Any]]:
        """All Jobs of a TrainingJob."""
        chosen = ("-l", f"serinus.dev/training-job={name}", "-n", self.namespace)
        return list(self.cluster.kubectl.get("jobs", *chosen)["items"])


@contextmanager
def ground(cluster: Cluster, namespace: str, mlflow: Rest, ways: tuple[Proxy, Proxy], folder: Path) -> Iterator[Ground]:
    """An operator runs, and all pods of the namespace are played."""
    with playing.playing(playing.api_of(cluster), namespace, mlflow) as player:
        made = Ground(cluster, namespace, mlflow, *ways, player, folder)
        made.start()
        try:
            yield made
        finally:
            made.end()


def tags(data: Mapping[str, Any]) -> Mapping[str, str]:
    """MLflow's list of tags as a mapping."""
    return {tag["key"]: tag["value"] for tag in data.get("tags", ())}


def new_model(name: str) -> str:
    """A name for a model that no other test uses."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def _kubeconfig(folder: Path, server: str) -> Path:
    path = folder / "kubeconfig"
    path.write_text(_KUBECONFIG.format(server=server))
    return path


_KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: here
clusters: [{{name: here, cluster: {{server: "{server}"}}}}]
users: [{{name: me, user: {{}}}}]
contexts: [{{name: here, context: {{cluster: here, user: me}}}}]
"""
