"""Fetches one input, wherever it is, and digests it on the way."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from serinus_fetch import mounted, stores, web
from serinus_fetch.digest import Content
from serinus_fetch.failures import Permanent
from serinus_fetch.log import Progress, amount, say
from serinus_fetch.order import Input
from serinus_fetch.places import Places, shown
from serinus_fetch.retry import Patience


@dataclass(frozen=True)
class Fetched:
    """An input that is here: its digest, and its files by name."""

    sha256: str
    files: tuple[tuple[str, Path], ...]


type _Way = Callable[[Input, Places, Progress], tuple[Path, Content]]


def fetch(wanted: Input, places: Places) -> Fetched:
    """An input, downloaded where it must be and read to its end; Permanent or Transient where it cannot be had."""
    scheme = urlsplit(wanted.uri).scheme
    if scheme not in _WAYS:
        raise Permanent(f"the scheme {scheme!r} is unknown: use one of {', '.join(_WAYS)}")
    say(f"fetching input {wanted.name} from {shown(wanted.uri)}")
    progress = Progress(f"input {wanted.name}")
    at, content = _WAYS[scheme](wanted, places, progress)
    return _told(wanted, at, content, progress)


def _from_store(wanted: Input, _: Places, progress: Progress) -> tuple[Path, Content]:
    _make_room(wanted.at)
    return wanted.at, stores.download(wanted.uri, wanted.at, _name(wanted.uri), Patience(), progress)


def _from_web(wanted: Input, _: Places, progress: Progress) -> tuple[Path, Content]:
    _make_room(wanted.at)
    return wanted.at, Content((web.download(wanted.uri, wanted.at, _name(wanted.uri), Patience(), progress),))


def _in_place(wanted: Input, places: Places, progress: Progress) -> tuple[Path, Content]:
    return Patience().attempt(lambda: mounted.read(wanted.uri, _name(wanted.uri), places, progress))


_WAYS: Final[Mapping[str, _Way]] = {
    "s3": _from_store,
    "gs": _from_store,
    "http": _from_web,
    "https": _from_web,
    "pvc": _in_place,
    "configmap": _in_place,
}


def _name(uri: str) -> str:
    """The last name in an address: its ending says what is in the file."""
    return PurePosixPath(urlsplit(uri).path).name


def _make_room(at: Path) -> None:
    """Nothing is left of an earlier try of this container."""
    if at.is_dir() and not at.is_symlink():
        shutil.rmtree(at)
    else:
        at.unlink(missing_ok=True)
    at.parent.mkdir(parents=True, exist_ok=True)


def _told(wanted: Input, at: Path, content: Content, progress: Progress) -> Fetched:
    """What was fetched, and a line in the log about it."""
    size = amount(sum(file.size for file in content.files))
    count = f"{len(content.files)} files, " if content.is_folder else ""
    say(f"fetched input {wanted.name} ({count}{size} in {progress.seconds():.1f} s, sha256 {content.sha256})")
    here = tuple((file.path, at / file.path if content.is_folder else at) for file in content.files)
    return Fetched(content.sha256, here)
