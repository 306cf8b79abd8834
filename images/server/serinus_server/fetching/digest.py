r"""The digest of a model: the sha256 of the sorted lines that sha256sum prints of its files, by their paths in it.

    cd MODEL && find . -type f ! -path ./registered_model_meta ! -path '*/__pycache__/*' -printf '%P\0' \
        | xargs -0 sha256sum -- | LC_ALL=C sort | sha256sum

It is the trainer's digest of a folder (`serinus_fetch.digest`), less what a reader of the model writes into it: MLflow
its name and version when it downloads, Python its bytecode when it imports.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

CHUNK: Final = 1 << 20
_WRITTEN_BY_MLFLOW: Final = "registered_model_meta"
_WRITTEN_BY_PYTHON: Final = "__pycache__"


def counts(path: str) -> bool:
    """Whether a file of the model is part of its digest."""
    return path != _WRITTEN_BY_MLFLOW and _WRITTEN_BY_PYTHON not in path.split("/")[:-1]


def of_file(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_files(files: Iterable[tuple[str, str]]) -> str:
    """The digest of a model with these files, each a path and its sha256."""
    lines = sorted(_line(path, sha256) for path, sha256 in files if counts(path))
    return hashlib.sha256(b"".join(lines)).hexdigest()


def of_folder(folder: Path) -> str:
    """The digest of a model that is here."""
    return of_files((path, of_file(folder / path)) for path in files_of(folder) if counts(path))


def files_of(folder: Path) -> Iterator[str]:
    """The paths of all plain files in a folder."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(folder).as_posix()


def _line(path: str, sha256: str) -> bytes:
    """As sha256sum prints it; it marks a line in whose name it had to write something otherwise."""
    name = os.fsencode(path)
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    mark = b"" if escaped == name else b"\\"
    return mark + sha256.encode() + b"  " + escaped + b"\n"
