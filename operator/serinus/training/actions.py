"""What users ask of a TrainingJob by an annotation: `retry`, once for each id."""

from serinus.api.action import Action, Verb, requested
from serinus.api.action_status import LastAction
from serinus.api.conditions import ConditionType, Reason
from serinus.api.invalid import Invalid
from serinus.api.trainingjob_status import Attempt
from serinus.plan import Plan
from serinus.progress import Said, progressing, updated
from serinus.training.opening import UNKNOWN
from serinus.training.step import Step


def answered(step: Step) -> Plan | None:
    """The answer to an action that has none yet; None if there is nothing to answer."""
    action, last = requested(step.job.metadata.annotations), step.job.status.last_action
    if action is None:
        return None
    if isinstance(action, Invalid):
        text = next(iter(action.problems)).message
        # The id of the last one that was understood stays: it is not executed again when it comes back.
        return (
            None if last and last.message == text else _answer(step, Action(Verb.RETRY, last.id if last else "?"), text)
        )
    if last is not None and last.id == action.id:
        return None
    if action.verb != Verb.RETRY:
        return _answer(step, action, f"a TrainingJob has no {action.verb}: it knows {Verb.RETRY}")
    if step.status.finished_at is None or step.status.phase not in {"Failed", "Rejected"}:
        where = (step.status.phase or "new").lower()
        return _answer(step, action, f"only what has failed or was rejected is tried again, and this is {where}")
    return _again(step, action)


def _answer(step: Step, action: Action, refusal: str) -> Plan:
    """Refused: nothing else changes."""
    said = LastAction(id=action.id, verb=action.verb, result="Refused", message=refusal, at=step.facts.now)
    return Plan(status=updated(step.job.status, last_action=said))


def _again(step: Step, action: Action) -> Plan:
    """Another attempt of the same revision, with all its chances; what the earlier ones were stays told."""
    number = max([one.number for one in step.status.attempts], default=UNKNOWN - 1) + 1
    message = f"another attempt was asked for by {action.verb}@{action.id}"
    done = LastAction(id=action.id, verb=action.verb, result="Done", message=message, at=step.facts.now)
    changes: dict[str, object] = {
        "last_action": done,
        "attempt": number,
        "attempts": (*step.status.attempts, Attempt(number=number)) if number != UNKNOWN else (),
        "failures": 0,
        "finished_at": None,
        "started_at": None,
        "gate": None,
        "last_log_lines": (),
        "broken_expectations": (),
        "history": tuple(one for one in step.status.history if one.revision != step.revision),
    }
    taken = (ConditionType.FAILED, ConditionType.COMPLETE, ConditionType.TRAINED, ConditionType.GATE_PASSED)
    gone = tuple(Said(kind, None) for kind in (*taken, ConditionType.DATA_VALID, ConditionType.REGISTERED))
    return step.say("Pending", (*progressing(Reason.RETRYING, message), *gone), changes=changes)
