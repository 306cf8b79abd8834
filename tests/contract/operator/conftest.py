"""The operator as a process, on a real kube-apiserver with controllers and nodes that only pretend."""

from collections.abc import Iterator

import pytest

from tests import crds
from tests.cluster import cluster, settings
from tests.cluster.cluster import Cluster
from tests.cluster.layout import Profile
from tests.contract.mlflow.rest import Rest
from tests.platform import Platform

CLUSTER_NAME = "operator"


@pytest.fixture(scope="session")
def bare() -> Iterator[Cluster]:
    """A cluster in which nothing of ours is installed at first."""
    with cluster.borrowed(settings.read(name=CLUSTER_NAME), Profile.KWOK, print, kwok_nodes=1) as started:
        yield started


@pytest.fixture
def here(bare: Cluster) -> Cluster:
    """The cluster, with our definitions as they are."""
    crds.install(bare.kubectl)
    return bare


@pytest.fixture
def namespace(here: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one test."""
    name = "t-" + "".join(letter if letter.isalnum() else "-" for letter in request.node.name.lower())[:50].strip("-")
    here.kubectl("create", "namespace", name)
    yield name
    here.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def mlflow(installed: Platform) -> Rest:
    """The MLflow that the chart installs, on the cluster of the other tests."""
    return Rest(installed.address("mlflow"))
