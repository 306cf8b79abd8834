"""TrainingJobs in stories: made, waited for, and looked up again in MLflow."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.cluster import processes
from tests.cluster.kubectl import Kubectl
from tests.e2e import pods
from tests.platform import NAMESPACE, RELEASE, Platform

API_VERSION = "serinus.dev/v1alpha1"
SECONDS = 240
OPEN = {"RUNNING", "SCHEDULED"}

# Training as anybody writes it: it joins the run that the environment names. {also} is what else it does.
TRAIN = """
import os, mlflow
from mlflow.pyfunc import PythonModel
class Twice(PythonModel):
    def predict(self, model_input: list[float]) -> list[float]:
        return [2 * one for one in model_input]
with mlflow.start_run() as run:
    mlflow.log_metric("val_f1", float(os.environ.get("PARAM_SCORE", "0.9")))
    mlflow.pyfunc.log_model(name="model", python_model=Twice(), pip_requirements=[])
"""


@dataclass(frozen=True)
class Run:
    """A run, as MLflow has it."""

    id: str
    name: str
    status: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    inputs: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Lab:
    """A namespace to train in, and the MLflow that is trained with."""

    installed: Platform
    namespace: str

    @property
    def kubectl(self) -> Kubectl:
        """The way to the cluster."""
        return self.installed.target.kubectl

    def apply(self, *manifests: dict[str, Any]) -> None:
        """Apply them all at once."""
        pods.apply(self.kubectl, self.namespace, *manifests)

    def job(self, name: str) -> dict[str, Any]:
        """A TrainingJob as it is now."""
        found: dict[str, Any] = self.kubectl.get("trainingjob", name, "-n", self.namespace)
        return found

    def status(self, name: str) -> dict[str, Any]:
        """Its status."""
        status: dict[str, Any] = self.job(name)["status"]
        return status

    def wait(self, name: str, condition: str, seconds: int = SECONDS) -> dict[str, Any]:
        """The status, once a condition is True; waited for as a user does."""
        what = f"trainingjob/{name}"
        self.kubectl("wait", "-n", self.namespace, what, f"--for=condition={condition}", f"--timeout={seconds}s")
        return self.status(name)

    def wait_for_phase(self, name: str, phase: str, seconds: int = SECONDS) -> dict[str, Any]:
        """The status, once it is in a phase."""
        what = f"trainingjob/{name}"
        path = f"--for=jsonpath={{.status.phase}}={phase}"
        self.kubectl("wait", "-n", self.namespace, what, path, f"--timeout={seconds}s")
        return self.status(name)

    def until(self, what: str, name: str, reached: Any, seconds: float = SECONDS) -> dict[str, Any]:  # noqa: ANN401 (any predicate)
        """The status, once it is as wanted."""
        assert processes.wait_until(lambda: reached(self.status(name)), seconds), f"{what}: {self.status(name)}"
        return self.status(name)

    def events(self, name: str) -> str:
        """What was told of it, as `kubectl events` prints it."""
        return self.kubectl("events", "-n", self.namespace, "--for", f"trainingjob/{name}")

    def pods_of(self, name: str) -> list[dict[str, Any]]:
        """Its pods."""
        chosen = ("-l", f"serinus.dev/training-job={name}")
        found: list[dict[str, Any]] = self.kubectl.get("pods", *chosen, "-n", self.namespace)["items"]
        return found

    def jobs_of(self, name: str) -> list[dict[str, Any]]:
        """Its Jobs."""
        chosen = ("-l", f"serinus.dev/training-job={name}")
        found: list[dict[str, Any]] = self.kubectl.get("jobs", *chosen, "-n", self.namespace)["items"]
        return found

    def runs(self, uid: str) -> list[Run]:
        """The runs of a TrainingJob, oldest first."""
        experiments = self.post("experiments/search", {"max_results": 1000})["experiments"]
        body = {
            "experiment_ids": [one["experiment_id"] for one in experiments],
            "filter": f"tags.`serinus.uid` = '{uid}'",
            "order_by": ["start_time ASC"],
            "max_results": 1000,
        }
        return [run_of(one) for one in self.post("runs/search", body).get("runs", ())]

    def runs_of(self, name: str) -> list[Run]:
        """The runs of a TrainingJob that is there, oldest first."""
        return self.runs(self.job(name)["metadata"]["uid"])

    def versions(self, model: str) -> list[dict[str, Any]]:
        """The versions of a model, oldest first."""
        found = self.installed.mlflow("model-versions/search", filter=f"name='{model}'").get("model_versions", [])
        return sorted(found, key=lambda one: int(one["version"]))

    def post(self, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 (whatever MLflow answers)
        """What MLflow's REST API answers to a POST."""
        with forwarded(self.kubectl, NAMESPACE, f"{RELEASE}-mlflow") as address:
            headers = {"Content-Type": "application/json"}
            url = f"{address}/api/2.0/mlflow/{path}"
            request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310 (our own forward)
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 (likewise)
                return json.loads(answer.read())


def training_job(name: str, code: str, **spec: Any) -> dict[str, Any]:  # noqa: ANN401 (any JSON)
    """A TrainingJob that runs Python code in the trainer image."""
    return {
        "apiVersion": API_VERSION,
        "kind": "TrainingJob",
        "metadata": {"name": name},
        "spec": {"command": ["python", "-c", code], **spec},
    }


def shell_job(name: str, script: str, **spec: Any) -> dict[str, Any]:  # noqa: ANN401 (any JSON)
    """A TrainingJob that runs a shell script, which starts sooner."""
    return {**training_job(name, ""), "spec": {"command": ["sh", "-c"], "args": [script], **spec}}


def conditions(status: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Status and reason of each condition."""
    return {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}


def message(status: Mapping[str, Any], kind: str) -> str:
    """The words of a condition."""
    return next(str(one["message"]) for one in status["conditions"] if one["type"] == kind)


@contextmanager
def forwarded(kubectl: Kubectl, namespace: str, service: str) -> Iterator[str]:
    """Where an MLflow answers on this machine, as long as the context is open."""
    words = (f"--kubeconfig={kubectl.kubeconfig}",) if kubectl.kubeconfig else ()
    what = ("port-forward", "-n", namespace, f"service/{service}", ":5000")
    with subprocess.Popen([kubectl.program, *words, *what], stdout=subprocess.PIPE, text=True) as forward:
        try:
            line = forward.stdout.readline() if forward.stdout is not None else ""
            yield f"http://{line.split()[2]}"
        finally:
            forward.terminate()


def run_of(found: Mapping[str, Any]) -> Run:
    """A run, of what MLflow answers."""
    info, data = found["info"], found["data"]
    return Run(
        info["run_id"],
        info["run_name"],
        info["status"],
        {one["key"]: one["value"] for one in data.get("tags", ())},
        {one["key"]: one["value"] for one in data.get("metrics", ())},
        found.get("inputs", {}).get("dataset_inputs", []),
    )
