"""The story of one simulation: what happened, in order, and the first thing that must never happen."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

TOLD: Final = 80
ROUTINE: Final = ("list", "resolve", "find open runs")


class Broken(Exception):
    """An invariant does not hold."""


@dataclass(frozen=True)
class Line:
    """One thing that happened."""

    time: float
    who: str
    what: str
    about: str
    how: str = ""

    @property
    def is_routine(self) -> bool:
        """Looking at a world in which nothing happens."""
        return self.what in ROUTINE and not self.how

    def __str__(self) -> str:
        return f"{self.time:10.3f}  {self.who:<12} {self.what:<16} {self.about}{'  ' + self.how if self.how else ''}"


@dataclass
class Story:
    """Everything that happened so far; `now` is where the time comes from."""

    now: Callable[[], float]
    lines: list[Line] = field(default_factory=list)
    broken: Broken | None = None
    when_broken: Callable[[], None] = lambda: None
    # What is known to be broken and shall not keep the rest from being looked at: parts of its words.
    forgiven: tuple[str, ...] = ()

    def tell(self, who: str, what: str, about: object, how: str = "") -> None:
        """Note one thing that happened."""
        self.lines.append(Line(self.now(), who, what, str(about), how))

    def fail(self, why: str) -> None:
        """Note that something happened that must never happen; only the first counts."""
        if self.broken is None and not any(words in why for words in self.forgiven):
            self.broken = Broken(why)
            self.tell("judge", "BROKEN", why)
            self.when_broken()

    def digest(self) -> str:
        """Equal for equal stories."""
        return hashlib.sha256("\n".join(map(str, self.lines)).encode()).hexdigest()[:16]

    def end(self, count: int = TOLD) -> str:
        """The last lines, for people, without what is routine."""
        told = [line for line in self.lines if not line.is_routine]
        left_out = max(0, len(told) - count)
        head = [f"… {left_out} lines before (--story {len(told)} tells all)"] if left_out else []
        return "\n".join([*head, *map(str, told[left_out:])])
