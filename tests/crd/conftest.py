"""A real kube-apiserver with our definitions installed."""

from collections.abc import Iterator

import pytest

from tests import crds
from tests.cluster import cluster, settings
from tests.cluster.cluster import Cluster
from tests.cluster.layout import Profile
from tests.crd.objects import CHECKOUT
from tests.crd.server import Server

# Beside the clusters that other tests and people work with.
CLUSTER_NAME = "crd"


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Cluster]:
    """An API server that serves our kinds."""
    with cluster.borrowed(settings.read(name=CLUSTER_NAME), Profile.CONTROL_PLANE, print) as started:
        crds.install(started.kubectl)
        yield started


@pytest.fixture(scope="session")
def server(control_plane: Cluster) -> Iterator[Server]:
    """The server, holding the valid objects without their status."""
    folder = CHECKOUT / "tests" / "crd" / "valid"
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(folder))
    asked = Server.of(control_plane.layout)
    yield asked
    asked.connection.close()
