"""Which errors pass by themselves, and how long to wait for that."""

import errno
import http.client
import random
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from serinus_fetch.failures import Permanent, Transient
from serinus_fetch.log import say

# What counts of an attempt that failed: the time out of a connection, not the hours that a download lasted.
ATTEMPT_SECONDS: Final = 10.0
LONGEST_WAIT: Final = 16.0

_WELL_LATER: Final = frozenset({408, 425, 429})
_SERVER_ERROR: Final = 500
_NUMBERS: Final = frozenset(
    {errno.EBUSY, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNREFUSED}
)
_KINDS: Final = (
    *(Transient, TimeoutError, ConnectionError, socket.gaierror),
    *(http.client.IncompleteRead, http.client.BadStatusLine),
)
# By name, so that none of these libraries is imported just to ask.
_NAMES: Final = frozenset(
    {
        "aiohttp.client_exceptions.ClientConnectionError",
        "aiohttp.client_exceptions.ClientPayloadError",
        "botocore.exceptions.HTTPClientError",
        "botocore.exceptions.IncompleteReadError",
        "botocore.exceptions.ResponseStreamingError",
        "dulwich.errors.HangupException",
        "fsspec.exceptions.FSTimeoutError",
        "google.auth.exceptions.TransportError",
        "paramiko.ssh_exception.NoValidConnectionsError",
        "s3fs.utils.FileExpired",
        "urllib3.exceptions.HTTPError",
    }
)


def is_transient(error: BaseException) -> bool:
    """Whether an error, or one that it came from, is of the network or of a server that is not well."""
    chain = tuple(_chain(error))
    if any(isinstance(one, Permanent | ssl.SSLCertVerificationError) for one in chain):
        return False
    return any(_passes(one) for one in chain)


def is_full(error: BaseException) -> bool:
    """Whether an error, or one that it came from, is of a volume without space."""
    return any(isinstance(one, OSError) and one.errno in {errno.ENOSPC, errno.EDQUOT} for one in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        reason = getattr(error, "reason", None)
        if isinstance(reason, BaseException):
            yield from _chain(reason)
        error = error.__cause__ or error.__context__


def _passes(error: BaseException) -> bool:
    status = _status(error)
    if status is not None:
        return status >= _SERVER_ERROR or status in _WELL_LATER
    if isinstance(error, _KINDS):
        return True
    if any(f"{kind.__module__}.{kind.__qualname__}" in _NAMES for kind in type(error).__mro__):
        return True
    return isinstance(error, OSError) and error.errno in _NUMBERS


def _status(error: BaseException) -> int | None:
    """The status of HTTP that an error is about, where it says so: urllib's and gcsfs' as `code`, botocore's deeper."""
    response = getattr(error, "response", None)
    code = response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None
    found = getattr(error, "code", None) if code is None else code
    return int(found) if isinstance(found, int | str) and str(found).isdecimal() else None


@dataclass
class Patience:
    """How long one thing is tried again for: about a minute in total, at growing and random distances."""

    seconds: float = 60.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def attempt[T](self, action: Callable[[], T]) -> T:
        """What the action returns; its Transient once patience is used up."""
        delay = 1.0
        while True:
            started = self.clock()
            try:
                return action()
            except Transient as error:
                self.seconds -= min(self.clock() - started, ATTEMPT_SECONDS)
                if self.seconds <= 0:
                    raise
                self._wait(error, delay)
                delay = min(2 * delay, LONGEST_WAIT)

    def _wait(self, error: Transient, delay: float) -> None:
        wait = min(delay * random.uniform(0.5, 1.5), self.seconds)  # noqa: S311 - spreads load, guards nothing
        self.seconds -= wait
        say(f"{error}; trying again in {wait:.1f} s")
        self.sleep(wait)
