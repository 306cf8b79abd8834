"""How a resource does, as conditions: set by what is said now, with the times of what was said before."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from serinus.api.base import StatusPart
from serinus.api.conditions import Condition, ConditionType, Reason
from serinus.plan import Event

Truth = Literal["True", "False", "Unknown"]


@dataclass(frozen=True)
class Said:
    """What is said of one condition; None takes it away."""

    type: ConditionType
    status: Truth | None
    reason: Reason = Reason.PENDING
    message: str = ""


def progressing(reason: Reason, message: str, ready: Truth = "Unknown") -> tuple[Said, ...]:
    """Work goes on, and will end without anybody's help."""
    return (
        Said(ConditionType.READY, ready, reason, message),
        Said(ConditionType.RECONCILING, "True", reason, message),
        Said(ConditionType.STALLED, None),
    )


def stalled(reason: Reason, message: str) -> tuple[Said, ...]:
    """Nothing will happen until somebody changes something."""
    return (
        Said(ConditionType.READY, "False", reason, message),
        Said(ConditionType.RECONCILING, None),
        Said(ConditionType.STALLED, "True", reason, message),
    )


def settled(reason: Reason, message: str, ready: Truth = "True") -> tuple[Said, ...]:
    """Everything is as the spec wants it."""
    return (
        Said(ConditionType.READY, ready, reason, message),
        Said(ConditionType.RECONCILING, None),
        Said(ConditionType.STALLED, None),
    )


def conditions(
    before: Sequence[Condition], said: Iterable[Said], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The conditions with what is said now; those that nothing is said of stay as they were, times included."""
    after = {one.type: one for one in before}
    for one in said:
        old = after.pop(one.type, None)
        if one.status is not None:
            after[one.type] = _condition(old, one, one.status, generation, now)
    return tuple(sorted(after.values(), key=lambda one: one.type))


def updated[S: StatusPart](status: S, **changes: object) -> S:
    """The status with these fields changed, read anew so that what is too long is clipped."""
    return type(status).model_validate({**dict(status), **changes})


def transitions(before: Sequence[Condition], after: Sequence[Condition]) -> tuple[Event, ...]:
    """One event for each reason that is new, with the words of the condition that says most; no words twice.

    What is only on the way to something is not told, nor that nothing serves before anything has served.
    """
    told = {(one.type, one.status, one.reason) for one in before}
    # A failure is first said of the attempt and then, in the same words, of the whole.
    warned = {(one.reason, one.message) for one in before if _severity(one) == "Warning"}
    types = {one.type for one in before}
    fresh = [
        one
        for one in after
        if (one.type, one.status, one.reason) not in told
        and (one.reason, one.message) not in warned
        and one.reason not in _QUIET
        and not (one.type == ConditionType.AVAILABLE and one.type not in types)
    ]
    told_now: dict[str, Condition] = {}
    for one in sorted(fresh, key=_weight):
        if one.reason not in told_now and one.message not in (other.message for other in told_now.values()):
            told_now[one.reason] = one
    return tuple(Event(_severity(one), one.reason, one.message) for one in told_now.values())


def _condition(old: Condition | None, said: Said, status: Truth, generation: int, now: datetime) -> Condition:
    flipped = old is None or old.status != status
    return Condition(
        type=said.type,
        status=status,
        reason=said.reason,
        message=" ".join(said.message.split()),
        last_transition_time=now if flipped or old is None else old.last_transition_time,
        observed_generation=max(generation, 0),
    )


_WARNINGS = {
    (ConditionType.STALLED, "True"),
    (ConditionType.FAILED, "True"),
    (ConditionType.AVAILABLE, "False"),
    (ConditionType.TRAINED, "False"),
    (ConditionType.DATA_VALID, "False"),
    (ConditionType.MLFLOW_AVAILABLE, "False"),
    (ConditionType.MODEL_RESOLVED, "False"),
    (ConditionType.ROUTE_READY, "False"),
}


_QUIET = {
    Reason.PENDING,
    Reason.STARTING,
    Reason.EVALUATING,
    Reason.COMPLETED,
    Reason.REACHABLE,
    Reason.RESOLVING_MODEL,
    Reason.MINIMUM_REPLICAS_AVAILABLE,
}


def _severity(one: Condition) -> Literal["Normal", "Warning"]:
    return "Warning" if (one.type, one.status) in _WARNINGS else "Normal"


def _weight(one: Condition) -> tuple[bool, bool, str]:
    """Warnings say most, then what is about a part; `Ready` and `Reconciling` repeat what others say."""
    repeats = one.type in {ConditionType.READY, ConditionType.RECONCILING}
    return _severity(one) == "Normal", repeats, one.type
