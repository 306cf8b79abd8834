"""The operator as a process, on a real kube-apiserver with controllers and nodes that only pretend."""

from collections.abc import Iterator

import pytest

from tests.cluster import cluster, processes, settings
from tests.cluster.cluster import Cluster
from tests.cluster.layout import Profile
from tests.cluster.settings import CHECKOUT

CLUSTER_NAME = "operator"


@pytest.fixture(scope="session")
def bare() -> Iterator[Cluster]:
    """A cluster in which nothing of ours is installed at first. Of those that were running none is taken down."""
    chosen = settings.read(name=CLUSTER_NAME)
    was_running = processes.supervisor(chosen.state) is not None
    try:
        yield cluster.up(chosen, Profile.KWOK, print, kwok_nodes=1)
    finally:
        if not was_running:
            cluster.down(chosen, print)


@pytest.fixture
def here(bare: Cluster) -> Cluster:
    """The cluster, with our definitions as they are."""
    bare.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CHECKOUT / "crds"))
    bare.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CHECKOUT / "crds"))
    return bare


@pytest.fixture
def namespace(here: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one test."""
    name = "t-" + "".join(letter if letter.isalnum() else "-" for letter in request.node.name.lower())[:50].strip("-")
    here.kubectl("create", "namespace", name)
    yield name
    here.kubectl("delete", "namespace", name, "--wait=false")
