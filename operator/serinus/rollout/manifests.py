"""What a ModelDeployment makes: a Deployment for each revision, and the Service that leads to the one that serves."""

from dataclasses import dataclass
from typing import Any, Final

from serinus import pods
from serinus.api.modeldeployment import ModelDeployment, Server
from serinus.api.names import Environment, Label
from serinus.objects import DEPLOYMENT, SERVICE, Manifest

CONTAINER: Final = "server"
PORT: Final = 8080


@dataclass(frozen=True)
class Revision:
    """A revision, with what was resolved for it."""

    id: str
    model: str
    version: str
    image: str
    registry: str


def deployment_name(resource: ModelDeployment, revision: str) -> str:
    """The name of the Deployment of a revision."""
    return pods.child_name(resource.metadata.name, revision)


def deployment(resource: ModelDeployment, revision: Revision) -> Manifest:
    """The pods of a revision."""
    chosen = {Label.MODEL_DEPLOYMENT: resource.metadata.name, Label.REVISION: revision.id}
    told = {**chosen, Label.VERSION: revision.version}
    spec = {
        "replicas": replicas(resource),
        "selector": {"matchLabels": chosen},
        "template": pods.template(_pod(resource, revision), told, resource.spec.server.pod_template),
    }
    return pods.child(DEPLOYMENT, resource, deployment_name(resource, revision.id), told, spec)


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


def _pod(resource: ModelDeployment, revision: Revision) -> dict[str, Any]:
    server = resource.spec.server
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": revision.image,
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/ping", "port": PORT}, "periodSeconds": 5},
        # What a server leaves of a model that it cannot serve, and the end of its log if it could not even do that.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": pods.CONTAINER_SECURITY,
        **pods.env(server.env),
    }
    ours = [{"name": name, "value": value} for name, value in _settings(server, revision).items()]
    container["env"] = pods.merged(ours, container.get("env", []))
    if resources := server.resources.wire():
        container["resources"] = resources
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pods.pod_security(is_our_image=not server.image),
        "containers": [container],
    }


def _settings(server: Server, revision: Revision) -> dict[str, str]:
    """What the server is told; see docs/server.md. Other servers may have their own use of it."""
    return {
        Environment.TRACKING_URI: revision.registry,
        "MODEL_URI": f"models:/{revision.model}/{revision.version}",
        "MODEL_NAME": revision.model,
        "MODEL_VERSION": revision.version,
        "MODEL_REVISION": revision.id,
        "MODEL_ENVIRONMENT": server.environment,
        "BATCH_MAX_SIZE": str(server.batching.max_size),
        "BATCH_MAX_DELAY": f"{server.batching.max_delay.total_seconds():g}s",
    }
