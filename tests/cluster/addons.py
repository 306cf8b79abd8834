"""What a cluster needs before anything can be installed on it: Gateway API, a storage class, names, metrics."""

import json
from pathlib import Path
from string import Template
from typing import Any

from tests.cluster.kubectl import Kubectl
from tests.cluster.layout import Layout, Profile

MANIFESTS = Path(__file__).parent / "addons.yaml"


def install(layout: Layout, kubectl: Kubectl) -> None:
    """Apply them all; a second time changes nothing."""
    folder = layout.binaries["gateway-api"] / "config" / "crd" / "standard"
    kubectl.apply("\n---\n".join(path.read_text() for path in sorted(folder.glob("*.yaml"))))
    if layout.profile is Profile.FULL:
        kubectl.apply(manifests(layout))


def add_kwok_nodes(kubectl: Kubectl, count: int) -> None:
    """Nodes that only pretend; pods get there by tolerating the taint `kwok.x-k8s.io/node`."""
    nodes = [_kwok_node(f"kwok-{number}") for number in range(count)]
    if nodes:
        kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes}))


def _kwok_node(name: str) -> dict[str, Any]:
    capacity = {"cpu": "64", "memory": "256Gi", "pods": "1000"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": name, "type": "kwok"},
        },
        "spec": {"taints": [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]},
        "status": {"capacity": capacity, "allocatable": capacity},
    }


def manifests(layout: Layout) -> str:
    """The add-ons of a node, with the addresses of this cluster."""
    template = Template(MANIFESTS.read_text())
    return template.substitute(node=layout.addresses.node, dns=layout.addresses.dns)
