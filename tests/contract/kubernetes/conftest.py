"""A real kube-apiserver that serves our kinds, and a namespace of its own for each test."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import cluster, processes, settings
from tests.cluster.cluster import Cluster
from tests.cluster.layout import Profile
from tests.cluster.settings import CHECKOUT

# Beside the clusters that other tests and people work with.
CLUSTER_NAME = "contract"


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Cluster]:
    """The API server, without controllers. One that was running before the tests is running after them."""
    chosen = settings.read(name=CLUSTER_NAME)
    was_running = processes.supervisor(chosen.state) is not None
    try:
        started = cluster.up(chosen, Profile.CONTROL_PLANE, print)
        started.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CHECKOUT / "crds"))
        started.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CHECKOUT / "crds"))
        yield started
    finally:
        if not was_running:
            cluster.down(chosen, print)


@pytest.fixture
def kubeconfig(control_plane: Cluster) -> Path:
    """The administrator's."""
    return control_plane.layout.kubeconfig


@pytest.fixture
def namespace(control_plane: Cluster) -> str:
    """A namespace for one test; without controllers nothing would empty it, so it stays until the end."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    control_plane.kubectl("create", "namespace", name)
    return name
