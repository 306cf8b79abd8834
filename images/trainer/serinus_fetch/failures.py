"""How something can fail: for good, or so that it may work later. A message says what was wrong and what to do."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why code or data could not be had, or may not be used."""

    DIGEST_MISMATCH = "DigestMismatch"
    EXPECTATIONS_BROKEN = "ExpectationsBroken"
    INPUT_UNREADABLE = "InputUnreadable"
    SOURCE_UNREADABLE = "SourceUnreadable"


@dataclass(frozen=True)
class Failure:
    """What failed, in one line for whoever can mend it."""

    reason: Reason
    message: str
    transient: bool = False


@dataclass(frozen=True)
class Broken:
    """An expectation that an input does not meet; no column where it is about the table."""

    input: str
    column: str
    expected: str
    found: str


class Permanent(Exception):
    """Trying again would not help."""


class Transient(Exception):
    """The network or a server was not well: trying again may help."""
