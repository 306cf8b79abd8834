"""What the tests on a cluster share: one cluster for the whole run, with Serinus installed on it."""

import os
from collections.abc import Iterator

import hypothesis
import pytest

from tests import platform
from tests.cluster import cluster, processes, settings, target
from tests.cluster.target import Target
from tests.platform import Platform

# Beside the cluster that a person works with: tests neither disturb it nor depend on it.
CLUSTER_NAME = "test"
# No timing decides a test: a busy machine is no bug.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is about the local cluster itself where the user brings their own."""
    if settings.read(os.environ).external:
        items[:] = [item for item in items if item.get_closest_marker("local") is None]


@pytest.fixture(scope="session")
def where() -> Iterator[Target]:
    """A cluster that works. One that was running before the tests is running after them."""
    chosen = settings.read(os.environ, name=CLUSTER_NAME)
    was_running = processes.supervisor(chosen.state) is not None
    try:
        yield target.up(chosen, print)
    finally:
        if not chosen.external and not was_running:
            cluster.down(chosen, print)


@pytest.fixture(scope="session")
def installed(where: Target) -> Platform:
    """Serinus, installed by its chart."""
    return platform.install(where)


@pytest.fixture
def namespace(where: Target, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one test, which admits only restricted pods."""
    name = "t-" + "".join(letter if letter.isalnum() else "-" for letter in request.node.name.lower())[:50].strip("-")
    platform.create_namespace(where, name)
    yield name
    where.kubectl("delete", "namespace", name, "--wait=false")
