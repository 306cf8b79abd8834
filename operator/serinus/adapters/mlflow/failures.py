"""What goes wrong with a request to MLflow, told apart by what somebody has to do about it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from yarl import URL

from serinus.asks import Trouble, TroubleKind

# MLflow's error codes, as far as they are more to us than a refusal.
ABSENT: Final = "RESOURCE_DOES_NOT_EXIST"
EXISTS: Final = "RESOURCE_ALREADY_EXISTS"
# What the database would not have: as a rule two have written the same thing at once.
CLASHED: Final = "BAD_REQUEST"
INVALID: Final = "INVALID_PARAMETER_VALUE"

_DETAIL_LENGTH = 400
_SERVER_FAULTS = range(500, 600)
_REDIRECTS = range(300, 400)


class Failed(Exception):
    """A request was not answered as asked; `code` is MLflow's error code, if it gave one."""

    def __init__(self, kind: TroubleKind, message: str, code: str = "") -> None:
        super().__init__(message)
        self.trouble = Trouble(kind, message)
        self.code = code

    @property
    def outcome(self) -> str:
        """The word for it in metrics."""
        return "absent" if self.code == ABSENT else self.trouble.kind.value.lower()


@dataclass(frozen=True)
class Party:
    """Who is asked, as messages name it: the address without credentials, and where to mend the credentials."""

    address: URL
    remedy: str

    def __str__(self) -> str:
        return f"MLflow at {self.address}"

    def trouble(self, kind: TroubleKind, message: str, code: str = "") -> Failed:
        """A failure of this party."""
        return Failed(kind, f"{self} {message}", code)

    def unreachable(self, message: str) -> Failed:
        """A failure that may have gone by itself, or by the hand of who runs the server, the next time."""
        return self.trouble(TroubleKind.UNREACHABLE, message)


@dataclass(frozen=True)
class Reply:
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Mapping[str, Any] | None:
        """The body as a JSON object; None if it is none."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    @property
    def form(self) -> str:
        """What the body claims to be."""
        return self.headers.get("Content-Type", "nothing").partition(";")[0]


def address_of(uri: str) -> URL:
    """An address as it is used and shown: what it may hold of credentials is left out. Failed if it is none."""
    try:
        address = URL(uri.rstrip("/"))
        if address.scheme in {"http", "https"} and address.host:
            return _bare(address)
    except ValueError:
        pass
    shown = uri.rpartition("@")[2].partition("?")[0]
    raise Failed(TroubleKind.UNREACHABLE, f"{shown!r} is no address of MLflow: write it as http://name:port") from None


def _bare(url: URL) -> URL:
    return url.with_user(None).with_query(None).with_fragment(None)


def of_reply(party: Party, operation: str, reply: Reply) -> Failed:
    """What a reply that is no success means."""
    error = reply.json() or {}
    code, detail = str(error.get("error_code", "")), one_line(str(error.get("message", "")))
    if reply.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return _denied(party, operation, reply)
    if reply.status in _REDIRECTS:
        return _redirected(party, operation, reply)
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS or reply.status in _SERVER_FAULTS:
        said = detail or f"it sent {reply.form}"
        return party.unreachable(f"answered {operation} with {reply.status}: {said}; its log says more")
    if code:
        return party.trouble(TroubleKind.REFUSED, f"refused {operation}: {detail}", code)
    return not_mlflow(party, operation, reply)


def _denied(party: Party, operation: str, reply: Reply) -> Failed:
    if b"Invalid Host header" in reply.body:
        return party.unreachable(
            f"does not know itself by the name {party.address.authority}: add it to the server's allowed hosts "
            "(--allowed-hosts or MLFLOW_SERVER_ALLOWED_HOSTS)"
        )
    what = "does not accept the credentials" if reply.status == HTTPStatus.UNAUTHORIZED else "does not permit"
    return party.trouble(TroubleKind.UNAUTHORIZED, f"{what} ({reply.status} to {operation}): {party.remedy}")


def _redirected(party: Party, operation: str, reply: Reply) -> Failed:
    """A redirect to the same path is to https or to another name; any other one leads to a login page."""
    to = _bare(party.address.join(URL(reply.headers.get("Location", ""))))
    if to.path.endswith(f"/{operation}"):
        return party.unreachable(f"has moved ({operation} redirects to {to}): use the address it leads to")
    return party.trouble(TroubleKind.UNAUTHORIZED, f"redirects {operation} to {to}, a login page? {party.remedy}")


def not_mlflow(party: Party, operation: str, reply: Reply) -> Failed:
    """An answer that is not in MLflow's form."""
    return party.unreachable(
        f"answered {operation} with {reply.status} and {reply.form} instead of MLflow's JSON: is it the address of "
        "MLflow, and does no login page stand before it?"
    )


def of_error(party: Party, seconds: float, error: Exception) -> Failed:
    """What it means that no reply came."""
    match error:
        case TimeoutError():
            what = f"did not answer within {seconds:g} s: is it overloaded, or is a firewall in between?"
        case aiohttp.ClientConnectorCertificateError():
            what = "has a certificate that the operator does not trust: give the operator its authority's certificate"
        case aiohttp.ClientConnectorSSLError():
            what = "does not speak TLS as expected: is the address https although the server speaks http?"
        case aiohttp.ClientConnectorDNSError():
            what = "has a name that is not known to DNS: correct the address"
        case aiohttp.ClientConnectorError():
            what = f"takes no connections ({one_line(error.os_error.strerror or 'no reason given')}): does it run?"
        case _:
            what = f"broke off ({type(error).__name__}): its log may say why"
    return party.unreachable(what)


def one_line(text: str) -> str:
    """A text from elsewhere, fit to be part of a message."""
    line = " ".join(text.split())
    return line if len(line) <= _DETAIL_LENGTH else f"{line[: _DETAIL_LENGTH - 1]}…"
