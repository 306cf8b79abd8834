"""Attempts: whether there is another one after a failure, and when."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Final

from serinus.api.conditions import Reason
from serinus.api.trainingjob import TrainingJobSpec
from serinus.api.trainingjob_status import Attempt, TrainingJobStatus
from serinus.training import fetched
from serinus.training.ends import End, late, of_record

# As Kubernetes does with the pods of a Job.
FIRST: Final = timedelta(seconds=10)
MOST: Final = timedelta(minutes=6)
# Who has run for so long does not fail at once, and need not be waited for.
WHILE: Final = timedelta(minutes=10)
_FINAL: Final = fetched.REASONS | {Reason.DEADLINE_EXCEEDED}
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Again:
    """There is another attempt, not before this time."""

    at: datetime


@dataclass(frozen=True)
class Over:
    """There is no other attempt, and this is how the revision ended."""

    end: End


def after(spec: TrainingJobSpec, status: TrainingJobStatus) -> Again | Over:
    """What follows the last attempt, which has failed."""
    last = status.attempts[-1]
    end = of_record(last)
    if last.final and last.reason in _FINAL:
        return Over(end)
    # Of a run that is told to be the last one the limit of that time is not known any more.
    if last.final or (last.counted and status.failures > spec.backoff_limit):
        attempts = f"{status.failures} attempt{'s' if status.failures > 1 else ''} failed"
        words = f"{attempts}, and backoffLimit is {spec.backoff_limit}; the last: {last.message}"
        return Over(End(ok=False, reason=Reason.BACKOFF_LIMIT_EXCEEDED, message=words))
    at = (last.finished_at or _LONG_AGO) + delay(status)
    deadline = deadline_of(spec, status)
    if deadline is not None and at >= deadline:
        return Over(late(f"{_past(spec)}, before another attempt; the last: {last.message}"))
    return Again(at)


def deadline_of(spec: TrainingJobSpec, status: TrainingJobStatus) -> datetime | None:
    """When the run's time is over; None without a deadline, and before it has started."""
    if spec.active_deadline_seconds is None or status.started_at is None:
        return None
    return status.started_at + timedelta(seconds=spec.active_deadline_seconds)


def overdue(spec: TrainingJobSpec, status: TrainingJobStatus, now: datetime) -> End | None:
    """The end of an attempt that runs beyond the deadline."""
    deadline = deadline_of(spec, status)
    return late(_past(spec)) if deadline is not None and now >= deadline else None


def delay(status: TrainingJobStatus) -> timedelta:
    """How long to wait after the last attempt: twice as long after each one of its kind that ended soon.

    What counts is counted since it was last asked for a retry.
    """
    last = status.attempts[-1]
    if not _was_short(last):
        return FIRST
    alike = len(list(takewhile(lambda one: _was_short(one) and one.counted == last.counted, reversed(status.attempts))))
    soon = min(alike, status.failures) if last.counted else alike
    return min(FIRST * int(2 ** max(soon - 1, 0)), MOST)


def _was_short(attempt: Attempt) -> bool:
    if attempt.started_at is None or attempt.finished_at is None:
        return True
    return attempt.finished_at - attempt.started_at < WHILE


def _past(spec: TrainingJobSpec) -> str:
    return f"activeDeadlineSeconds of {spec.active_deadline_seconds} are over"
