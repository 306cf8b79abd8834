"""How long a thing may take, and how often it is tried."""

import random
import time
from collections.abc import Callable
from typing import Final

from serinus_server.fetching import failures
from serinus_server.fetching.failures import Kind
from serinus_server.problems import ModelProblem

FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 10.0
EACH_SECONDS: Final = 5.0


class Deadline:
    """A point in time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until then; negative after it."""
        return self._end - time.monotonic()

    def sooner(self, seconds: float) -> "Deadline":
        """In so many seconds, or at this deadline if that is sooner."""
        return Deadline(min(seconds, max(self.left(), 0.0)))


class Progress:
    """Says now and then how far a slow thing is; nothing while it is quick."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self._said = time.monotonic()

    def tell(self, words: Callable[[], str]) -> None:
        """Say it, if nothing was said for a while."""
        if time.monotonic() - self._said >= EACH_SECONDS:
            self._said = time.monotonic()
            self.say(words())


def attempt[T](action: Callable[[], T], what: str, deadline: Deadline, say: Callable[[str], None]) -> T:
    """What the action returns; its Failure if trying again would not help, or once the time is up."""
    wait = FIRST_WAIT
    while True:
        try:
            return action()
        except ModelProblem:
            raise
        except Exception as error:
            failure = failures.of(error)
            if failure.kind is not Kind.TRANSIENT or deadline.left() <= wait:
                raise failure from error
        # Random, so that all pods of a deployment do not come back at once.
        pause = min(wait * random.uniform(0.5, 1.5), deadline.left())  # noqa: S311 - spreads load, guards nothing
        say(f"{what}: {failure}; trying again in {pause:.1f} s")
        time.sleep(max(pause, 0.0))
        wait = min(2 * wait, LONGEST_WAIT)
