"""The cache: what is complete, what is damaged, what is in use, and what goes first."""

import errno
import fcntl
import os
import time
from pathlib import Path
from typing import NoReturn

import pytest

from serinus_server.fetching import digest, locks, manifest
from serinus_server.fetching.cache import Entry
from serinus_server.fetching.failures import Failure
from serinus_server.fetching.manifest import Manifest
from serinus_server.fetching.patience import Deadline
from serinus_server.fetching.pruning import prune


def _silent(_: str) -> None:
    pass


def _complete(root: Path, key: str, size: int = 1000) -> Entry:
    entry = Entry(root, key)
    (entry.partial / "model").mkdir(parents=True)
    (entry.partial / "model" / "weights").write_bytes(b"w" * size)
    entry.install(Manifest("s3://b/m", (manifest.described(entry.partial / "model", "weights"),)))
    return entry


def test_what_was_installed_is_found(tmp_path: Path) -> None:
    entry = _complete(tmp_path, "k")
    found = entry.found(_silent, thorough=True)
    assert found is not None
    assert found.digest == digest.of_folder(entry.model)
    assert not entry.partial.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"w" * 999, "has 999 bytes instead of 1000"), (b"v" * 1000, "the sha256 of weights"), (None, "is missing")],
)
def test_what_was_changed_is_damaged(tmp_path: Path, content: bytes | None, words: str) -> None:
    entry, said = _complete(tmp_path, "k"), list[str]()
    path = entry.model / "weights"
    path.unlink() if content is None else path.write_bytes(content)
    assert entry.found(said.append) is None
    assert words in said[0]


def test_a_change_that_keeps_size_and_time_is_found_by_a_thorough_look(tmp_path: Path) -> None:
    entry = _complete(tmp_path, "k")
    path = entry.model / "weights"
    times = path.stat()
    path.write_bytes(b"v" * 1000)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert entry.found(_silent) is not None
    assert entry.found(_silent, thorough=True) is None


def test_a_file_with_another_time_is_compared_once(tmp_path: Path) -> None:
    entry = _complete(tmp_path, "k")
    os.utime(entry.model / "weights", (1, 1))
    assert entry.found(_silent) is not None
    assert manifest.load(entry.manifest).files[0].mtime_ns == 1_000_000_000


def test_a_broken_manifest_is_damage(tmp_path: Path) -> None:
    entry = _complete(tmp_path, "k")
    entry.manifest.write_text('{"format": 1, "fi')
    assert entry.found(_silent) is None


def test_what_a_killed_fetcher_of_this_host_left_is_removed_and_nothing_that_is_written(tmp_path: Path) -> None:
    entry = Entry(tmp_path, "k")
    elsewhere, forgotten = tmp_path / "tmp" / "k.other-host.1", tmp_path / "tmp" / "k.other-host.2"
    for folder in (elsewhere, forgotten):
        folder.mkdir(parents=True)
    os.utime(forgotten, (1, 1))
    with entry.alone(Deadline(1), _silent) as hold:
        killed, working = entry.working_folder(hold), entry.working_folder(hold)
    assert {elsewhere, working} == set((tmp_path / "tmp").iterdir())
    assert killed != working


def test_a_damaged_entry_is_replaced(tmp_path: Path) -> None:
    entry = _complete(tmp_path, "k")
    (entry.model / "weights").write_bytes(b"")
    assert _complete(tmp_path, "k").found(_silent) is not None


def test_the_least_recently_used_goes_first_and_none_in_use(tmp_path: Path) -> None:
    entries = [_complete(tmp_path, key) for key in "abcd"]
    for entry in entries[:3]:
        entry.used().release()
    os.utime(entries[0].users, (time.time(),) * 2)
    os.utime(entries[1].users, (1, 1))
    os.utime(entries[2].users, (2, 2))
    hold = entries[1].used()
    os.utime(entries[1].users, (1, 1))
    prune(tmp_path, 5000, 1000, "new", _silent)
    assert [one.folder.exists() for one in entries] == [True, True, False, True]
    hold.release()
    prune(tmp_path, 10, 0, "d", _silent)
    assert [one.folder.exists() for one in entries] == [False, False, False, True]


def test_a_volume_without_locks_neither_waits_nor_prunes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> NoReturn:
        raise OSError(errno.ENOLCK, "No locks available")

    entry = _complete(tmp_path, "k")
    monkeypatch.setattr(fcntl, "flock", unsupported)
    with entry.alone(Deadline(1), _silent), entry.alone(Deadline(1), _silent):
        assert not entry.used().is_real
    prune(tmp_path, 0, 0, "", _silent)
    assert entry.folder.exists()


def test_who_waits_too_long_says_so(tmp_path: Path) -> None:
    entry = Entry(tmp_path, "k")
    with (
        entry.alone(Deadline(1), _silent),
        pytest.raises(Failure, match="another process has been fetching it"),
        entry.alone(Deadline(0.2), _silent),
    ):
        pass


def test_a_lock_is_shared_by_its_users(tmp_path: Path) -> None:
    one, two = (locks.take(tmp_path / "lock", shared=True) for _ in range(2))
    assert one is not None
    assert two is not None
    assert locks.take(tmp_path / "lock") is None
    one.release()
    two.release()
    alone = locks.take(tmp_path / "lock")
    assert alone is not None
    alone.release()
