"""What a complete entry of the cache holds; the last thing that is written into it."""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final
from uuid import uuid4

from serinus_server.fetching import digest

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class File:
    """One file: its path in the model, and what it must be. The time tells whether it was touched since."""

    path: str
    size: int
    sha256: str
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """All files of one model."""

    source: str
    files: tuple[File, ...]

    @property
    def digest(self) -> str:
        """The digest of the whole."""
        return digest.of_files((one.path, one.sha256) for one in self.files)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.size for one in self.files)


class Damaged(Exception):
    """An entry that is not what its manifest says."""


def load(path: Path) -> Manifest:
    """Read a manifest; Damaged if it is not whole, FileNotFoundError if there is none."""
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != FORMAT:
            raise Damaged(f"its manifest has format {content['format']}, not {FORMAT}")
        return Manifest(content["source"], tuple(File(**one) for one in content["files"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged("its manifest is broken") from error


def save(manifest: Manifest, path: Path) -> None:
    """Write a manifest so that it is there as a whole or not at all."""
    content = {"format": FORMAT, "source": manifest.source, "files": [asdict(one) for one in manifest.files]}
    write(path, json.dumps(content | {"digest": manifest.digest}, indent=1).encode())


def write(path: Path, content: bytes) -> None:
    """Replace a file as a whole, also for a machine that loses its power."""
    beside = path.with_name(f".{path.name}.{uuid4().hex}")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def described(folder: Path, path: str) -> File:
    """A file as it is now."""
    status = (folder / path).stat()
    return File(path, status.st_size, digest.of_file(folder / path), status.st_mtime_ns)


def verified(manifest: Manifest, folder: Path, *, thorough: bool) -> Manifest:
    """The manifest with the times that the files have now; Damaged if one is not what it was.

    Sizes are compared always, contents where the time is another one, or all of them.
    """
    return replace(manifest, files=tuple(_verified(one, folder, thorough=thorough) for one in manifest.files))


def _verified(file: File, folder: Path, *, thorough: bool) -> File:
    try:
        status = (folder / file.path).stat()
    except FileNotFoundError:
        raise Damaged(f"{file.path} is missing") from None
    if status.st_size != file.size:
        raise Damaged(f"{file.path} has {status.st_size} bytes instead of {file.size}")
    if thorough or status.st_mtime_ns != file.mtime_ns:
        found = digest.of_file(folder / file.path)
        if found != file.sha256:
            raise Damaged(f"the sha256 of {file.path} is {found} instead of {file.sha256}")
    return replace(file, mtime_ns=status.st_mtime_ns)
