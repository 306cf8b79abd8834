"""Small pods for stories: Python from an image that is there anyway, within the restricted standard."""

import json
from typing import Any

from tests.cluster.kubectl import Kubectl
from tests.cluster.target import Target

# Answers every request with the pod's name, over connections that stay open.
ECHO = """
import http.server, os
class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
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
    image = where.offer(["mlflow"])["mlflow"]
    container = {
        "name": "main",
        "image": image,
        "command": ["python", "-c", code],
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
    where.kubectl("wait", "-n", namespace, f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s")
    return where.kubectl("logs", "-n", namespace, name)
