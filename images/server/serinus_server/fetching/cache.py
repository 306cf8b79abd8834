"""The models that were fetched, on a volume that several pods and processes share.

models/<key>/model and models/<key>/manifest.json   a complete model
models/<key>.partial/                               what is complete of a model that is not
tmp/<key>.<random>/                                 files while they are downloaded
locks/<key>.fetch, locks/<key>.use                  who fetches it, who serves it; the latter's time is its last use
resolved/                                           what the registry said last
"""

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from serinus_server.fetching import locks, manifest
from serinus_server.fetching.failures import Failure, Kind
from serinus_server.fetching.locks import Hold
from serinus_server.fetching.manifest import Damaged, Manifest
from serinus_server.fetching.patience import Deadline, Progress
from serinus_server.fetching.words import amount

PARTIAL: Final = ".partial"
TRASH: Final = ".trash"
_POLL_SECONDS: Final = 0.1
_STALE_SECONDS: Final = 900.0


@dataclass(frozen=True, slots=True)
class Entry:
    """The place of one model in the cache."""

    root: Path
    key: str

    @property
    def folder(self) -> Path:
        """Where it is when it is complete."""
        return self.root / "models" / self.key

    @property
    def model(self) -> Path:
        """The model's own files."""
        return self.folder / "model"

    @property
    def manifest(self) -> Path:
        """What they must be."""
        return self.folder / "manifest.json"

    @property
    def partial(self) -> Path:
        """Where it is while it is not complete."""
        return self.root / "models" / f"{self.key}{PARTIAL}"

    @property
    def users(self) -> Path:
        """The lock of those who serve it."""
        return self.root / "locks" / f"{self.key}.use"

    @property
    def fetchers(self) -> Path:
        """The lock of who fetches it."""
        return self.root / "locks" / f"{self.key}.fetch"

    def found(self, say: Callable[[str], None], *, thorough: bool = False) -> Manifest | None:
        """Its manifest if it is complete and undamaged."""
        try:
            written = manifest.load(self.manifest)
            seen = manifest.verified(written, self.model, thorough=thorough)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (Damaged, OSError) as error:
            say(f"the cached model {self.key} is damaged and will be fetched anew: {error}")
            return None
        if seen != written:
            # Moved to another volume, perhaps: what was compared once need not be compared again.
            with suppress(OSError):
                manifest.save(seen, self.manifest)
        return seen

    def used(self) -> Hold:
        """A hold that keeps it from being pruned; the time of its last use is now."""
        hold = locks.take(self.users, shared=True)
        with suppress(OSError):
            os.utime(self.users)
        # Only a pruner has it exclusively, for a moment: what it takes away is fetched again.
        return hold or Hold(None)

    @contextmanager
    def alone(self, deadline: Deadline, say: Callable[[str], None]) -> Iterator[Hold]:
        """As its only fetcher, once another one is done; a Failure if that takes too long."""
        progress = Progress(say)
        while (hold := locks.take(self.fetchers)) is None:
            if deadline.left() <= 0:
                raise Failure(
                    Kind.TRANSIENT,
                    f"another process has been fetching it into {self.root} for {deadline.seconds:.0f} s",
                )
            progress.tell(lambda: f"another process fetches this model; {amount(size_of(self.partial))} are here")
            time.sleep(_POLL_SECONDS)
        try:
            yield hold
        finally:
            hold.release()

    def working_folder(self, hold: Hold) -> Path:
        """A new folder for files while they are downloaded; those of fetchers that were killed are removed."""
        parent, host = self.root / "tmp", f"{self.key}.{socket.gethostname()}."
        for left in parent.glob(f"{self.key}.*"):
            # Of this host no other fetcher runs where the lock is real; of another one it may, and writes all the time.
            if (hold.is_real and left.name.startswith(host)) or time.time() - _last_change(left) > _STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        folder = parent / f"{host}{uuid4().hex}"
        folder.mkdir(parents=True)
        return folder

    def install(self, whole: Manifest) -> None:
        """Put what is in `partial` in its place, and away with what is there; Damaged if it is not whole."""
        manifest.verified(whole, self.partial / "model", thorough=False)
        manifest.save(whole, self.partial / self.manifest.name)
        if self.folder.exists():
            discard(self.folder)
        self.partial.rename(self.folder)


def discard(folder: Path) -> None:
    """Remove a folder at once, for whoever looks for it; its files go by and by."""
    trash = folder.with_name(f"{TRASH}-{uuid4().hex}")
    with suppress(FileNotFoundError):
        folder.rename(trash)
    shutil.rmtree(trash, ignore_errors=True)


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder that may change meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += Path(parent, name).stat().st_size
    return total


def _last_change(folder: Path) -> float:
    """When anything in a folder was written last; 0 if it is gone."""
    times = [0.0]
    for one in (folder, *folder.glob("*")):
        with suppress(OSError):
            times.append(one.stat().st_mtime)
    return max(times)
