"""Fetches one model, from its address to a folder that is what it should be."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from serinus_server import mlmodel
from serinus_server.fetching import address, digest, failures, manifest, pruning
from serinus_server.fetching.address import Local
from serinus_server.fetching.artifacts import Artifacts, Listed
from serinus_server.fetching.cache import Entry, discard
from serinus_server.fetching.download import Download
from serinus_server.fetching.failures import Failure, Kind
from serinus_server.fetching.locks import Hold
from serinus_server.fetching.manifest import Damaged, Manifest
from serinus_server.fetching.patience import Deadline, attempt
from serinus_server.fetching.resolve import Resolved, Resolver
from serinus_server.fetching.settings import Settings
from serinus_server.fetching.words import amount, described, safe
from serinus_server.mlmodel import Recorded
from serinus_server.problems import DIGEST_MISMATCH, NOT_FOUND, UNREADABLE, ModelProblem

_LISTING: Final = "listing"
# Only on a volume without locks, or whose locks are each node's own.
_MOVED: Final = "another process moved what is here of it"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A model that is here. Keep `hold` as long as it is served: another pod may prune it after that."""

    path: Path
    uri: str
    name: str = ""
    version: str = ""
    alias: str = ""
    run_id: str = ""
    source: str = ""
    model_id: str = ""
    # The sha256 of the whole; empty for a folder that was used where it is and of which none was asked.
    digest: str = ""
    hold: Hold = field(default_factory=lambda: Hold(None), compare=False)


def fetch(uri: str, to: Settings) -> Fetched:
    """One model, complete and verified, in a local folder; a ModelProblem if it cannot be had or is not the one."""
    meant = address.parse(uri)
    if isinstance(meant, Local):
        return _in_place(meant.path, Resolved(uri, "", source=uri), to)
    work = _Work(to, Deadline(to.deadline))
    try:
        return work.fetched(work.resolver.resolve(uri, meant))
    except Failure as failure:
        raise failures.problem(failure, uri, work.place) from failure
    except OSError as error:
        words = f"{uri} cannot be kept in {to.cache} ({described(error)}): give the cache a writable volume with space"
        raise ModelProblem(UNREADABLE, words) from error


def _in_place(path: Path, resolved: Resolved, settings: Settings) -> Fetched:
    """A folder on this machine: nothing is copied, and what is asked for is checked."""
    if not path.is_dir():
        raise ModelProblem(NOT_FOUND, f"{resolved.uri}: there is no folder {path}: correct the address, or mount it")
    recorded = mlmodel.read(path)
    sha256 = digest.of_folder(path) if settings.digest else ""
    _check(resolved, sha256, settings)
    _check_record(resolved, recorded, sum((path / one).stat().st_size for one in digest.files_of(path)))
    return _result(path, resolved, recorded, sha256)


