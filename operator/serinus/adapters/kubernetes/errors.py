"""What it means when the API server does not do what it was asked, in one line that says what to do about it."""

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from serinus.adapters.kubernetes.request import Request
from serinus.ports import Conflict, Forbidden, KubeError, Missing, Refused, Unavailable

LONGEST_REASON: Final = 1000

_ERRORS: Final[Mapping[int, type[KubeError]]] = {
    HTTPStatus.UNAUTHORIZED: Forbidden,
    HTTPStatus.FORBIDDEN: Forbidden,
    HTTPStatus.NOT_FOUND: Missing,
    HTTPStatus.REQUEST_TIMEOUT: Unavailable,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.TOO_MANY_REQUESTS: Unavailable,
}

# The words of Kubernetes' RBAC; a quota or a namespace that is going forbids in other words.
_LACKS: Final = re.compile(r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]*)"')

# Refusals that the API server takes for failures of its own (500): a field of an apply that the kind does not have or
# that is of another type, and an object that etcd finds too large. Nothing gets better by trying again.
_MISTAKEN: Final = re.compile(r"failed to create typed patch object|request is too large|message larger than max")


class Unserved(Missing):
    """There is no such kind in this cluster."""


def silent(request: Request, cause: str) -> Unavailable:
    """No answer came, or none that could be read."""
    return Unavailable(f"cannot {request}: {_one_line(cause)}")


def refusal(request: Request, status: int, headers: Mapping[str, str], body: bytes) -> KubeError:
    """The error that an answer stands for."""
    answer = _status(body)
    reason = _one_line(str(answer.get("message") or body[:LONGEST_REASON].decode(errors="replace")))
    error = _error(status, answer, reason)
    message = f"cannot {request}: {_explained(request, status, error, reason)}"
    return Unavailable(message, _retry_after(headers)) if error is Unavailable else error(message)


def _error(status: int, answer: Mapping[str, Any], reason: str) -> type[KubeError]:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Refused if _MISTAKEN.search(reason) else Unavailable
    if status == HTTPStatus.NOT_FOUND and not answer:
        return Unserved  # No such address: only where there is one, what is missing is said in Kubernetes' words.
    if status == HTTPStatus.UNPROCESSABLE_ENTITY and _is_of_another_uid(answer):
        return Conflict
    if status == HTTPStatus.FORBIDDEN and _is_in_a_namespace_that_goes(answer):
        return Missing
    return _ERRORS.get(status, Refused)


def _explained(request: Request, status: int, error: type[KubeError], reason: str) -> str:
    if error is Unserved:
        return _unserved(request)
    if status == HTTPStatus.UNAUTHORIZED:
        return f"the API server does not accept our login, is it still valid? {reason} ({status})"
    if status == HTTPStatus.FORBIDDEN and (lacks := _LACKS.search(reason)):
        return _lacking(request, lacks)
    if status == HTTPStatus.UNPROCESSABLE_ENTITY and error is Conflict:
        return f"another object has taken its name: {reason}"
    return f"{reason} ({status})"


def _status(body: bytes) -> Mapping[str, Any]:
    """The answer in Kubernetes' words; empty if it is not."""
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}


def _one_line(text: str) -> str:
    line = " ".join(text.split()) or "no reason given"
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}…"


def _lacking(request: Request, lacks: re.Match[str]) -> str:
    where = f"namespace {request.namespace!r}" if request.namespace else "all namespaces"
    return (
        f"RBAC forbids it: give {lacks['user']} a Role with the verb {lacks['verb']!r} on {lacks['resource']!r} "
        f"in API group {request.kind.group!r}, {where}"
    )


def _unserved(request: Request) -> str:
    kind = request.kind
    remedy = (
        "is its CustomResourceDefinition installed?" if "." in kind.group else "is this version of Kubernetes too old?"
    )
    return f"the API server does not serve {kind.plural} in {kind.api_version}: {remedy}"


def _is_of_another_uid(answer: Mapping[str, Any]) -> bool:
    """Whether an apply met another object than the one whose uid it named: the API server calls the uid immutable."""
    return any(cause.get("field") == "metadata.uid" for cause in _causes(answer))


def _is_in_a_namespace_that_goes(answer: Mapping[str, Any]) -> bool:
    """Nobody may make anything there any more: it is as good as gone, and nobody's rights are to blame."""
    return any(cause.get("reason") == "NamespaceTerminating" for cause in _causes(answer))


def _causes(answer: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (answer.get("details") or {}).get("causes") or ()


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, as the API server gives them; a date, as only a proxy would, is left out of account."""
    seconds = headers.get("Retry-After", "")
    return float(seconds) if seconds.isdecimal() else None
