"""What stories fetch from, run in a pod: files at /files/NAME, and Git repositories at /git/NAME.

Whoever reads a repository has to be GIT_LOGIN, a user:password. A story commits to one, which is made if it is missing,
by POST /commits/NAME/BRANCH with the files as JSON, text by path; the answer is the id of the commit.
"""

import base64
import json
import os
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from dulwich.errors import GitProtocolError
from dulwich.index import commit_tree
from dulwich.objects import Blob, Commit
from dulwich.refs import Ref
from dulwich.repo import Repo
from dulwich.server import FileSystemBackend, UploadPackHandler
from dulwich.web import make_wsgi_chain

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

FILES = Path("/files")
REPOSITORIES = Path("/tmp")  # noqa: S108 (the pod's own)
PLAIN = 0o100644
PORT = 8080


class UploadPack(UploadPackHandler):
    """Refuses what is no branch's commit as Git does, rather than by an error of the server."""

    def handle(self) -> None:
        """The answer to what somebody wants to have."""
        try:
            super().handle()
        except GitProtocolError as error:
            self.proto.write_pkt_line(f"ERR upload-pack: {error}".encode())


git = make_wsgi_chain(FileSystemBackend(), handlers={b"git-upload-pack": UploadPack})


class Server(ThreadingMixIn, WSGIServer):
    """Answers many at a time."""

    daemon_threads = True


class Handler(WSGIRequestHandler):
    """Says nothing of what was asked."""

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """The answer to any request."""
    kind, *rest = environ["PATH_INFO"].strip("/").split("/")
    if kind == "git":
        return _read(environ, start_response, rest)
    if kind == "commits" and environ["REQUEST_METHOD"] == "POST":
        name, branch = rest
        files = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        return _say(start_response, HTTPStatus.OK, _commit(name, branch, files))
    file = FILES / rest[-1] if kind == "files" else FILES
    if not file.is_file():
        return _say(start_response, HTTPStatus.NOT_FOUND, b"")
    return _say(start_response, HTTPStatus.OK, file.read_bytes())


def _read(environ: "WSGIEnvironment", start_response: "StartResponse", rest: list[str]) -> Iterable[bytes]:
    expected = base64.b64encode(os.environ["GIT_LOGIN"].encode()).decode()
    if environ.get("HTTP_AUTHORIZATION") != f"Basic {expected}":
        return _say(start_response, HTTPStatus.UNAUTHORIZED, b"", ("WWW-Authenticate", 'Basic realm="git"'))
    return git({**environ, "PATH_INFO": str(REPOSITORIES.joinpath(*rest))}, start_response)


def _say(
    start_response: "StartResponse", status: HTTPStatus, body: bytes, *headers: tuple[str, str]
) -> Iterable[bytes]:
    length = ("Content-Length", str(len(body)))
    start_response(f"{status.value} {status.phrase}", [length, *headers])
    return [body]


def _commit(name: str, branch: str, files: Mapping[str, str]) -> bytes:
    """A commit with these files and no others, on top of what the branch has."""
    path, ref = REPOSITORIES / name, Ref(f"refs/heads/{branch}".encode())
    with Repo(str(path)) if path.exists() else Repo.init_bare(str(path), mkdir=True) as repo:
        blobs = {name: Blob.from_string(text.encode()) for name, text in files.items()}
        for blob in blobs.values():
            repo.object_store.add_object(blob)
        made = Commit()
        made.tree = commit_tree(repo.object_store, [(name.encode(), one.id, PLAIN) for name, one in blobs.items()])
        made.parents = [repo.refs[ref]] if ref in repo.refs else []
        made.author = made.committer = b"somebody <somebody@example.com>"
        made.author_time = made.commit_time = made.author_timezone = made.commit_timezone = 0
        made.message = b"as a story wants it"
        repo.object_store.add_object(made)
        repo.refs[ref] = made.id
        return made.id


if __name__ == "__main__":
    make_server("", PORT, answer, Server, Handler).serve_forever()