class _Work:
    """One fetch."""

    def __init__(self, settings: Settings, deadline: Deadline) -> None:
        self._settings, self._deadline, self._say = settings, deadline, settings.say
        self.resolver = Resolver(settings, deadline)
        # Who was asked last, for the message if it refuses.
        self.place = safe(settings.registry) or "the registry"

    def fetched(self, resolved: Resolved) -> Fetched:
        """From the cache, else from where it is."""
        entry = Entry(self._settings.cache, resolved.key)
        if (found := self._cached(entry, resolved)) is not None:
            return found
        location = self.resolver.location(resolved)
        if (folder := address.local_folder(location)) is not None:
            return _in_place(_here(folder, resolved), resolved, self._settings)
        self.place = self._named(location)
        with entry.alone(self._deadline, self._say) as alone:
            # Another process may have fetched it meanwhile.
            return self._cached(entry, resolved) or self._patiently(
                partial(self._downloaded, entry, resolved, location, alone)
            )

    def _cached(self, entry: Entry, resolved: Resolved) -> Fetched | None:
        """The model in the cache, if it is complete, undamaged, and the one that is asked for."""
        hold = entry.used()
        found = entry.found(self._say, thorough=self._settings.thorough)
        if found is None or self._settings.digest not in {"", found.digest}:
            hold.release()
            return None
        recorded = mlmodel.read(entry.model)
        _check_record(resolved, recorded, found.size)
        return _result(entry.model, resolved, recorded, found.digest, hold)

    def _downloaded(self, entry: Entry, resolved: Resolved, location: str, alone: Hold) -> Fetched:
        whole = self._download(entry, location, alone)
        if (theirs := self._cached(entry, resolved)) is not None:
            # On a volume without locks, another fetcher was quicker.
            discard(entry.partial)
            return theirs
        recorded, hold = self._checked(entry, resolved, whole), entry.used()
        try:
            entry.install(whole)
        except (Damaged, OSError) as error:
            hold.release()
            raise Failure(Kind.TRANSIENT, f"{_MOVED} ({described(error)})") from error
        self._say(f"fetched {resolved.uri}: {amount(whole.size)}, {len(whole.files)} files, sha256 {whole.digest}")
        return _result(entry.model, resolved, recorded, whole.digest, hold)

    def _download(self, entry: Entry, location: str, alone: Hold) -> Manifest:
        artifacts = self._patiently(partial(Artifacts, location, self._settings.tracking_uri))
        listed = self._patiently(artifacts.files)
        _require_model(listed)
        if self._settings.limit is not None:
            needed = sum(one.size or 0 for one in listed)
            pruning.prune(self._settings.cache, self._settings.limit, needed, entry.key, self._say)
        try:
            self._resume(entry, listed)
        except FileNotFoundError as error:
            raise Failure(Kind.TRANSIENT, _MOVED) from error
        working = entry.working_folder(alone)
        try:
            files = Download(artifacts, listed, self._deadline, self._say).into(entry.partial / "model", working)
        finally:
            shutil.rmtree(working, ignore_errors=True)
        return Manifest(artifacts.location, files)

    def _named(self, location: str) -> str:
        """A place for people; what is in the server's keeping, with the server."""
        of_server = location.startswith(("mlflow-artifacts:", "runs:"))
        return safe(f"{self._settings.tracking_uri} ({location})" if of_server else location)

    def _patiently[T](self, action: Callable[[], T]) -> T:
        return attempt(action, self.place, self._deadline, self._say)

    def _resume(self, entry: Entry, listed: tuple[Listed, ...]) -> None:
        """Keep what an earlier fetch completed, unless the store holds something else by now."""
        listing = "".join(f"{one.path}\t{one.size}\n" for one in listed).encode("utf-8", "surrogateescape")
        written = entry.partial / _LISTING
        if entry.partial.exists() and (not written.exists() or written.read_bytes() != listing):
            discard(entry.partial)
        (entry.partial / "model").mkdir(parents=True, exist_ok=True)
        manifest.write(written, listing)

    def _checked(self, entry: Entry, resolved: Resolved, whole: Manifest) -> Recorded:
        """What was downloaded, if it is what it should be; else nothing of it is kept."""
        try:
            recorded = mlmodel.read(entry.partial / "model")
            _check(resolved, whole.digest, self._settings)
            _check_record(resolved, recorded, whole.size)
        except ModelProblem as problem:
            was_moved = not (entry.partial / "model" / mlmodel.FILE).exists()
            discard(entry.partial)
            if was_moved:
                raise Failure(Kind.TRANSIENT, _MOVED) from problem
            raise
        return recorded


def _here(folder: Path, resolved: Resolved) -> Path:
    if not folder.is_dir():
        raise ModelProblem(
            NOT_FOUND,
            f"{resolved.uri}: its files are in the folder {folder} of another machine: let the MLflow server serve "
            "artifacts (--serve-artifacts, with an experiment made after that), or mount this folder here",
        )
    return folder


def _require_model(listed: tuple[Listed, ...]) -> None:
    if not any(one.path == mlmodel.FILE for one in listed):
        found = ", ".join(one.path for one in listed[:5])
        words = f"no {mlmodel.FILE} is there, but {found}" if found else "no files are there"
        raise Failure(Kind.ABSENT, words)


def _check(resolved: Resolved, sha256: str, settings: Settings) -> None:
    """The digest that was asked for, if one was."""
    if settings.digest not in {"", sha256}:
        raise ModelProblem(
            DIGEST_MISMATCH,
            f"{resolved.uri}: the sha256 of its files is {sha256}, not {settings.digest}: "
            "someone changed them, or give the digest of this model",
        )


def _check_record(resolved: Resolved, recorded: Recorded, size: int) -> None:
    """What the registry says of the model, and what the model says of itself."""
    if resolved.model_id and recorded.model_id not in {"", resolved.model_id}:
        raise ModelProblem(
            DIGEST_MISMATCH,
            f"{resolved.uri}: the registry says that it is {resolved.model_id}, its files are of {recorded.model_id}: "
            "log and register the model anew",
        )
    if recorded.model_size_bytes is not None and size < recorded.model_size_bytes:
        raise ModelProblem(
            DIGEST_MISMATCH,
            f"{resolved.uri}: its files have {size} bytes, the model was logged with {recorded.model_size_bytes}: "
            "some were cut off or lost, log the model anew",
        )


def _result(path: Path, resolved: Resolved, recorded: Recorded, sha256: str, hold: Hold | None = None) -> Fetched:
    return Fetched(
        path=path,
        uri=resolved.uri,
        name=resolved.name,
        version=resolved.version,
        alias=resolved.alias,
        run_id=resolved.run_id or recorded.run_id,
        source=safe(resolved.source),
        model_id=resolved.model_id or recorded.model_id,
        digest=sha256,
        hold=hold or Hold(None),
    )
