"""Objects of the cluster as plain JSON, and how they are named: by kind, namespace and name."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from serinus.api import names
from serinus.api.resource import Resource

type Manifest = Mapping[str, Any]


@dataclass(frozen=True, order=True)
class ObjectKind:
    """A kind of object, and the word for it in addresses and in RBAC rules."""

    api_version: str
    kind: str
    plural: str

    @property
    def group(self) -> str:
        """The API group; empty for the core."""
        group, _, version = self.api_version.partition("/")
        return group if version else ""

    @property
    def path(self) -> str:
        """Where the API server serves the group and version."""
        return f"/{'apis' if self.group else 'api'}/{self.api_version}"


DEPLOYMENT: Final = ObjectKind("apps/v1", "Deployment", "deployments")
EVENT: Final = ObjectKind("v1", "Event", "events")
JOB: Final = ObjectKind("batch/v1", "Job", "jobs")
LEASE: Final = ObjectKind("coordination.k8s.io/v1", "Lease", "leases")
NAMESPACE: Final = ObjectKind("v1", "Namespace", "namespaces")
POD: Final = ObjectKind("v1", "Pod", "pods")
PVC: Final = ObjectKind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
SECRET: Final = ObjectKind("v1", "Secret", "secrets")
SERVICE: Final = ObjectKind("v1", "Service", "services")


def kind_of(resource: type[Resource]) -> ObjectKind:
    """The kind of one of our resources."""
    definition = resource.definition
    return ObjectKind(names.API_VERSION, definition.kind, definition.plural)


@dataclass(frozen=True, order=True)
class Ref:
    """The name of an object, unique in the cluster at any one time."""

    kind: ObjectKind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind.kind} {self.name}"


def ref_of(kind: ObjectKind, manifest: Manifest) -> Ref:
    """The name of an object whose kind is known."""
    metadata = manifest["metadata"]
    return Ref(kind, metadata.get("namespace", ""), metadata["name"])


def uid(manifest: Manifest) -> str:
    """What tells an object from an earlier or a later one of the same name."""
    return str(manifest["metadata"].get("uid", ""))


def version(manifest: Manifest) -> int:
    """The resourceVersion; a greater one is newer, which Kubernetes promises since 1.35 and etcd always kept."""
    return int(manifest["metadata"].get("resourceVersion") or 0)


def labels(manifest: Manifest) -> Mapping[str, str]:
    """The labels, if any."""
    return manifest["metadata"].get("labels") or {}


def annotations(manifest: Manifest) -> Mapping[str, str]:
    """The annotations, if any."""
    return manifest["metadata"].get("annotations") or {}


def controller(manifest: Manifest) -> str:
    """The uid of the object's controlling owner; empty if it has none."""
    owners = manifest["metadata"].get("ownerReferences") or ()
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), "")


def is_going(manifest: Manifest) -> bool:
    """Whether the object is being deleted."""
    return bool(manifest["metadata"].get("deletionTimestamp"))


def digest(value: object, length: int = 10) -> str:
    """A short name for any JSON value: equal for equal values, whatever the order of their keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:length]
