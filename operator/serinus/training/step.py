"""One look at a TrainingJob: what was observed, what is asked, and what is said of it."""

from collections.abc import Mapping
from typing import Any

from serinus import objects
from serinus.api.conditions import ConditionType, Reason
from serinus.api.revision import significant
from serinus.api.trainingjob import TrainingJob
from serinus.api.trainingjob_status import TrainingJobStatus
from serinus.asks import Answer, Ask, Server, Trouble, TroubleKind
from serinus.plan import Apply, Defaults, Delete, Facts, Plan
from serinus.progress import Said, conditions, progressing, stalled, transitions, updated
from serinus.training import manifests


class Step:
    """What a plan for a TrainingJob is made from, and the ways to make one."""

    def __init__(self, job: TrainingJob, facts: Facts, defaults: Defaults) -> None:
        self.job = job
        self.facts = facts
        self.defaults = defaults
        self.revision = objects.digest(significant(job.spec))
        self.status = job.status if job.status.revision == self.revision else _anew(job.status)
        resolved = self.status.resolved
        tracking = job.spec.tracking
        uri = (resolved.tracking_uri if resolved else "") or tracking.uri or defaults.tracking_uri
        self.server = Server.of(uri, job.metadata.namespace, tracking.credentials_secret)
        self.image = (resolved.image if resolved else "") or manifests.image_of(job, defaults)
        self.experiment = tracking.experiment or f"{job.metadata.namespace}/{job.metadata.name}"
        # Everything that this step rests on is asked for as long as it is needed: an answer lives no longer.
        self.asks: list[Ask[Any]] = []

    def ask[T](self, ask: Ask[T]) -> Answer[T] | None:
        """The answer, if there is one; from now on the plan rests on it."""
        self.asks.append(ask)
        return self.facts.answer(ask)

    def wait(self, answer: object, reason: Reason, message: str, phase: str = "Pending") -> Plan:
        """Nothing but an answer is missing; what keeps it from coming is said."""
        if answer is None and self.job.status.observed_generation == self.job.metadata.generation:
            # It comes in a moment, and what was said of this spec holds until then.
            return Plan(status=self.job.status, ask=tuple(self.asks))
        if not isinstance(answer, Trouble):
            return self.say(phase, progressing(reason, message))
        away = answer.kind == TroubleKind.UNREACHABLE
        why = Reason.UNREACHABLE if away else Reason.UNAUTHORIZED
        refused = answer.kind == TroubleKind.REFUSED
        about = self.reachable() if refused else Said(ConditionType.MLFLOW_AVAILABLE, "False", why, answer.message)
        if away:
            return self.say(phase, (*progressing(reason, answer.message), about))
        return self.say(phase, (*stalled(_STALLS[answer.kind], answer.message), about))

    def reachable(self) -> Said:
        """MLflow answers."""
        return Said(ConditionType.MLFLOW_AVAILABLE, "True", Reason.REACHABLE, f"{self.server} answers")

    def say(
        self,
        phase: str,
        said: tuple[Said, ...],
        *,
        changes: Mapping[str, object] | None = None,
        apply: tuple[Apply, ...] = (),
        delete: tuple[Delete, ...] = (),
    ) -> Plan:
        """A plan that says this in the status; the first of what is said is its message."""
        resumed = Said(ConditionType.SUSPENDED, None)
        known = [one for one in said if one.type == ConditionType.SUSPENDED] or [resumed]
        generation = self.job.metadata.generation
        after = conditions(self.status.conditions, (*said, *known), generation, self.facts.now)
        message = next(one.message for one in said)
        fields = {"message": message, "phase": phase, "conditions": after, "revision": self.revision}
        status = updated(self.status, **{**fields, "observed_generation": generation, **(changes or {})})
        return Plan(
            status=status,
            apply=apply,
            delete=delete,
            events=transitions(self.job.status.conditions, after),
            ask=tuple(self.asks),
        )


def _anew(before: TrainingJobStatus) -> TrainingJobStatus:
    """What a new revision takes over: nothing that was reached, but since when it does as it does."""
    kept = tuple(one for one in before.conditions if one.type in _LASTING)
    return TrainingJobStatus(conditions=kept, history=before.history)


_LASTING = {
    ConditionType.READY,
    ConditionType.RECONCILING,
    ConditionType.STALLED,
    ConditionType.SUSPENDED,
    ConditionType.MLFLOW_AVAILABLE,
}

_STALLS = {
    TroubleKind.UNAUTHORIZED: Reason.UNAUTHORIZED,
    TroubleKind.CREDENTIALS_MISSING: Reason.CONFIGURATION_MISSING,
    TroubleKind.REFUSED: Reason.INVALID_SPEC,
}
