"""Writes a tree of a Git repository into a folder. Nothing that the repository holds makes it write anywhere else."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dulwich.object_store import BaseObjectStore
from dulwich.objects import S_ISGITLINK, Blob, ObjectID, Tree

from serinus_fetch.failures import Permanent
from serinus_fetch.log import say

_EXECUTABLE: Final = 0o755
_PLAIN: Final = 0o644
_FORBIDDEN: Final = frozenset({b"", b".", b"..", b".git"})


@dataclass
class _Checkout:
    """One folder being written; links come last, so that no file is written through one."""

    store: BaseObjectStore
    root: Path
    links: list[tuple[Path, bytes]] = field(default_factory=list)
    files: int = 0
    bytes: int = 0


def write(store: BaseObjectStore, tree: ObjectID, root: Path) -> tuple[int, int]:
    """Write a tree into a new folder; how many files, and how many bytes."""
    checkout = _Checkout(store, root)
    _write_tree(checkout, tree, root)
    for path, target in checkout.links:
        path.symlink_to(os.fsdecode(target))
    for path, _ in checkout.links:
        _require_inside(path, root)
    return checkout.files, checkout.bytes


def _write_tree(checkout: _Checkout, sha: ObjectID, folder: Path) -> None:
    folder.mkdir()
    tree = checkout.store[sha]
    if not isinstance(tree, Tree):
        raise Permanent(f"object {sha.decode()} of the repository is no tree: repair the repository")
    for name, mode, child in tree.iteritems():
        if name.lower() in _FORBIDDEN or b"/" in name or b"\0" in name:
            raise Permanent(f"the repository has a file named {os.fsdecode(name)!r}: remove it")
        _write_entry(checkout, folder / os.fsdecode(name), mode, child)


def _write_entry(checkout: _Checkout, path: Path, mode: int, sha: ObjectID) -> None:
    if stat.S_ISDIR(mode):
        _write_tree(checkout, sha, path)
    elif S_ISGITLINK(mode):
        path.mkdir()
        say(f"{path.relative_to(checkout.root)} is a submodule: it stays empty, only the repository is fetched")
    elif stat.S_ISLNK(mode):
        checkout.links.append((path, _content(checkout, sha)))
    else:
        _write_file(checkout, path, mode, _content(checkout, sha))


def _write_file(checkout: _Checkout, path: Path, mode: int, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(_EXECUTABLE if mode & stat.S_IXUSR else _PLAIN)
    checkout.files += 1
    checkout.bytes += len(content)


def _content(checkout: _Checkout, sha: ObjectID) -> bytes:
    blob = checkout.store[sha]
    if not isinstance(blob, Blob):
        raise Permanent(f"object {sha.decode()} of the repository is no file: repair the repository")
    return blob.data


def _require_inside(path: Path, root: Path) -> None:
    """Where a link leads through all others; one that leads to nothing in the folder does no harm."""
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        target = os.fspath(path.readlink())
        raise Permanent(
            f"the link {os.fspath(path.relative_to(root))!r} leads out of the folder, to {target!r}: remove it"
        )
