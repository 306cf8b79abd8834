"""Pods as both kinds make them: what every pod of ours has, and what the user wrote over it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from serinus import objects
from serinus.api import names
from serinus.api.pod import EnvFrom, EnvVar, PodTemplate
from serinus.api.resource import Resource
from serinus.objects import Manifest, ObjectKind

# The group of our images, and of volumes that containers write to.
GROUP: Final = 65532
# What the strictest Pod Security Standard asks for and no ordinary program misses.
CONTAINER_SECURITY: Final = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def child(kind: ObjectKind, owner: Resource, name: str, labels: Mapping[str, str], spec: Manifest) -> Manifest:
    """An object of ours for a resource, which owns and controls it: it goes when the resource goes."""
    reference = {
        "apiVersion": names.API_VERSION,
        "kind": owner.definition.kind,
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata = {
        "name": name,
        "namespace": owner.metadata.namespace,
        "labels": {names.Label.MANAGED_BY: names.MANAGER, **labels},
        "ownerReferences": [reference],
    }
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}


def child_name(resource: str, *parts: object, room: int = 0) -> str:
    """A name for a child: the resource's own, then what tells the child from its siblings; 63 characters, less `room`.

    Where there is no room the resource's name is cut and a digest of it stands for the rest.
    """
    tail = "".join(f"-{part}" for part in parts)
    most = _LABEL - room
    if len(resource) + len(tail) <= most:
        return resource + tail
    short = f"-{objects.digest(resource, 8)}{tail}"
    return resource[: most - len(short)].rstrip("-.") + short


def template(
    base: Mapping[str, Any],
    labels: Mapping[str, str],
    override: PodTemplate,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A pod template: our pod spec with the user's over it, and the labels and annotations of both."""
    metadata: dict[str, Any] = {
        "labels": {**override.metadata.labels, names.Label.MANAGED_BY: names.MANAGER, **labels},
    }
    if noted := {**override.metadata.annotations, **(annotations or {})}:
        metadata["annotations"] = noted
    return {"metadata": metadata, "spec": merged(base, override.spec)}


def pod_security(*, is_our_image: bool) -> dict[str, Any]:
    """The pod's security context. Images of others may run as root, where the namespace allows it."""
    nonroot = {"runAsNonRoot": True} if is_our_image else {}
    return {"seccompProfile": {"type": "RuntimeDefault"}, **nonroot}


def env(variables: Sequence[EnvVar], sources: Sequence[EnvFrom] = ()) -> dict[str, Any]:
    """The variables of a container, as core/v1 has them."""
    parts = {"env": [one.wire() for one in variables], "envFrom": [one.wire() for one in sources]}
    return {key: value for key, value in parts.items() if value}


def merged(base: Any, over: Any) -> Any:  # noqa: ANN401 (any JSON)
    """One piece of a manifest over another: mappings by key, lists of named items by name, all else replaced."""
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        both = {key: merged(base[key], over[key]) if key in base else over[key] for key in over}
        return {**base, **both}
    if _is_named(base) and _is_named(over):
        by_name = {item["name"]: item for item in base}
        for item in over:
            by_name[item["name"]] = merged(by_name.get(item["name"], {}), item)
        return list(by_name.values())
    return over


_LABEL = 63


def _is_named(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, Mapping) and "name" in item for item in value)
