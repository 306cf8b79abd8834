"""Downloads the files of one model that are not here yet: several at a time, each in place only when it is whole."""

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from serinus_server.fetching import failures, manifest
from serinus_server.fetching.artifacts import Listed
from serinus_server.fetching.cache import size_of
from serinus_server.fetching.failures import Failure, Kind
from serinus_server.fetching.manifest import File
from serinus_server.fetching.patience import Deadline, Progress, attempt
from serinus_server.fetching.words import amount

# A folder of small files takes as long as its requests do. More would only share the same network.
AT_ONCE: Final = 4
_LOOK_SECONDS: Final = 0.5


class Source(Protocol):
    """Where one file at a time can be had; may raise any error."""

    def download(self, path: str, to: Path) -> None:
        """Write one file."""
        ...


class Download:
    """One model on its way from a store into a folder. The threads are daemons: a store that hangs holds up no end."""

    def __init__(
        self, source: Source, listed: tuple[Listed, ...], deadline: Deadline, say: Callable[[str], None]
    ) -> None:
        self._source, self._deadline, self._say = source, deadline, say
        self._waiting = sorted(listed, key=lambda one: -(one.size or 0))
        self._total, self._count = sum(one.size or 0 for one in listed), len(listed)
        self._done: list[File] = []
        self._failure: Failure | None = None
        self._changed = threading.Condition()

    def into(self, folder: Path, working: Path) -> tuple[File, ...]:
        """The files, all of them in `folder`; a Failure if one cannot be had or the time is up."""
        for _ in range(min(AT_ONCE, self._count)):
            threading.Thread(target=self._work, args=(folder, working), daemon=True).start()
        progress = Progress(self._say)
        with self._changed:
            while len(self._done) < self._count:
                if self._failure is not None:
                    raise self._failure
                if self._deadline.left() <= 0:
                    self._waiting.clear()
                    raise Failure(Kind.TRANSIENT, f"{self._told(working)} after {self._deadline.seconds:.0f} s")
                progress.tell(partial(self._told, working))
                self._changed.wait(_LOOK_SECONDS)
        return tuple(sorted(self._done, key=lambda one: one.path))

    def _told(self, working: Path) -> str:
        here = sum(one.size for one in self._done) + size_of(working)
        return f"downloaded {amount(here)} of {amount(self._total)}, {len(self._done)} of {self._count} files"

    def _work(self, folder: Path, working: Path) -> None:
        while (listed := self._next()) is not None:
            try:
                self._tell(_present(listed, folder) or self._fetched(listed, folder, working))
            except BaseException as error:  # noqa: BLE001 - whatever ends a thread, the waiting one must know
                self._fail(failures.of(error))

    def _next(self) -> Listed | None:
        with self._changed:
            return self._waiting.pop(0) if self._waiting and self._failure is None else None

    def _tell(self, file: File) -> None:
        with self._changed:
            self._done.append(file)
            self._changed.notify()

    def _fail(self, failure: Failure) -> None:
        with self._changed:
            self._failure = self._failure or failure
            self._changed.notify()

    def _fetched(self, listed: Listed, folder: Path, working: Path) -> File:
        action = partial(self._attempt, listed, folder, working)
        return attempt(action, listed.path, self._deadline, self._say)

    def _attempt(self, listed: Listed, folder: Path, working: Path) -> File:
        # Not below each other: of two files `a` and `a/b`, one is refused by the folder and not by the working one.
        beside = working / listed.path.replace("/", "\x1f")
        self._source.download(listed.path, beside)
        size = beside.stat().st_size
        if listed.size is not None and size != listed.size:
            beside.unlink()
            raise Failure(Kind.TRANSIENT, f"the download broke off after {size} of {listed.size} bytes")
        try:
            return _placed(beside, folder, listed.path)
        except FileNotFoundError as error:
            # On a volume without locks: another fetcher was quicker and put the folder in its place.
            raise Failure(Kind.TRANSIENT, "another process moved what is here of it") from error


def _present(listed: Listed, folder: Path) -> File | None:
    """A file that an earlier fetch completed; it has its name only since then."""
    try:
        size = (folder / listed.path).stat().st_size
        return manifest.described(folder, listed.path) if listed.size in {None, size} else None
    except FileNotFoundError:
        return None


def _placed(beside: Path, folder: Path, path: str) -> File:
    _flush(beside)
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    beside.rename(folder / path)
    return manifest.described(folder, path)


def _flush(path: Path) -> None:
    """To the disk before it gets its name: a machine that loses its power leaves no empty files behind."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
