"""Lines for people who read the container's log: one for each thing fetched, and one each 10 s while it takes."""

import os
import threading
import time
from collections.abc import Callable
from typing import Final

EACH_SECONDS: Final = 10.0
_SECRET: Final = ("GIT_PASSWORD", "GIT_SSH_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def say(text: str) -> None:
    """One line on stdout, at once, without any secret."""
    print(one_line(without_secrets(text)), flush=True)  # noqa: T201 - a log for people is what this program prints


def one_line(text: str) -> str:
    """A text as one line that every terminal and every JSON can hold, whatever a file or a server put into it."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return "".join(character if character.isprintable() else " " for character in plain)


def without_secrets(text: str) -> str:
    """A text with the secrets of the environment blotted out, should a library have put one into its message."""
    for secret in (value for name in _SECRET if (value := os.environ.get(name, "").strip())):
        text = text.replace(secret, "***")
    return text


def amount(size: float) -> str:
    """A number of bytes as people say it."""
    unit = 0
    while size >= 1000 and unit < len(_UNITS) - 1:  # noqa: PLR2004 - a thousand is what the units are about
        size, unit = size / 1000, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{size:.0f} B"


class Progress:
    """Counts bytes, also from several threads, and says each 10 s how far it is."""

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._clock = what, clock
        self._bytes, self._started = 0, clock()
        self._said, self._lock = self._started, threading.Lock()

    def add(self, size: int) -> None:
        """So many more bytes are here."""
        with self._lock:
            self._bytes += size
            now = self._clock()
            if now - self._said >= EACH_SECONDS:
                self._said = now
                say(f"{self._what}: {amount(self._bytes)} after {now - self._started:.0f} s")

    def tell(self, what: str) -> None:
        """Something else that goes on; said each 10 s too."""
        with self._lock:
            if self._clock() - self._said >= EACH_SECONDS:
                self._said = self._clock()
                say(f"{self._what}: {what}")

    def seconds(self) -> float:
        """How long it took so far."""
        return self._clock() - self._started
