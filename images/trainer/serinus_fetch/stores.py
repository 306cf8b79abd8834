"""Inputs in object stores: s3 and gs, through fsspec. Endpoint and credentials are those of the environment."""

import importlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from serinus_fetch import digest
from serinus_fetch.digest import Content, File
from serinus_fetch.failures import Permanent, Transient
from serinus_fetch.log import Progress
from serinus_fetch.places import inside
from serinus_fetch.retry import Patience, is_transient

BLOCK: Final = 8 << 20
# A folder of small files takes as long as its requests do: several at a time. Each has a block or two in memory.
AT_ONCE: Final = 4
_OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "s3": {"config_kwargs": {"connect_timeout": 10, "read_timeout": 30}},
    "gs": {},
}
_CREDENTIALS: Final = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
}


@dataclass(frozen=True)
class _Object:
    key: str
    path: str
    size: int


def download(uri: str, to: Path, name: str, patience: Patience, progress: Progress) -> Content:
    """Download an object to `to`, or all objects below a prefix into it."""
    store = _Store(uri, patience)
    if not uri.endswith("/") and (found := store.object(name)) is not None:
        return Content((store.fetch(found, to, progress),))
    objects = store.below()
    targets = _targets(objects, to)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        files = tuple(threads.map(lambda one: store.fetch(one, targets[one.key], progress), objects))
    return Content(files, is_folder=True)


def _targets(objects: Iterable[_Object], to: Path) -> Mapping[str, Path]:
    """Where each object goes; Permanent where one would leave the folder, or be a file and a folder."""
    paths = {one.key: inside(one.path) for one in objects}
    folders = {parent for path in paths.values() for parent in path.parents}
    for key, path in paths.items():
        if path in folders:
            raise Permanent(f"{key!r} would be a file and a folder: rename it, or narrow the address")
    for folder in folders:
        (to / folder).mkdir(parents=True, exist_ok=True)
    return {key: to / path for key, path in paths.items()}


class _Store:
    """One address in a store. Every request is patient."""

    def __init__(self, uri: str, patience: Patience) -> None:
        parts = urlsplit(uri, allow_fragments=False)
        query = f"?{parts.query}" if parts.query else ""
        self._scheme, self._patience = parts.scheme, patience
        self._key = f"{parts.netloc}{parts.path}{query}".rstrip("/")
        self._files = self._patiently(self._connect)

    def object(self, name: str) -> _Object | None:
        """The object at the address itself, if there is one."""
        try:
            info = self._patiently(partial(self._files.info, self._key))
        except FileNotFoundError:
            return None
        return _Object(self._key, name, int(info["size"] or 0)) if info["type"] == "file" else None

    def below(self) -> tuple[_Object, ...]:
        """All objects below the address, less those that only stand for a folder."""
        try:
            entries = self._patiently(partial(self._files.find, self._key, detail=True))
        except FileNotFoundError:
            entries = {}
        prefix = f"{self._key}/"
        objects = tuple(
            _Object(key, key.removeprefix(prefix), int(info["size"] or 0))
            for key, info in sorted(entries.items())
            if key.startswith(prefix) and not key.endswith("/")
        )
        if not objects:
            raise Permanent("there is no object of this name and none below it: correct the address")
        return objects

    def fetch(self, one: _Object, to: Path, progress: Progress) -> File:
        """Download one object, from the beginning again after each transient failure."""
        try:
            return self._patiently(partial(self._attempt, one, to, progress))
        except FileNotFoundError:
            raise Permanent(f"{one.key!r} was removed while it was read: correct the address") from None

    def _attempt(self, one: _Object, to: Path, progress: Progress) -> File:
        with self._files.open(one.key, "rb", block_size=BLOCK, size=one.size) as source, to.open("wb") as sink:
            file = digest.copied(source.read, sink, one.path, progress.add)
        if file.size != one.size:
            raise Transient(f"the download broke off after {file.size} of {one.size} bytes")
        return file

    def _connect(self) -> Any:  # noqa: ANN401 - fsspec has no types
        fsspec = importlib.import_module("fsspec")
        return fsspec.filesystem(
            self._scheme, skip_instance_cache=True, use_listings_cache=False, **_OPTIONS[self._scheme]
        )

    def _patiently[T](self, action: Callable[[], T]) -> T:
        return self._patience.attempt(partial(self._told, action))

    def _told[T](self, action: Callable[[], T]) -> T:
        """What the action returns; its errors in the two kinds there are, but for what is not there."""
        try:
            return action()
        except (FileNotFoundError, Permanent, Transient):
            raise
        except Exception as error:
            if is_transient(error):
                raise Transient(f"the store is not well ({_words(error)})") from error
            raise Permanent(f"the store refuses it ({_words(error)}): {self._remedy(error)}") from error

    def _remedy(self, error: Exception) -> str:
        if isinstance(error, PermissionError) or "redentials" in f"{type(error).__name__} {error}":
            return f"correct {_CREDENTIALS[self._scheme]}, or let them read it"
        return "correct the address, or the store's settings in the environment"


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
