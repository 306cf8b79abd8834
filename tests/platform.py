"""Serinus, installed by its chart on a cluster: what the demo shows and what stories start from."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.cluster import images, processes
from tests.cluster.errors import ClusterError
from tests.cluster.settings import CHECKOUT
from tests.cluster.target import Target

CHART = CHECKOUT / "helm" / "serinus"
EXAMPLES = CHECKOUT / "manifests" / "examples"
NAMESPACE = "serinus"
RELEASE = "serinus"
# What the chart runs, and the images that its operator gives to others: each is a value of this name.
COMPONENTS = ("mlflow", "gateway", "operator", "trainer", "server")
JOB_SECONDS = 600.0
RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/warn": "restricted",
}


@dataclass(frozen=True)
class Platform:
    """An installed release, and the ways to what runs in it."""

    target: Target

    def mlflow(self, path: str, **query: str) -> Any:  # noqa: ANN401 (whatever MLflow answers)
        """What MLflow's REST API answers, asked through the API server: it needs no way into the cluster."""
        service = f"/api/v1/namespaces/{NAMESPACE}/services/{RELEASE}-mlflow:http/proxy"
        return json.loads(self.target.kubectl("get", "--raw", f"{service}/api/2.0/mlflow/{path}?{urlencode(query)}"))

    def address(self, component: str) -> str:
        """Where a component's Service answers inside the cluster, and on this machine if the cluster is our own."""
        service = self.target.kubectl.get("service", f"{RELEASE}-{component}", "-n", NAMESPACE)
        return f"http://{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}"

    def example(self, name: str) -> str:
        """The manifests of an example, with the images that were built here."""
        text = self.target.kubectl("kustomize", str(EXAMPLES / name))
        named = [image for image in images.IMAGES if f"serinus/{image}:0.1.0" in text]
        for image, reference in self.target.offer(named).items():
            text = text.replace(f"serinus/{image}:0.1.0", reference)
        return text


def install(target: Target) -> Platform:
    """Install or upgrade the release and wait until it is ready."""
    create_namespace(target, NAMESPACE)
    helm_install(target, NAMESPACE, {})
    return Platform(target)


def helm_install(target: Target, namespace: str, values: Mapping[str, Mapping[str, Any]]) -> None:
    """Install or upgrade a release of the chart, with the images that were built here."""
    chosen: dict[str, dict[str, Any]] = {
        name: {"image": image_values(reference)} for name, reference in target.offer(COMPONENTS).items()
    }
    chosen |= {name: {**chosen.get(name, {}), **value} for name, value in values.items()}
    target.say("installing the chart")
    command = [str(target.helm), "upgrade", "--install", RELEASE, str(CHART), "--namespace", namespace]
    config = [f"--kubeconfig={target.kubectl.kubeconfig}"] if target.kubectl.kubeconfig else []
    waiting = ["--wait", "--timeout=5m", "--values=-"]
    text = json.dumps(chosen)
    done = subprocess.run([*command, *config, *waiting], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(
            f"helm: {done.stderr.strip()}\n{_last_words(target, namespace)}",
            remedy=f"`kubectl describe pods -n {namespace}` says more",
        )


def _last_words(target: Target, namespace: str) -> str:
    """What the pods of a namespace print, and what Kubernetes says of them."""
    pods = target.kubectl.try_("get", "pods,events", "-n", namespace).stdout
    logs = target.kubectl.try_("logs", "-l", f"app.kubernetes.io/instance={RELEASE}", "-n", namespace, "--tail=5")
    return f"{pods}\n{logs.stdout}"


def image_values(reference: str) -> Mapping[str, str]:
    """The chart's values for an image."""
    repository, _, tag = reference.rpartition(":")
    return {"repository": repository, "tag": tag}


def create_namespace(target: Target, name: str) -> None:
    """A namespace that admits only pods of the strictest standard."""
    metadata = {"name": name, "labels": RESTRICTED}
    target.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))


def wait_for_job(target: Target, name: str, namespace: str) -> None:
    """Wait until a Job is complete, saying how its pods do; a ClusterError with their last words if it fails."""
    said: set[str] = set()

    def ended() -> bool:
        pods = target.kubectl.get("pods", "-l", f"job-name={name}", "-n", namespace)["items"]
        phases = ", ".join(f"{pod['metadata']['name']} is {pod['status']['phase']}" for pod in pods)
        if phases not in {"", *said}:
            target.say(phases)
            said.add(phases)
        return bool(_ends(target, name, namespace))

    processes.wait_until(ended, JOB_SECONDS)
    if "Complete" not in _ends(target, name, namespace):
        words = target.kubectl.try_("logs", f"job/{name}", "-n", namespace, "--tail=20").stdout
        pods = target.kubectl.try_("describe", "pods", "-l", f"job-name={name}", "-n", namespace).stdout[-1500:]
        raise ClusterError(f"the Job {name} did not complete\n{words or pods}", remedy="what it printed says why")


def _ends(target: Target, name: str, namespace: str) -> set[str]:
    """The conditions that end a Job, as far as they are true."""
    conditions = target.kubectl.get("job", name, "-n", namespace)["status"].get("conditions", [])
    return {one["type"] for one in conditions if one["status"] == "True"} & {"Complete", "Failed"}
