"""What a ModelDeployment makes: a Deployment for each revision, and the Service that leads to the one that serves."""

from typing import Any, Final

from serinus import pods
from serinus.api.modeldeployment import ModelDeployment
from serinus.api.names import Label
from serinus.objects import DEPLOYMENT, SERVICE, Manifest

CONTAINER: Final = "server"
PORT: Final = 8080


def deployment_name(resource: ModelDeployment, revision: str) -> str:
    """The name of the Deployment of a revision."""
    return pods.child_name(resource.metadata.name, revision)


def deployment(resource: ModelDeployment, revision: str, version: str, image: str, uri: str) -> Manifest:
    """The pods of a revision."""
    told = {Label.MODEL_DEPLOYMENT: resource.metadata.name, Label.REVISION: revision}
    spec = {
        "replicas": replicas(resource),
        "selector": {"matchLabels": told},
        "template": pods.template(
            _pod(resource, version, image, uri), {**told, Label.VERSION: version}, resource.spec.server.pod_template
        ),
    }
    name = deployment_name(resource, revision)
    return pods.child(DEPLOYMENT, resource, name, {**told, Label.VERSION: version}, spec)


def service(resource: ModelDeployment, revision: str) -> Manifest:
    """The way to the pods of the revision that serves: its selector is the traffic."""
    told = {Label.MODEL_DEPLOYMENT: resource.metadata.name}
    spec = {
        "selector": {**told, Label.REVISION: revision},
        "ports": [{"name": "http", "port": 80, "targetPort": PORT, "protocol": "TCP"}],
    }
    labels = {**told, Label.REVISION: revision}
    return pods.child(SERVICE, resource, resource.metadata.name, labels, spec)


def replicas(resource: ModelDeployment) -> int:
    """How many pods are wanted."""
    return resource.spec.server.replicas or 1


def _pod(resource: ModelDeployment, version: str, image: str, uri: str) -> dict[str, Any]:
    server = resource.spec.server
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": image,
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/ping", "port": PORT}, "periodSeconds": 5},
        "securityContext": pods.CONTAINER_SECURITY,
        **pods.env(server.env),
    }
    ours = [
        {"name": "MLFLOW_TRACKING_URI", "value": uri},
        {"name": "MODEL_URI", "value": f"models:/{resource.spec.model.name}/{version}"},
    ]
    container["env"] = [*ours, *container.get("env", [])]
    if resources := server.resources.wire():
        container["resources"] = resources
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pods.pod_security(is_our_image=not server.image),
        "containers": [container],
    }
