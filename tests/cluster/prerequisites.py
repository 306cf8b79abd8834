"""What the machine must have before anything is built or started: looked at first, all at once."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.cluster.errors import ClusterError

GO_VERSION = (1, 26)
FREE_BYTES = 8 * 1024**3

# What the node runs besides our own builds: program → Debian package.
NODE_PROGRAMS = {
    "ip": "iproute2",
    "nft": "nftables",
    "conntrack": "conntrack",
    "mount": "mount",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
}
BUILD_PROGRAMS = {"cc": "gcc", "pkg-config": "pkg-config", "/usr/include/seccomp.h": "libseccomp-dev"}
IMAGE_PROGRAMS = {"buildah": "buildah", "mmdebstrap": "mmdebstrap"}


def require_root() -> None:
    """Namespaces, mounts and cgroups need root; say so before anything is half done."""
    if os.geteuid() != 0:
        raise ClusterError(
            "a node with pods needs root (network, mounts, cgroups)",
            remedy="run it as root, or use a cluster that you have: CLUSTER=kubeconfig",
        )


def require_go() -> None:
    """The cluster is compiled from Go modules."""
    go = shutil.which("go")
    found = _version(go) if go else None
    if found is None or found < GO_VERSION:
        wanted = ".".join(map(str, GO_VERSION))
        have = ".".join(map(str, found)) if found else "none"
        raise ClusterError(
            f"Go {wanted} or newer is needed to build the local cluster, found {have}",
            remedy="install Go and put it on PATH, or use a cluster that you have: CLUSTER=kubeconfig",
        )


def _version(go: str) -> tuple[int, ...] | None:
    printed = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"go(\d+)\.(\d+)", printed)
    return (int(match[1]), int(match[2])) if match else None


def require_disk(folder: Path, free: int = FREE_BYTES) -> None:
    """A build or an import that fills the disk fails in ways that nobody understands."""
    folder.mkdir(parents=True, exist_ok=True)
    available = shutil.disk_usage(folder).free
    if available < free:
        raise ClusterError(
            f"{available / 1024**3:.1f} GiB free under {folder}, {free / 1024**3:.0f} GiB are needed",
            remedy="free some space, `make clean`, or put the cache elsewhere: SERINUS_CACHE=/big/disk",
        )


def require_programs(programs: dict[str, str], say: Callable[[str], None]) -> None:
    """Install the Debian packages whose programs are missing, or say which they are."""
    packages = sorted({package for program, package in programs.items() if not _present(program)})
    if not packages:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ClusterError(
            f"missing on this machine: {' '.join(packages)} (Debian's names)",
            remedy=f"install them, on Debian by: sudo apt-get install {' '.join(packages)}",
        )
    say(f"installing Debian packages: {' '.join(packages)}")
    _apt(packages)


def _present(program: str) -> bool:
    return Path(program).exists() if program.startswith("/") else shutil.which(program) is not None


def _apt(packages: Iterable[str]) -> None:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    patient = ["-o", "DPkg::Lock::Timeout=300"]  # somebody else may be installing
    install = ["apt-get", *patient, "install", "-y", "-qq", "--no-install-recommends", *packages]
    for command in (["apt-get", "update", "-qq"], install):
        done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ClusterError(
                f"`{' '.join(command)}` failed: {done.stderr.strip()[-500:]}",
                remedy=f"install them by hand: apt-get install {' '.join(packages)}",
            )
