"""Makes room in the cache: what was not used for longest goes first, and nothing that is in use."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from serinus_server.fetching import locks
from serinus_server.fetching.cache import PARTIAL, TRASH, Entry, discard, size_of
from serinus_server.fetching.words import amount


def prune(root: Path, limit: int, needed: int, keep: str, say: Callable[[str], None]) -> None:
    """Remove models until `needed` more bytes fit into `limit`; fewer if the rest is in use."""
    for left in (root / "models").glob(f"{TRASH}-*"):
        shutil.rmtree(left, ignore_errors=True)
    keys = {one.name.removesuffix(PARTIAL) for one in _folders(root)}
    entries = sorted((Entry(root, key) for key in keys - {keep}), key=_last_use)
    total = sum(size_of(one) for one in _folders(root) if not one.name.startswith(keep))
    for entry in entries:
        if total + needed <= limit:
            return
        total -= _remove(entry, say)
    if total + needed > limit:
        say(f"the cache holds {amount(total + needed)} of models, more than its {amount(limit)}: all others are in use")


def _folders(root: Path) -> list[Path]:
    try:
        return [one for one in (root / "models").iterdir() if not one.name.startswith(".")]
    except FileNotFoundError:
        return []


def _last_use(entry: Entry) -> float:
    """When it was taken into use; what nobody ever used counts from when it was made."""
    for path in (entry.users, entry.folder, entry.partial):
        with suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def _remove(entry: Entry, say: Callable[[str], None]) -> int:
    """Remove a model that nobody serves or fetches; the bytes that were gained."""
    holds = [locks.take(entry.users), locks.take(entry.fetchers)]
    try:
        # Where locks mean nothing, nobody knows what is in use.
        if not all(hold is not None and hold.is_real for hold in holds):
            return 0
        gained = size_of(entry.folder) + size_of(entry.partial)
        discard(entry.folder)
        discard(entry.partial)
        say(f"removed the model {entry.key} from the cache, which nobody uses: {amount(gained)}")
        return gained
    finally:
        for hold in holds:
            if hold is not None:
                hold.release()
