"""Small pods for stories: Python from an image that is there anyway, within the restricted standard."""

import json
from typing import Any

import pytest

from tests.cluster import processes
from tests.cluster.kubectl import Kubectl
from tests.cluster.target import Target

POD_SECONDS = 120.0

# Answers every request with the pod's name, over connections that stay open.
ECHO = """
import http.server, os
class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # one packet for an answer: two would wait for each other
    def do_GET(self):
        body = os.environ["ANSWER"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("", 8080), Echo).serve_forever()
"""


def python_pod(where: Target, name: str, code: str, **environment: str) -> dict[str, Any]:
    """A pod that runs Python code."""
    return pod(name, where.offer(["mlflow"])["mlflow"], ["python", "-c", code], **environment)


def pod(name: str, image: str, command: list[str], **environment: str) -> dict[str, Any]:
    """A pod that runs a command once."""
    container = {
        "name": "main",
        "image": image,
        "command": command,
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        },
    }


def echo(where: Target, name: str) -> list[dict[str, Any]]:
    """A pod that answers its name on port 80 of a Service, ready once it listens."""
    echoing = python_pod(where, name, ECHO, ANSWER=name)
    echoing["spec"]["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    return [echoing, service(name)]


def service(name: str) -> dict[str, Any]:
    """A Service in front of the pod of the same name."""
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def apply(kubectl: Kubectl, namespace: str, *manifests: dict[str, Any]) -> None:
    """Apply manifests in a namespace."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    kubectl("apply", "-n", namespace, "-f", "-", stdin=text)


def run(where: Target, namespace: str, code: str, name: str = "once") -> str:
    """What Python code prints that runs in a pod of its own, to its end."""
    apply(where.kubectl, namespace, python_pod(where, name, code))
    wait_for_end(where.kubectl, namespace, name)
    return where.kubectl("logs", "-n", namespace, name)


def wait_for_end(kubectl: Kubectl, namespace: str, name: str) -> None:
    """Wait until a pod has succeeded; fail with what it printed as soon as it has not."""
    phases: list[str] = []

    def ended() -> bool:
        phases[:] = [kubectl("get", "pod", name, "-n", namespace, "-o", "jsonpath={.status.phase}")]
        return phases[0] in {"Succeeded", "Failed"}

    processes.wait_until(ended, POD_SECONDS)
    if phases != ["Succeeded"]:
        words = kubectl.try_("logs", "-n", namespace, name).stdout
        pytest.fail(f"pod {name} is {phases[0]}: {words or kubectl('describe', 'pod', name, '-n', namespace)}")
