"""Code from Git over SSH: a server is known by its key or not talked to at all."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from serinus_fetch import git_ssh, source
from serinus_fetch.failures import Permanent, Transient
from serinus_fetch.order import Git
from serinus_fetch.places import Places
from tests.unit.fetch.repositories import Repository
from tests.unit.fetch.servers import ssh_server


def _pem(key: ed25519.Ed25519PrivateKey, passphrase: str = "") -> str:
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, encryption).decode()


def _key(pem: str) -> paramiko.PKey:
    return paramiko.Ed25519Key.from_private_key(io.StringIO(pem))


@dataclass(frozen=True)
class Served:
    """A repository over SSH, and what a client must have."""

    port: int
    path: Path
    host_key: paramiko.PKey
    key: str

    @property
    def git(self) -> Git:
        """Where it is."""
        return Git(f"ssh://git@127.0.0.1:{self.port}{self.path}")

    def environment(self, **other: str) -> dict[str, str]:
        """What opens it, or something else instead."""
        known = f"# a comment\n{_known(self.port, self.host_key)}\n"
        return {"GIT_SSH_KEY": self.key, "GIT_KNOWN_HOSTS": known, **other}


def _known(port: int, key: paramiko.PKey) -> str:
    return f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A repository with one commit, over SSH."""
    repository = Repository(tmp_path / "git" / "it's mine")
    repository.commit(train_dot_py="print(1)\n")
    host_key, key = (_pem(ed25519.Ed25519PrivateKey.generate()) for _ in range(2))
    with ssh_server(_key(host_key), _key(key)) as port:
        yield Served(port, repository.path, _key(host_key), key)


def test_code_is_fetched(served: Served, places: Places) -> None:
    source.fetch(served.git, served.environment(), places.source)
    assert (places.source / "train.py").read_text() == "print(1)\n"


def test_short_form_of_an_address(served: Served, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_ssh, "_PORT", served.port)
    known = f"127.0.0.1 {served.host_key.get_name()} {served.host_key.get_base64()}"
    monkeypatch.setattr(paramiko.client, "SSH_PORT", served.port)
    source.fetch(Git(f"git@127.0.0.1:{served.path}"), served.environment(GIT_KNOWN_HOSTS=known), places.source)
    assert (places.source / "train.py").exists()


# Dulwich leaves a connection that failed to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_repository_that_is_not_there(served: Served, places: Places) -> None:
    with pytest.raises(Permanent, match=r"the server refuses it \(.*does not appear to be a git repository"):
        source.fetch(Git(f"{served.git.url}-2"), served.environment(), places.source)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"GIT_KNOWN_HOSTS": ""}, r"no key to know \[127.0.0.1\]:\d+ by: add its lines of known_hosts .*ssh-keyscan"),
        ({"GIT_KNOWN_HOSTS": "other.example ssh-ed25519 AAAA"}, "no key to know"),
        ({"GIT_SSH_KEY": ""}, "there is no SSH key: put ssh-privatekey into a Secret"),
        ({"GIT_SSH_KEY": "no key"}, "no Ed25519, ECDSA or RSA key"),
        ({"GIT_SSH_KEY": _pem(ed25519.Ed25519PrivateKey.generate(), "x")}, "has a passphrase: give one without"),
        ({"GIT_SSH_KEY": _pem(ed25519.Ed25519PrivateKey.generate())}, "127.0.0.1 refuses the SSH key"),
    ],
)
def test_what_is_missing_is_named(
    environment: dict[str, str], words: str, served: Served, places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Permanent, match=words) as caught:
        source.fetch(served.git, served.environment(**environment), places.source)
    assert "PRIVATE KEY" not in f"{caught.value}{capsys.readouterr().out}"


def test_another_key_of_the_server_is_refused(served: Served, places: Places) -> None:
    other = _key(_pem(ed25519.Ed25519PrivateKey.generate()))
    with pytest.raises(Permanent, match="shows another ssh-ed25519 key than known_hosts has"):
        source.fetch(served.git, served.environment(GIT_KNOWN_HOSTS=_known(served.port, other)), places.source)


def test_nobody_listens(places: Places, served: Served, unused_port: int) -> None:
    git = Git(f"ssh://git@127.0.0.1:{unused_port}/models")
    known = _known(unused_port, served.host_key)
    with pytest.raises(Transient, match="cannot be reached"):
        source.fetch(git, served.environment(GIT_KNOWN_HOSTS=known), places.source)
