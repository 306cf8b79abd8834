"""Code from Git over HTTP: what is checked out, and what is refused in which words."""

import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dulwich.object_store import BaseObjectStore
from dulwich.objects import Blob, Commit, ObjectID, Tree
from dulwich.refs import Ref
from dulwich.repo import Repo

from serinus_fetch import checkout, source
from serinus_fetch.failures import Permanent, Transient
from serinus_fetch.order import Git
from serinus_fetch.places import Places
from tests.unit.fetch.repositories import Repository
from tests.unit.fetch.servers import Answer, GitServer, WebServer, git_server

HUSH = "s3cret-token"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Two commits on main, the first tagged twice; a branch with a slash in its name."""
    made = Repository(tmp_path / "git" / "models")
    made.commit(train_dot_py="print(1)\n", training__a_dot_py="a", training__deep__b_dot_py="b")
    made.git("tag", "light")
    made.git("tag", "--annotate", "--message=x", "v1")
    made.git("branch", "team/one")
    made.commit(train_dot_py="print(2)\n")
    return made


@pytest.fixture
def server(repository: Repository) -> Iterator[GitServer]:
    """The repository, over HTTP."""
    with git_server(repository.path.parent) as served:
        yield served


def _fetch(server: GitServer, places: Places, **git: str) -> str:
    return source.fetch(Git(f"{server.url}/models", **git), {}, places.source)


def _files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("protocol", [1, 2])
@pytest.mark.parametrize(
    ("ref", "expected"), [("", "main"), ("main", "main"), ("team/one", "v1"), ("v1", "v1"), ("light", "v1")]
)
def test_ref_is_checked_out(  # noqa: PLR0913, PLR0917
    ref: str, expected: str, protocol: int, server: GitServer, repository: Repository, places: Places
) -> None:
    server.protocol = protocol
    assert _fetch(server, places, ref=ref) == repository.git("rev-parse", f"{expected}^{{commit}}")
    assert (places.source / "train.py").read_text() == f"print({'2' if expected == 'main' else '1'})\n"
    assert not (places.source / ".git").exists()
    assert list(places.source.parent.iterdir()) == [places.source]


@pytest.mark.parametrize("protocol", [1, 2])
@pytest.mark.parametrize("field", ["ref", "commit"])
def test_commit_that_no_branch_points_to_is_checked_out(
    field: str, protocol: int, server: GitServer, repository: Repository, places: Places
) -> None:
    server.protocol = protocol
    middle = repository.git("rev-parse", "HEAD")
    repository.commit(train_dot_py="print(3)\n")
    assert _fetch(server, places, **{field: middle}) == middle
    assert (places.source / "train.py").read_text() == "print(2)\n"


def test_resolved_commit_comes_before_the_ref(server: GitServer, repository: Repository, places: Places) -> None:
    first = repository.git("rev-parse", "light")
    assert _fetch(server, places, ref="main", commit=first) == first


def test_branch_comes_before_a_tag_of_its_name(server: GitServer, repository: Repository, places: Places) -> None:
    repository.git("tag", "main", "light")
    assert _fetch(server, places, ref="main") == repository.git("rev-parse", "refs/heads/main")


@pytest.mark.parametrize("path", ["training", "training/", "./training"])
def test_folder_becomes_the_source(path: str, server: GitServer, places: Places) -> None:
    _fetch(server, places, path=path)
    assert _files(places.source) == {"a.py": "a", "deep/b.py": "b"}


def test_what_an_earlier_try_left_is_gone(server: GitServer, places: Places) -> None:
    places.source.mkdir()
    (places.source / "stale.py").touch()
    _fetch(server, places)
    assert not (places.source / "stale.py").exists()


def test_history_stays_where_it_is(server: GitServer, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[int] = []
    write = checkout.write

    def counting(store: BaseObjectStore, tree: ObjectID, root: Path) -> tuple[int, int]:
        fetched.append(len(set(store)))
        return write(store, tree, root)

    monkeypatch.setattr(checkout, "write", counting)
    _fetch(server, places)
    assert fetched == [7]  # a commit, a tree for each of its three folders, three files


def test_modes_are_kept_and_all_may_read(server: GitServer, repository: Repository, places: Places) -> None:
    (repository.path / "run.sh").touch(mode=0o755)
    repository.commit()
    _fetch(server, places)
    assert stat.S_IMODE((places.source / "run.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((places.source / "train.py").stat().st_mode) == 0o644


def test_link_inside_stays_a_link(server: GitServer, repository: Repository, places: Places) -> None:
    (repository.path / "training" / "link.py").symlink_to("../train.py")
    (repository.path / "dangling").symlink_to("nothing")
    repository.commit()
    _fetch(server, places)
    assert (places.source / "training" / "link.py").readlink() == Path("../train.py")
    assert (places.source / "dangling").is_symlink()


@pytest.mark.parametrize("links", [{"out": "/etc"}, {"out": "../x"}, {"a": "training/deep", "b": "a/../../.."}])
def test_link_that_leads_out_is_refused(
    links: dict[str, str], server: GitServer, repository: Repository, places: Places
) -> None:
    for name, target in links.items():
        (repository.path / name).symlink_to(target)
    repository.commit()
    with pytest.raises(Permanent, match="leads out of the folder"):
        _fetch(server, places)


def test_link_out_of_the_wanted_folder_is_refused(server: GitServer, repository: Repository, places: Places) -> None:
    (repository.path / "training" / "link.py").symlink_to("../train.py")
    repository.commit()
    with pytest.raises(Permanent, match=r"'link.py' leads out of the folder, to '../train.py'"):
        _fetch(server, places, path="training")


@pytest.mark.parametrize("name", [b"..", b".git", b".GIT", b"."])
def test_tree_that_would_write_elsewhere_is_refused(
    name: bytes, server: GitServer, repository: Repository, places: Places
) -> None:
    with Repo(str(repository.path)) as repo:
        blob, inner, outer = Blob.from_string(b"x"), Tree(), Tree()
        inner.add(b"evil", 0o100644, blob.id)
        outer.add(name, 0o040000, inner.id)
        commit = Commit()
        commit.tree, commit.author, commit.committer, commit.message = outer.id, b"a <a@b>", b"a <a@b>", b"x"
        commit.author_time = commit.commit_time = commit.author_timezone = commit.commit_timezone = 0
        for one in (blob, inner, outer, commit):
            repo.object_store.add_object(one)
        repo.refs[Ref(b"refs/heads/evil")] = commit.id
    with pytest.raises(Permanent, match="has a file named"):
        _fetch(server, places, ref="evil")
    assert not list(places.root.rglob("evil"))


@pytest.mark.parametrize(
    ("git", "words"),
    [
        ({"ref": "mian"}, "no branch, tag or full commit id 'mian': correct ref"),
        ({"ref": "ab" * 20}, f"no commit {'ab' * 20} on a branch or tag"),
        ({"commit": "ab" * 20}, f"no commit {'ab' * 20} on a branch or tag"),
        ({"path": "trainign"}, "has no folder 'trainign': correct path"),
        ({"path": "train.py"}, r"has no folder 'train\.py'"),
        ({"path": "../models"}, r"has no folder '\.\./models'"),
    ],
)
def test_what_is_not_there_is_named(git: dict[str, str], words: str, server: GitServer, places: Places) -> None:
    with pytest.raises(Permanent, match=words):
        _fetch(server, places, **git)


def test_repository_without_commits_is_refused(server: GitServer, repository: Repository, places: Places) -> None:
    Repository(repository.path.parent / "empty")
    with pytest.raises(Permanent, match="has no default branch"):
        source.fetch(Git(f"{server.url}/empty"), {}, places.source)


def test_no_repository_at_the_address(server: GitServer, places: Places) -> None:
    with pytest.raises(Permanent, match="there is no repository at this address"):
        source.fetch(Git(f"{server.url}/other"), {}, places.source)


def test_submodule_stays_empty(
    server: GitServer, repository: Repository, places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    head = repository.git("rev-parse", "HEAD")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{head},vendored")
    repository.git("commit", "--quiet", "--message=x")
    _fetch(server, places)
    assert list((places.source / "vendored").iterdir()) == []
    assert "vendored is a submodule" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("login", "environment"),
    [
        (f"git:{HUSH}", {"GIT_PASSWORD": HUSH}),
        (f"bot:{HUSH}", {"GIT_USERNAME": "bot", "GIT_PASSWORD": f"{HUSH}\n"}),
    ],
)
def test_private_repository_opens_with_credentials(
    login: str, environment: dict[str, str], repository: Repository, places: Places
) -> None:
    with git_server(repository.path.parent, login) as server:
        source.fetch(Git(f"{server.url}/models"), environment, places.source)
    assert (places.source / "train.py").exists()


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "401 Unauthorized: if the repository is private, put username and password into a Secret"),
        ({"GIT_PASSWORD": "wr0ng"}, "401 Unauthorized: correct the password"),
    ],
)
def test_refused_credentials_are_told_but_not_shown(
    environment: dict[str, str],
    words: str,
    repository: Repository,
    places: Places,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with git_server(repository.path.parent, f"git:{HUSH}") as server, pytest.raises(Permanent, match=words) as caught:
        source.fetch(Git(f"{server.url}/models"), environment, places.source)
    assert "wr0ng" not in f"{caught.value}{capsys.readouterr().out}"


def test_credentials_in_the_address_are_refused(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Permanent, match="must hold no credentials") as caught:
        source.fetch(Git(f"http://git:{HUSH}@127.0.0.1/models"), {}, places.source)
    assert HUSH not in f"{caught.value}{capsys.readouterr().out}"


def test_renamed_repository_is_followed(server: GitServer, web: WebServer, places: Places) -> None:
    query = "info/refs?service=git-upload-pack"
    web.answers[f"/old/{query}"] = [Answer(301, headers=(("Location", f"{server.url}/models/{query}"),))]
    assert source.fetch(Git(f"{web.url}/old"), {}, places.source)


def test_credentials_stay_with_their_server(repository: Repository, web: WebServer, places: Places) -> None:
    query = "info/refs?service=git-upload-pack"
    with git_server(repository.path.parent, f"git:{HUSH}") as server:
        web.answers[f"/old/{query}"] = [Answer(301, headers=(("Location", f"{server.url}/models/{query}"),))]
        with pytest.raises(Permanent, match="401 Unauthorized"):
            source.fetch(Git(f"{web.url}/old"), {"GIT_PASSWORD": HUSH}, places.source)


def test_server_that_is_not_well_is_asked_again(server: GitServer, places: Places) -> None:
    server.unwell = [503, 429]
    assert _fetch(server, places)


def test_server_that_stays_unwell_is_transient(server: GitServer, places: Places) -> None:
    server.unwell = [502] * 100
    with pytest.raises(Transient, match="the server answered 502"):
        _fetch(server, places)


# urllib3 leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nobody_listens(places: Places) -> None:
    with pytest.raises(Transient, match=r"cannot be reached .*refused"):
        source.fetch(Git("http://127.0.0.1:9/models"), {}, places.source)


def test_git_protocol(repository: Repository, places: Places, unused_port: int) -> None:
    command = ["git", "daemon", "--export-all", f"--base-path={repository.path.parent}", f"--port={unused_port}"]
    with subprocess.Popen([*command, "--listen=127.0.0.1", "--reuseaddr"]) as daemon:
        try:
            _until_served(f"git://127.0.0.1:{unused_port}/models", places)
        finally:
            daemon.terminate()
    assert (places.source / "train.py").exists()


def _until_served(url: str, places: Places) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            source.fetch(Git(url), {}, places.source)
        except Transient:
            assert time.monotonic() < until
        else:
            return
