"""What is refused before anything is half done, each time with what to do about it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster import binaries, prerequisites
from tests.cluster.errors import ClusterError
from tests.cluster.settings import CHECKOUT


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the cluster tool as a person does."""
    return subprocess.run(
        [sys.executable, "-m", "tests.cluster", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def cache() -> Iterator[Path]:
    """An empty cache with a path as short as sockets need it."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@contextmanager
def nobody() -> Iterator[None]:
    """Be nobody in particular for a while (root may; anybody else is that already)."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_no_root() -> None:
    with nobody(), pytest.raises(ClusterError, match="needs root") as caught:
        prerequisites.require_root()
    assert "CLUSTER=kubeconfig" in caught.value.remedy


def test_no_root_to_install_packages() -> None:
    with nobody(), pytest.raises(ClusterError, match="no-such-package") as caught:
        prerequisites.require_programs({"no-such-program": "no-such-package"}, print)
    assert "apt-get install no-such-package" in caught.value.remedy


def test_no_go(cache: Path) -> None:
    done = command("up", "--profile", "control-plane", PATH="/nowhere", SERINUS_CACHE=str(cache))
    assert done.returncode == 1
    assert done.stderr.startswith("error: Go 1.26 or newer is needed")
    assert list(cache.iterdir()) == []


def test_an_old_go(cache: Path, tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho go1.21.3\n")
    go.chmod(0o755)
    done = command("up", PATH=f"{tmp_path}:{os.environ['PATH']}", SERINUS_CACHE=str(cache))
    assert done.returncode == 1
    assert "found 1.21" in done.stderr


def test_a_disk_without_room(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="GiB free under") as caught:
        prerequisites.require_disk(tmp_path, free=1 << 60)
    assert "SERINUS_CACHE" in caught.value.remedy


def test_no_kubectl_for_the_users_cluster(tmp_path: Path) -> None:
    done = command("up", CLUSTER="kubeconfig", PATH=str(tmp_path))
    assert done.returncode == 1
    assert "kubectl is not on PATH" in done.stderr


@pytest.mark.parametrize("verb", ["status", "kubeconfig", "env"])
def test_a_cluster_that_does_not_run(verb: str, tmp_path: Path) -> None:
    done = command(verb, SERINUS_CACHE=str(tmp_path))
    assert done.returncode == 1
    assert "make cluster-up" in done.stderr


def test_down_where_there_is_nothing(tmp_path: Path) -> None:
    done = command("down", SERINUS_CACHE=str(tmp_path))
    assert done.returncode == 0
    assert "nothing to remove" in done.stderr


def test_a_log_that_does_not_exist(tmp_path: Path) -> None:
    done = command("logs", "kubelt", SERINUS_CACHE=str(tmp_path))
    assert done.returncode == 1
    assert "no part 'kubelt'" in done.stderr


def test_what_a_killed_build_left_is_not_taken_for_a_build(tmp_path: Path) -> None:
    left = tmp_path / "bin" / ".pause-leftover"
    left.mkdir(parents=True)
    (left / "pause").write_text("half a program")
    folder = binaries.build(["pause"], tmp_path, print)["pause"]
    assert subprocess.run(["timeout", "--preserve-status", "0.1", folder / "pause"], check=False).returncode == 0
