"""Inputs that are in the pod already: volume claims and ConfigMaps. They are read where they are, never copied."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from serinus_fetch import digest
from serinus_fetch.digest import Content
from serinus_fetch.failures import Permanent, Transient
from serinus_fetch.log import Progress
from serinus_fetch.places import Places, inside
from serinus_fetch.retry import is_transient


def read(uri: str, name: str, places: Places, progress: Progress) -> tuple[Path, Content]:
    """Where an address of a claim or ConfigMap is mounted, and what is there; Permanent where it leads out."""
    parts = urlsplit(uri, allow_fragments=False)
    relative = uri.removeprefix(f"{parts.scheme}://{parts.netloc}/").rstrip("/")
    root = (places.claims if parts.scheme == "pvc" else places.config_maps) / parts.netloc
    path = root / inside(relative)
    try:
        if not path.exists():
            raise Permanent(_missing(parts.scheme, parts.netloc, relative))
        _require_inside(path, root)
        return path, _content(path, name, root, progress)
    except OSError as error:
        kind = Transient if is_transient(error) else Permanent
        raise kind(f"{error}: let user id {os.geteuid()} read it") from error


def _missing(scheme: str, owner: str, relative: str) -> str:
    if scheme == "pvc":
        return f"volume claim {owner!r} holds no {relative!r}: put it there, or correct the address"
    return f"there is no ConfigMap {owner!r} with key {relative!r}: create it, or correct the address"


def _content(path: Path, name: str, root: Path, progress: Progress) -> Content:
    if not path.is_dir():
        return Content((digest.of_file(path, name, progress.add),))
    files = (digest.of_file(file, file.relative_to(path).as_posix(), progress.add) for file in _files(path, root))
    return Content(tuple(files), is_folder=True)


def _files(folder: Path, root: Path) -> Iterator[Path]:
    """All files of a folder in order; Permanent for what is neither file nor folder, or leads out of the volume."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            yield from _files(entry, root)
        elif entry.is_file():
            _require_inside(entry, root)
            yield entry
        else:
            raise Permanent(f"{entry.relative_to(folder).as_posix()!r} is neither a file nor a folder: leave it out")


def _require_inside(path: Path, root: Path) -> None:
    """A link may point elsewhere in its volume, and nowhere else."""
    if not path.resolve().is_relative_to(root.resolve()):
        raise Permanent(f"{path.name!r} is a link that leads out of its volume: put the data itself there")
