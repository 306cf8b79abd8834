"""A cluster that the user brings (`CLUSTER=kubeconfig`): used as it is, with images from a registry."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests import platform
from tests.cluster import images, prerequisites, processes, settings, target
from tests.cluster.errors import ClusterError
from tests.cluster.target import Target
from tests.e2e import pods, stores

SOON = 20.0


@pytest.fixture
def theirs(where: Target, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a user whose kubeconfig names a cluster: the tests' own, seen from outside."""
    assert where.local is not None
    layout = where.local.layout
    monkeypatch.setenv("PATH", f"{layout.binaries['kubernetes']}:{os.environ['PATH']}")
    monkeypatch.setenv("KUBECONFIG", str(layout.kubeconfig))
    return {**os.environ, "CLUSTER": "kubeconfig"}


@pytest.fixture
def registry(where: Target, tmp_path: Path) -> Iterator[str]:
    """A real registry on this machine, empty, where the node may pull from."""
    assert where.local is not None
    prerequisites.require_programs({"docker-registry": "docker-registry"}, print)
    address = where.local.layout.registry
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
        "http": {"addr": address},
    }
    (tmp_path / "registry.yaml").write_text(yaml.safe_dump(config))
    with (tmp_path / "registry.log").open("w") as log:
        command = ["docker-registry", "serve", str(tmp_path / "registry.yaml")]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        host, port = address.split(":")
        assert processes.wait_until(lambda: stores.listens(host, int(port)), SOON), (
            tmp_path / "registry.log"
        ).read_text()
        yield address
    finally:
        process.terminate()
        process.wait()


@pytest.mark.local
def test_images_come_from_the_users_registry(theirs: dict[str, str], registry: str, namespace: str) -> None:
    given = target.up(settings.read({**theirs, "IMAGE_REGISTRY": f"http://{registry}"}), print)
    assert given.local is None
    reference = given.offer(["gateway"])["gateway"]
    assert reference == f"{registry}/{images.reference(images.IMAGES['gateway']).removeprefix('serinus/')}"
    pod = pods.pod("pulled", reference, ["/traefik", "version"])
    pods.apply(given.kubectl, namespace, pod)
    pods.wait_for_end(given.kubectl, namespace, "pulled")
    assert "3.7" in given.kubectl("logs", "-n", namespace, "pulled")
    assert platform.image_values(reference)["repository"] == f"{registry}/gateway"


@pytest.mark.local
def test_without_a_registry_the_user_is_told_to_name_one(theirs: dict[str, str]) -> None:
    given = target.up(settings.read(theirs), print)
    with pytest.raises(ClusterError) as caught:
        given.offer(["gateway"])
    assert "IMAGE_REGISTRY=" in caught.value.remedy
