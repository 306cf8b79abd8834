"""Fetches code from Git: one commit, without its history where the server can do that."""

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dulwich.client import GitClient
from dulwich.errors import GitProtocolError, HangupException, NotTreeError
from dulwich.object_store import tree_lookup_path
from dulwich.objects import Commit, ObjectID, Tag, Tree
from dulwich.refs import Ref
from dulwich.repo import Repo

from serinus_fetch import checkout
from serinus_fetch.failures import Permanent
from serinus_fetch.git_client import Credentials, connect, told
from serinus_fetch.log import Progress, amount, say
from serinus_fetch.order import Git
from serinus_fetch.places import shown
from serinus_fetch.retry import Patience, is_transient

type _Refs = Mapping[Ref, ObjectID]

# All that a ref may be one of; servers have more, such as every pull request.
PREFIXES: Final = (b"HEAD", b"refs/heads/", b"refs/tags/")
_NONE: Final = ObjectID(b"")
_COMMIT: Final = re.compile("[0-9a-f]{40}([0-9a-f]{24})?")


def fetch(git: Git, environment: Mapping[str, str], to: Path) -> str:
    """The commit whose files are in the folder afterwards; Permanent or Transient where they cannot be had."""
    credentials = Credentials.of(environment)
    address = shown(git.url) if "://" in git.url else git.url
    say(f"fetching source from {address}, {git.commit or git.ref or 'its default branch'}")
    progress = Progress("source")
    shutil.rmtree(to, ignore_errors=True)
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".git-") as folder:
        commit, (files, size) = _fetch(git, credentials, Path(folder), to, progress)
    say(f"fetched source ({files} files, {amount(size)} in {progress.seconds():.1f} s, commit {commit})")
    return commit


def _fetch(
    git: Git, credentials: Credentials, folder: Path, to: Path, progress: Progress
) -> tuple[str, tuple[int, int]]:
    with Repo.init_bare(str(folder)) as repo:
        found = Patience().attempt(lambda: told(lambda: _into(repo, git, credentials, progress)))
        commit = _commit(repo, found)
        return commit.id.decode(), checkout.write(repo.object_store, _tree(repo, commit, git.path), to)


@dataclass
class _Wants:
    """Tells dulwich what to ask for: one commit or tag, or everything where the server does not give that alone."""

    git: Git
    chosen: ObjectID = _NONE
    is_listed: bool = True

    def __call__(self, refs: _Refs, depth: int | None = None) -> list[ObjectID]:
        self.chosen = _chosen(refs, self.git)
        self.is_listed = self.chosen in refs.values()
        return [self.chosen] if depth or self.is_listed else sorted(set(refs.values()))


def _into(repo: Repo, git: Git, credentials: Credentials, progress: Progress) -> ObjectID:
    """Bring what is wanted into a repository of ours; the id of a commit or of a tag."""
    client, path = connect(git.url, credentials)
    wants = _Wants(git)
    _fetch_pack(client, path, repo, wants, progress)
    return wants.chosen


def _chosen(refs: _Refs, git: Git) -> ObjectID:
    """What is wanted, of what the server has: a commit as it is, else a branch before a tag of the same name."""
    if git.commit:
        return ObjectID(git.commit.encode())
    ref = git.ref.encode()
    names = (b"refs/heads/" + ref, b"refs/tags/" + ref) if ref else (b"HEAD",)
    found = next((refs[Ref(name)] for name in names if name in refs), None)
    if found is None and _COMMIT.fullmatch(git.ref):
        return ObjectID(ref)
    if found is None and not ref:
        raise Permanent("the repository has no default branch: push a commit, or name a branch in ref")
    if found is None:
        raise Permanent(f"there is no branch, tag or full commit id {git.ref!r}: correct ref")
    return found


def _fetch_pack(client: GitClient, path: str, repo: Repo, wants: _Wants, progress: Progress) -> None:
    """Without history where the server can give it so and gives this commit; else all that it has."""

    def tell(words: bytes) -> None:
        progress.tell(words.decode(errors="replace").strip())

    try:
        client.fetch(path, repo, wants, tell, depth=1, ref_prefix=PREFIXES)
    except GitProtocolError as error:
        # A server that refuses a commit says so in a way that dulwich takes for the end of the connection.
        refused = isinstance(error, HangupException) and not wants.is_listed
        if is_transient(error) and not refused:
            raise
        say("the server does not give this commit alone: fetching all of the history")
        client.fetch(path, repo, wants, tell, ref_prefix=PREFIXES)


def _commit(repo: Repo, found: ObjectID) -> Commit:
    """What a commit or tag stands for."""
    if found not in repo.object_store:
        raise Permanent(f"the repository has no commit {found.decode()} on a branch or tag: correct ref, or push it")
    one = repo[found]
    if isinstance(one, Tag):
        return _commit(repo, one.object[1])
    if not isinstance(one, Commit):
        raise Permanent(f"{found.decode()} is no commit: name a branch, a tag or a commit in ref")
    return one


def _tree(repo: Repo, commit: Commit, path: str) -> ObjectID:
    """The tree of a folder in a commit."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    root = ObjectID(commit.tree)
    try:
        sha = tree_lookup_path(repo.object_store.__getitem__, root, "/".join(parts).encode())[1] if parts else root
    except (KeyError, NotTreeError):
        sha = None
    if sha is None or not isinstance(repo[sha], Tree):
        raise Permanent(f"commit {commit.id.decode()} has no folder {path!r}: correct path")
    return sha
