"""Does what the order says: the code and every input, and all of it even where one thing fails."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from serinus_fetch import inputs
from serinus_fetch.failures import Broken, Failure, Permanent, Reason, Transient
from serinus_fetch.inputs import Fetched
from serinus_fetch.log import say
from serinus_fetch.order import Git, Input, Order
from serinus_fetch.places import Places, shown
from serinus_fetch.result import Outcome
from serinus_fetch.retry import is_full, is_transient

_FULL: Final = "the volume that it is written to is full: give it more space"
_REMEDY: Final = "correct the data, or what `expect` says"


@dataclass
class _Work:
    """What is known so far."""

    commit: str = ""
    inputs: list[tuple[str, int | None] | None] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def fail(self, reason: Reason, what: str, error: Exception) -> None:
        """Something failed; an error that nobody foresaw is told with its place in the log."""
        if not isinstance(error, Permanent | Transient):
            say("".join(traceback.format_exception(error)))
        words = str(error) if isinstance(error, Permanent | Transient) else f"{type(error).__name__}: {error}"
        words = _FULL if is_full(error) else words
        self.failures.append(Failure(reason, f"{what}: {words}", is_transient(error)))
        say(f"error: {what}: {words}")


def do(order: Order, places: Places, environment: Mapping[str, str]) -> Outcome:
    """Fetch and check everything; never raises."""
    work = _Work()
    if order.git is not None:
        _source(work, order.git, places, environment)
    for wanted in order.inputs:
        _input(work, wanted, places)
    if work.broken:
        work.failures.append(_expectations(work.broken))
    return Outcome(work.commit, tuple(work.inputs), tuple(work.broken), tuple(work.failures))


def _source(work: _Work, git: Git, places: Places, environment: Mapping[str, str]) -> None:
    try:
        from serinus_fetch import source  # noqa: PLC0415 - dulwich takes a while, and only Git needs it

        work.commit = source.fetch(git, environment, places.source)
    except Exception as error:  # noqa: BLE001 - whatever it is, the inputs are still looked at
        work.fail(Reason.SOURCE_UNREADABLE, f"source {shown(git.url) if '://' in git.url else git.url}", error)


def _input(work: _Work, wanted: Input, places: Places) -> None:
    what = f"input {wanted.name} ({shown(wanted.uri)})"
    number = len(work.inputs)
    work.inputs.append(None)
    try:
        fetched = inputs.fetch(wanted, places)
        work.inputs[number] = fetched.sha256, None
        _compare(work, wanted, fetched, what)
        work.inputs[number] = fetched.sha256, _judge(work, wanted, fetched)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other inputs are still looked at
        work.fail(Reason.INPUT_UNREADABLE, what, error)


def _compare(work: _Work, wanted: Input, fetched: Fetched, what: str) -> None:
    if wanted.sha256 and wanted.sha256 != fetched.sha256:
        words = f"its sha256 is {fetched.sha256}, not {wanted.sha256}: if the new data is meant, write its sha256"
        work.fail(Reason.DIGEST_MISMATCH, what, Permanent(words))


def _judge(work: _Work, wanted: Input, fetched: Fetched) -> int | None:
    """The rows of an input, where it is a table; what it does not meet is kept and logged."""
    if wanted.expect is None and not any(name.endswith((".parquet", ".pq")) for name, _ in fetched.files):
        return None
    from serinus_fetch import expectations  # noqa: PLC0415 - pyarrow takes a while and 60 MB

    verdict = expectations.judge(wanted.name, fetched.files, wanted.expect)
    for one in verdict.broken:
        say(f"error: {_told(one)}")
    if wanted.expect is not None:
        say(f"checked input {wanted.name}: {verdict.rows} rows, {len(verdict.broken)} broken expectations")
    work.broken.extend(verdict.broken)
    return verdict.rows


def _expectations(broken: list[Broken]) -> Failure:
    count = "1 expectation is" if len(broken) == 1 else f"{len(broken)} expectations are"
    words = f"{count} broken; {'the first' if len(broken) > 1 else 'it'}: {_told(broken[0])}: {_REMEDY}"
    return Failure(Reason.EXPECTATIONS_BROKEN, words)


def _told(one: Broken) -> str:
    place = f"input {one.input}, column {one.column}" if one.column else f"input {one.input}"
    return f"{place}: expected {one.expected}, found {one.found}"
