"""How asking a server or a store can fail, whatever library it was asked with."""

import socket
import ssl
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any, Final

from serinus_server.fetching.words import described
from serinus_server.problems import NOT_FOUND, UNREADABLE, ModelProblem

_KINDS: Final = (TimeoutError, ConnectionError, socket.gaierror)
# By name, so that none of these libraries is imported just to ask.
_TRANSIENT: Final = frozenset(
    {
        "HTTPClientError",  # botocore: no connection, time out
        "IncompleteRead",
        "IncompleteReadError",
        "ResponseStreamingError",
        "ChunkedEncodingError",
        "ConnectionError",  # requests has one of its own
        "Timeout",
        "TransportError",  # google.auth
        "RetriesExceededError",
    }
)
_NO_CREDENTIALS: Final = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "RefreshError"}
)
_CODES: Final = {
    "RESOURCE_DOES_NOT_EXIST": 404,
    "NoSuchKey": 404,
    "NoSuchBucket": 404,
    "PERMISSION_DENIED": 403,
    "AccessDenied": 403,
    "UNAUTHENTICATED": 401,
    "CUSTOMER_UNAUTHORIZED": 401,
    "TEMPORARILY_UNAVAILABLE": 503,
}
_ALLOW: Final = "allow this name with MLFLOW_SERVER_ALLOWED_HOSTS on the MLflow server"
_ROOM: Final = "give the cache's volume more space, or all cached models a limit"
_WRITABLE: Final = "give the cache a writable volume"
_BY_WORDS: Final = {
    "host header": _ALLOW,
    "dns rebinding": _ALLOW,
    "no space left": _ROOM,
    "quota exceeded": _ROOM,
    "[errno 13]": _WRITABLE,
    "[errno 20]": _WRITABLE,
    "[errno 30]": _WRITABLE,
}
_WELL_LATER: Final = frozenset({408, 425, 429})
_CLIENT_ERROR: Final = 400
_SERVER_ERROR: Final = 500


class Kind(Enum):
    """What can be done about it."""

    ABSENT = auto()
    FORBIDDEN = auto()
    # The network or a server was not well: trying again may help.
    TRANSIENT = auto()
    REFUSED = auto()


_BY_KIND: Final = {
    Kind.ABSENT: "correct the address of the model, or MLFLOW_TRACKING_URI if it is another server's",
    Kind.TRANSIENT: "see that it runs and can be reached from here (its address, network policies), then start again",
    Kind.REFUSED: "see what it says to it, and correct the address or the settings in the environment",
}


class Failure(Exception):
    """One request failed; the message is one line without secrets."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def of(error: BaseException) -> Failure:
    """Any library's error as a Failure."""
    return error if isinstance(error, Failure) else Failure(_kind(error), described(error))


def of_status(status: int, message: str) -> Failure:
    """A status of HTTP as a Failure."""
    return Failure(_of_status(status), message)


def problem(failure: Failure, what: str, where: str) -> ModelProblem:
    """For the person who deploys: what was asked, of whom, what came back, and what to do."""
    reason = NOT_FOUND if failure.kind is Kind.ABSENT else UNREADABLE
    return ModelProblem(reason, f"{what} cannot be had from {where} ({failure}): {_remedy(failure, where)}")


def _remedy(failure: Failure, where: str) -> str:
    words = str(failure).lower()
    for found, remedy in _BY_WORDS.items():
        if found in words:
            return remedy
    if failure.kind is Kind.FORBIDDEN:
        return f"correct {_credentials(where)}, or let them read the model"
    return _BY_KIND[failure.kind]


def _credentials(where: str) -> str:
    if where.startswith("s3:"):
        return "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (MLFLOW_S3_ENDPOINT_URL for a store that is not Amazon's)"
    if where.startswith("gs:"):
        return "GOOGLE_APPLICATION_CREDENTIALS"
    return "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"


def _kind(error: BaseException) -> Kind:
    chain = tuple(_chain(error))
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in chain):
        return Kind.REFUSED
    if any(type(one).__name__ in _NO_CREDENTIALS for one in chain):
        return Kind.FORBIDDEN
    status = next((found for one in chain if (found := _status(one)) is not None), None)
    if status is not None:
        return _of_status(status)
    if any(isinstance(one, FileNotFoundError) for one in chain):
        return Kind.ABSENT
    passes = any(isinstance(one, _KINDS) or _names(one) & _TRANSIENT for one in chain)
    return Kind.TRANSIENT if passes else Kind.REFUSED


def _of_status(status: int) -> Kind:
    if status >= _SERVER_ERROR or status in _WELL_LATER:
        return Kind.TRANSIENT
    return {404: Kind.ABSENT, 401: Kind.FORBIDDEN, 403: Kind.FORBIDDEN}.get(status, Kind.REFUSED)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _names(error: BaseException) -> set[str]:
    return {one.__name__ for one in type(error).__mro__}


def _status(error: BaseException) -> int | None:
    """The status that an error is about: requests' and botocore's in `response`, google's and MLflow's as `code`s."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        code = response.get("Error", {}).get("Code")
        return _CODES.get(str(code)) or response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    for found in (getattr(response, "status_code", None), getattr(error, "code", None)):
        if isinstance(found, int) and not isinstance(found, bool):
            return int(found)
    return _of_mlflow(error) if hasattr(error, "error_code") else None


def _of_mlflow(error: Any) -> int | None:
    """MLflow calls all that it did not foresee an internal error: from its server one, from its client anything."""
    code = str(error.error_code)
    if code == "INTERNAL_ERROR":
        return _SERVER_ERROR if type(error).__name__ == "RestException" else None
    return _CODES.get(code, _CLIENT_ERROR)
