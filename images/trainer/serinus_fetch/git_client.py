"""Talks to Git servers: which client an address needs, with which credentials, and which errors are of the network."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import urllib3
from dulwich.client import GitClient, HttpGitClient, SSHGitClient, TCPGitClient, default_urllib3_manager
from dulwich.errors import GitProtocolError, HangupException, NotGitRepository

from serinus_fetch.failures import Permanent, Transient
from serinus_fetch.git_ssh import Ssh
from serinus_fetch.retry import is_transient

TIMEOUT: Final = 30.0
# Servers that take a token take any name with it.
ANYBODY: Final = "git"
# Redirects are followed, as of a repository that was renamed; all else is tried again by our patience.
_RETRIES: Final = urllib3.Retry(5, connect=0, read=0, status=0, other=0)
_SCP: Final = re.compile(r"(?P<user>[^@/:]+)@(?P<host>[^/:]+):(?P<path>.+)")
_WELL_LATER: Final = frozenset({408, 425, 429})
_SERVER_ERROR: Final = 500
_REFUSED: Final = frozenset({401, 403})


@dataclass(frozen=True)
class Credentials:
    """Who asks; what is empty is not there. Never shown."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    ssh_key: str = field(default="", repr=False)
    known_hosts: str = field(default="", repr=False)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Credentials":
        """The credentials that the environment holds."""
        names = ("GIT_USERNAME", "GIT_PASSWORD", "GIT_SSH_KEY", "GIT_KNOWN_HOSTS")
        username, password, ssh_key, known_hosts = (environment.get(name, "") for name in names)
        return cls(username.strip(), password.strip(), ssh_key, known_hosts)


def connect(url: str, credentials: Credentials) -> tuple[GitClient, str]:
    """A client for an address, and the path that it knows the repository by."""
    if scp := _SCP.fullmatch(url):
        return SSHGitClient(scp["host"], username=scp["user"], vendor=_ssh(credentials)), scp["path"]
    parts = urlsplit(url)
    host, path = parts.hostname or "", unquote(parts.path)
    match parts.scheme:
        case "http" | "https":
            return _http(f"{parts.scheme}://{parts.netloc}", credentials), parts.path
        case "ssh":
            user = parts.username or credentials.username or ANYBODY
            return SSHGitClient(host, parts.port, user, _ssh(credentials)), path
        case "git":
            return TCPGitClient(host, parts.port), path
    raise Permanent(f"the scheme {parts.scheme!r} is unknown: use https, http, ssh or git")


def _ssh(credentials: Credentials) -> Ssh:
    return Ssh(credentials.ssh_key, credentials.known_hosts)


def _http(base: str, credentials: Credentials) -> HttpGitClient:
    """A client whose requests fail in our words. Credentials go to this server only, wherever it redirects."""
    if "@" in base:
        raise Permanent("the address must hold no credentials: put them into a Secret and name it in credentialsSecret")
    pool = _Answers(default_urllib3_manager(None, base_url=base, timeout=TIMEOUT), anonymous=not credentials.password)
    who = (credentials.username or ANYBODY, credentials.password) if credentials.password else (None, None)
    # A pool of ours only has what the client uses of one.
    return HttpGitClient(base, pool_manager=pool, username=who[0], password=who[1], timeout=TIMEOUT)  # type: ignore[arg-type]


class _Answers:
    """Sends requests; an answer that is no success is raised as what it means for us."""

    def __init__(self, pool: Any, *, anonymous: bool) -> None:  # noqa: ANN401 - one of urllib3's managers
        self._pool, self._anonymous = pool, anonymous
        self.headers = pool.headers

    def request(self, method: str, url: str, **options: Any) -> Any:  # noqa: ANN401 - urllib3's own
        """The answer to a request."""
        answer = self._pool.request(method, url, retries=_RETRIES, **options)
        if answer.status in _REFUSED or answer.status in _WELL_LATER or answer.status >= _SERVER_ERROR:
            answer.close()
            raise self._meaning(answer.status, f"the server answered {answer.status} {answer.reason}")
        return answer

    def _meaning(self, status: int, words: str) -> Permanent | Transient:
        return Permanent(f"{words}: {self._remedy()}") if status in _REFUSED else Transient(words)

    def _remedy(self) -> str:
        if self._anonymous:
            return (
                "if the repository is private, put username and password into a Secret and name it in credentialsSecret"
            )
        return "correct the password (a token) in the Secret, and let it read this repository"


def told[T](action: Callable[[], T]) -> T:
    """What the action returns; its errors in the two kinds there are, in words without what libraries quote."""
    try:
        return action()
    except (Permanent, Transient):
        raise
    except NotGitRepository:
        raise Permanent(_NOT_FOUND) from None
    except (GitProtocolError, urllib3.exceptions.HTTPError, OSError) as error:
        if is_transient(error) and not _has_spoken(error):
            raise Transient(f"the server cannot be reached or broke off ({_words(error)})") from error
        raise Permanent(f"the server refuses it ({_words(error)}): correct the address") from error


_NOT_FOUND: Final = (
    "there is no repository at this address, or these credentials must not see it: "
    "correct the address, or the Secret that credentialsSecret names"
)


def _has_spoken(error: BaseException) -> bool:
    """Whether the server said why before it ended the connection, as one does over SSH."""
    if isinstance(error, HangupException):
        return bool(error.stderr_lines)
    return isinstance(error.__cause__, HangupException)


def _words(error: BaseException) -> str:
    """The innermost reason, which is what helps; a whole text of urllib3 holds addresses and objects."""
    if _has_spoken(error):
        return " ".join(str(error).split())[:300]
    while isinstance(reason := getattr(error, "reason", None) or error.__cause__, BaseException):
        error = reason
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
