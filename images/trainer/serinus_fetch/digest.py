r"""Digests: of a file's bytes, and of a folder as `sha256sum` would make it.

The digest of a folder is that of the sorted lines that sha256sum prints of all its files, by their paths in it:
    cd FOLDER && find . -type f -printf '%P\0' | xargs -0 sha256sum -- | LC_ALL=C sort | sha256sum
"""

import base64
import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class File:
    """A file of an input: its path in the folder, its digest in hex, its size."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Content:
    """What an input holds: one file, or all files of a folder."""

    files: tuple[File, ...]
    is_folder: bool = False

    @property
    def sha256(self) -> str:
        """The digest of all of it."""
        return of_folder(self.files) if self.is_folder else self.files[0].sha256


def of_folder(files: Iterable[File]) -> str:
    """The digest of a folder with these files."""
    lines = sorted(_line(file) for file in files)
    return hashlib.sha256(b"".join(lines)).hexdigest()


def _line(file: File) -> bytes:
    """As sha256sum prints it; it marks a line in whose name it had to write something otherwise."""
    name = os.fsencode(file.path)
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    mark = b"" if escaped == name else b"\\"
    return mark + file.sha256.encode() + b"  " + escaped + b"\n"


def short(sha256: str) -> str:
    """The same digest in 43 characters: base64url without padding."""
    return base64.urlsafe_b64encode(bytes.fromhex(sha256)).rstrip(b"=").decode()


def copied(read: Callable[[int], bytes], sink: BinaryIO | None, name: str, advance: Callable[[int], None]) -> File:
    """Read to the end, keep it in `sink` if there is one, and digest it on the way."""
    digest, size = hashlib.sha256(), 0
    while chunk := read(CHUNK):
        digest.update(chunk)
        if sink is not None:
            sink.write(chunk)
        size += len(chunk)
        advance(len(chunk))
    return File(name, digest.hexdigest(), size)


def of_file(path: Path, name: str, advance: Callable[[int], None]) -> File:
    """A file that is here already."""
    with path.open("rb", buffering=0) as file:
        return copied(file.read, None, name, advance)
