"""MLflow servers of a story's own: it may stop them, empty them and lock them without disturbing anybody else."""

import base64
import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.cluster import processes
from tests.e2e import pods
from tests.e2e.training import SECONDS, Lab, Run, forwarded, run_of

PORT = 5000
# Who MLflow's own basic-auth knows from the beginning.
USER = "admin"
_SERVER = ("mlflow", "server", "--host=0.0.0.0", f"--port={PORT}", "--workers=1", "--allowed-hosts=*")
_ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


@dataclass(frozen=True)
class Tracker(Lab):
    """An MLflow in the namespace of the story; with a password it lets in only who knows it."""

    name: str
    password: str = ""

    @property
    def uri(self) -> str:
        """Where it answers in the cluster."""
        return f"http://{self.name}.{self.namespace}:{PORT}"

    def deploy(self, *, replicas: int = 1, keeps: bool = False) -> None:
        """Make it; what it `keeps` is there again when it comes back."""
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}}}
        volume = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": self.name}, "spec": claim}
        self.apply(*([volume] if keeps else []), self._deployment(replicas, keeps=keeps), self._service())

    def scale(self, replicas: int) -> None:
        """Stop it, and wait until it is gone; or start it, and wait until it answers."""
        self.kubectl("scale", "-n", self.namespace, f"deployment/{self.name}", f"--replicas={replicas}")
        if replicas:
            self.ready()
        else:
            assert processes.wait_until(lambda: not self._pods(), SECONDS)

    def empty(self) -> None:
        """Start it anew without anything that it knew."""
        self.scale(0)
        self.scale(1)

    def ready(self) -> None:
        """Wait until it answers."""
        what = f"deployment/{self.name}"
        self.kubectl("rollout", "status", "-n", self.namespace, what, f"--timeout={SECONDS}s")

    def post(self, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 (whatever MLflow answers)
        """What its REST API answers to a POST."""
        return self._call(path, json.dumps(body).encode())

    def versions(self, model: str) -> list[dict[str, Any]]:
        """The versions of a model, oldest first."""
        query = urlencode({"filter": f"name='{model}'"})
        found = self._call(f"model-versions/search?{query}").get("model_versions", [])
        return sorted(found, key=lambda one: int(one["version"]))

    def every_run(self) -> list[Run]:
        """All runs that it has."""
        experiments = self.post("experiments/search", {"max_results": 1000})["experiments"]
        chosen = [one["experiment_id"] for one in experiments]
        found = self.post("runs/search", {"experiment_ids": chosen, "max_results": 1000})
        return [run_of(one) for one in found.get("runs", ())]

    def _call(self, path: str, body: bytes | None = None) -> Any:  # noqa: ANN401
        word = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {word}"}
        with forwarded(self.kubectl, self.namespace, self.name) as address:
            request = urllib.request.Request(f"{address}/api/2.0/mlflow/{path}", body, headers)  # noqa: S310 (our own)
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 (likewise)
                return json.loads(answer.read())

    def _pods(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.kubectl.get("pods", "-l", f"app={self.name}", "-n", self.namespace)["items"]
        return found

    def _deployment(self, replicas: int, *, keeps: bool) -> dict[str, Any]:
        pod = self._pod(keeps=keeps)
        template = {"metadata": {"labels": {"app": self.name}}, "spec": pod["spec"]}
        chosen = {"matchLabels": {"app": self.name}}
        spec = {"replicas": replicas, "strategy": {"type": "Recreate"}, "selector": chosen, "template": template}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": self.name}, "spec": spec}

    def _pod(self, *, keeps: bool) -> dict[str, Any]:
        image = self.installed.target.offer(["mlflow"])["mlflow"]
        command = [*_SERVER, "--backend-store-uri=sqlite:////data/mlflow.db", "--artifacts-destination=/data/artifacts"]
        locked = {"MLFLOW_AUTH_ADMIN_PASSWORD": self.password, "MLFLOW_FLASK_SERVER_SECRET_KEY": "of-this-test"}
        if self.password:
            command.append("--app-name=basic-auth")
        made = pods.pod(self.name, image, command, **_ENVIRONMENT, **(locked if self.password else {}))
        spec, main = made["spec"], made["spec"]["containers"][0]
        del spec["restartPolicy"]
        data = {"persistentVolumeClaim": {"claimName": self.name}} if keeps else {"emptyDir": {}}
        spec["volumes"] = [{"name": "data", **data}, {"name": "tmp", "emptyDir": {}}]
        main["volumeMounts"] = [{"name": name, "mountPath": f"/{name}"} for name in ("data", "tmp")]
        main["readinessProbe"] = {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 1, "timeoutSeconds": 5}
        return made

    def _service(self) -> dict[str, Any]:
        spec = {"selector": {"app": self.name}, "ports": [{"name": "http", "port": PORT}]}
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": self.name}, "spec": spec}
