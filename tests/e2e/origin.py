"""A pod that stories fetch code and data from, by the names that pods know: real Git over HTTP, and plain files."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.kubectl import Kubectl
from tests.cluster.target import Target
from tests.e2e import pods

URL = "http://origin"
USERNAME, PASSWORD = "team", "a-token-of-the-team"
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}}

_POST = """
import sys, urllib.request
print(urllib.request.urlopen("http://localhost:8080/{path}", sys.stdin.buffer.read()).read().decode())
"""
_PROGRAM = Path(__file__).with_name("origin_server.py")


@dataclass(frozen=True)
class Origin:
    """The way to what the pod serves."""

    kubectl: Kubectl
    namespace: str

    def commit(self, repository: str, branch: str, files: Mapping[str, str]) -> str:
        """Commit these files and no others to a branch; the id of the commit."""
        code = _POST.format(path=f"commits/{repository}/{branch}")
        inside = ("exec", "-i", "-n", self.namespace, "origin", "--", "python", "-c", code)
        return self.kubectl(*inside, stdin=json.dumps(files)).strip()


def manifests(where: Target, files: str) -> list[dict[str, Any]]:
    """The pod, which serves the files of a ConfigMap, and its Service."""
    code = _PROGRAM.read_text()
    made = pods.pod("origin", _image(where), ["python", "-c", code], GIT_LOGIN=f"{USERNAME}:{PASSWORD}")
    made["spec"]["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    made["spec"] |= {"volumes": [{"name": "files", "configMap": {"name": files}}, {"name": "tmp", "emptyDir": {}}]}
    made["spec"]["containers"][0]["volumeMounts"] = [
        {"name": "files", "mountPath": "/files"},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 (the pod's own)
    ]
    return [made, pods.service("origin")]


def shelf(where: Target, name: str, files: str, script: str) -> list[dict[str, Any]]:
    """A claim, and a pod of its name that fills it by a script: from /files, a ConfigMap, to /shelf."""
    made = pods.pod(name, _image(where), ["sh", "-ec", script])
    made["spec"] |= {
        "volumes": [
            {"name": "files", "configMap": {"name": files}},
            {"name": "shelf", "persistentVolumeClaim": {"claimName": name}},
        ]
    }
    made["spec"]["containers"][0]["volumeMounts"] = [
        {"name": "files", "mountPath": "/files"},
        {"name": "shelf", "mountPath": "/shelf"},
    ]
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": CLAIM}
    return [claim, made]


def config_map(name: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    """A ConfigMap of files."""
    data = {key: base64.b64encode(content).decode() for key, content in files.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "binaryData": data}


def secret(name: str, **values: str) -> dict[str, Any]:
    """A Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def _image(where: Target) -> str:
    return where.offer(["trainer"])["trainer"]
