"""A real kube-apiserver with our definitions installed."""

from collections.abc import Iterator

import pytest

from tests.cluster import cluster, processes, settings
from tests.cluster.cluster import Cluster
from tests.cluster.layout import Profile
from tests.crd.objects import CHECKOUT, DEFINITIONS
from tests.crd.server import Server

# Beside the clusters that other tests and people work with.
CLUSTER_NAME = "crd"


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Cluster]:
    """An API server that serves our kinds. One that was running before the tests is running after them."""
    chosen = settings.read(name=CLUSTER_NAME)
    was_running = processes.supervisor(chosen.state) is not None
    try:
        started = cluster.up(chosen, Profile.CONTROL_PLANE, print)
        started.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CHECKOUT / "crds"))
        names = [f"crd/{definition['metadata']['name']}" for definition in DEFINITIONS.values()]
        started.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)
        yield started
    finally:
        if not was_running:
            cluster.down(chosen, print)


@pytest.fixture(scope="session")
def server(control_plane: Cluster) -> Iterator[Server]:
    """The server, holding the valid objects without their status."""
    folder = CHECKOUT / "tests" / "crd" / "valid"
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(folder))
    asked = Server.of(control_plane.layout)
    yield asked
    asked.connection.close()
