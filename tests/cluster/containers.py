"""The node's images: what is there, and how more get in."""

import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.layout import PAUSE_IMAGE, Layout


def load(layout: Layout, archive: Path) -> None:
    """Bring an image archive (docker or OCI) onto the node."""
    _ctr(layout, "import", "--snapshotter=overlayfs", str(archive))


def load_missing(layout: Layout, archive: Path, reference: str, say: Callable[[str], None]) -> None:
    """Bring an image onto the node unless it is there: references name contents, so there is never a newer one."""
    if any(known.endswith(f"/{reference}") or known == reference for known in references(layout)):
        return
    say(f"loading {reference} onto the node")
    load(layout, archive)


def references(layout: Layout) -> set[str]:
    """The images on the node, by name."""
    return set(_ctr(layout, "list", "--quiet").split())


def load_pause(layout: Layout) -> None:
    """The image that holds every pod's namespaces: one program and nothing else."""
    archive = layout.state / "pause.tar"
    write_single_file_image(archive, Path(layout.program("pause")), PAUSE_IMAGE)
    load(layout, archive)


def write_single_file_image(archive: Path, program: Path, reference: str) -> None:
    """Write a docker archive whose one layer holds one program, which is what it runs."""
    layer = _tar({program.name: (program.read_bytes(), 0o755)})
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]
    entries = {"config.json": config, "manifest.json": manifest}
    texts = {name: (json.dumps(entry).encode(), 0o644) for name, entry in entries.items()}
    archive.write_bytes(_tar({**texts, "layer.tar": (layer, 0o644)}))


def _tar(entries: dict[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (content, mode) in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _ctr(layout: Layout, *arguments: str) -> str:
    command = [
        layout.program("containerd", "ctr"),
        f"--address={layout.containerd_socket}",
        "--namespace=k8s.io",
        "images",
    ]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(
            f"`ctr images {' '.join(arguments)}` failed: {done.stderr.strip()[-500:]}",
            remedy="`make cluster-status` says how containerd does; a full disk shows in `df -h`",
        )
    return done.stdout
