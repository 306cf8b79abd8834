"""What every ask is, and every answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Self

type Pairs = tuple[tuple[str, str], ...]


def pairs(mapping: Mapping[str, object]) -> Pairs:
    """A mapping of texts as part of a value."""
    return tuple(sorted((key, str(value)) for key, value in mapping.items()))


@dataclass(frozen=True)
class Server:
    """An MLflow server, and the Secret with the credentials for it; without one, the operator's own are used."""

    uri: str
    namespace: str = ""
    secret: str = ""

    @classmethod
    def of(cls, uri: str, namespace: str, secret: str) -> Self:
        """The server as a resource names it. Without a Secret of their own all namespaces mean the same."""
        return cls(uri, namespace, secret) if secret else cls(uri)

    def __str__(self) -> str:
        return self.uri


class TroubleKind(StrEnum):
    """Why an answer is not known."""

    UNREACHABLE = "Unreachable"
    UNAUTHORIZED = "Unauthorized"
    CREDENTIALS_MISSING = "CredentialsMissing"
    REFUSED = "Refused"


@dataclass(frozen=True)
class Trouble:
    """What keeps an answer from being known, in one line that says what to do."""

    kind: TroubleKind
    message: str


@dataclass(frozen=True)
class Known[T]:
    """An answer, and when it was true."""

    value: T
    at: datetime


type Answer[T] = Known[T] | Trouble


@dataclass(frozen=True, kw_only=True)
class Ask[T]:
    """Something to be answered with a T; again after `every`, if that is given."""

    order: ClassVar[bool] = False

    every: timedelta | None = None


@dataclass(frozen=True, kw_only=True)
class RegistryAsk[T](Ask[T]):
    """An ask of an MLflow server."""

    server: Server


@dataclass(frozen=True)
class Absent:
    """The registry has no such thing; `what` says which, as in `model 'churn'`."""

    what: str
