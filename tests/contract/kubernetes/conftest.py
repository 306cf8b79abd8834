"""A real kube-apiserver that serves our kinds, and a namespace of its own for each test."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import crds
from tests.cluster import cluster, settings
from tests.cluster.cluster import Cluster
from tests.cluster.layout import Profile

# Beside the clusters that other tests and people work with.
CLUSTER_NAME = "contract"


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Cluster]:
    """The API server, without controllers."""
    with cluster.borrowed(settings.read(name=CLUSTER_NAME), Profile.CONTROL_PLANE, print) as started:
        crds.install(started.kubectl)
        yield started


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
