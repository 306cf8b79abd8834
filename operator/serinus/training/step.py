"""One look at a TrainingJob: what was observed, what is asked, and what is said of it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from serinus import objects
from serinus.api.conditions import ConditionType, Reason
from serinus.api.names import Label
from serinus.api.revision import significant
from serinus.api.trainingjob import TrainingJob
from serinus.api.trainingjob_status import Attempt, PastRun, ResolvedRun, Run, TrainingJobStatus
from serinus.asks import Answer, Ask, Server, Trouble, TroubleKind
from serinus.objects import JOB, POD, Manifest, ObjectKind
from serinus.plan import Apply, Defaults, Delete, Facts, Plan
from serinus.progress import Said, conditions, progressing, stalled, transitions, updated
from serinus.training import ends, manifests


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
        # Children are removed when they have been of use for so long.
        self.ttl = timedelta(seconds=job.spec.ttl_seconds_after_finished)
        self.image = (resolved.image if resolved else "") or manifests.image_of(job, defaults)
        self.experiment = tracking.experiment or f"{job.metadata.namespace}/{job.metadata.name}"
        # Everything that this step rests on is asked for as long as it is needed: an answer lives no longer.
        self.asks: list[Ask[Any]] = []

    def job_of(self, attempt: int) -> Manifest | None:
        """The Job of an attempt of this revision."""
        return next((one for one in self.facts.of(JOB) if self._is_of(one, attempt)), None)

    def pods_of(self, attempt: int) -> tuple[Manifest, ...]:
        """The pods of an attempt of this revision; where its Job is known, no predecessor's with the same labels."""
        job = self.job_of(attempt)
        owners = None if job is None else {objects.uid(job), ""}
        pods = (one for one in self.facts.of(POD) if self._is_of(one, attempt))
        return tuple(one for one in pods if owners is None or objects.controller(one) in owners)

    def _is_of(self, one: Manifest, attempt: int) -> bool:
        return self.is_mine(one) and attempt_of(one) == attempt

    def is_mine(self, child: Manifest) -> bool:
        """Whether a child is of this revision."""
        return objects.labels(child).get(Label.REVISION) == self.revision

    @property
    def is_complete(self) -> bool:
        """Whether the last attempt of this revision has done its work: then it is not stopped any more."""
        mine = [one for one in self.facts.of(JOB) if self.is_mine(one)]
        known = [one.number for one in self.status.attempts]
        last = max([*known, *map(attempt_of, mine)], default=0)
        return any(ends.is_complete(one) for one in mine if attempt_of(one) == last)

    @property
    def must_rest(self) -> bool:
        """Whether nothing may run."""
        return self.job.spec.suspend and not self.is_complete

    def attempt(self, number: int, run: Run) -> Attempt:
        """What is known of an attempt; of the first, at least its run."""
        known = (one for one in self.status.attempts if one.number == number)
        return next(known, None) or Attempt(number=number, run_id=run.id)

    def attempts_with(self, current: Attempt) -> tuple[Attempt, ...]:
        """The attempts, with this one in the place of what was known of it."""
        others = (one for one in self.status.attempts if one.number != current.number)
        return tuple(sorted((*others, current), key=lambda one: one.number))

    def at_work(self) -> tuple[str, ...]:
        """The names of all pods that have not ended."""
        return tuple(one["metadata"]["name"] for one in self.facts.of(POD) if ends.is_live(one, self.facts.now))

    def deletion(self, kind: ObjectKind, child: Manifest) -> Delete:
        """This very child goes."""
        return Delete(objects.ref_of(kind, child), objects.uid(child))

    def data_valid(self, resolved: ResolvedRun) -> tuple[Said, ...]:
        """What is said of inputs that were read."""
        if not resolved.inputs:
            return ()
        names = ", ".join(one.name for one in resolved.inputs)
        message = f"{names}: read and verified, and every expectation is met"
        return (Said(ConditionType.DATA_VALID, "True", Reason.ALL_EXPECTATIONS_MET, message),)

    def ask[T](self, ask: Ask[T]) -> Answer[T] | None:
        """The answer, if there is one; from now on the plan rests on it."""
        self.asks.append(ask)
        return self.facts.answer(ask)

    def wait(
        self,
        answer: object,
        reason: Reason,
        message: str,
        phase: str = "Pending",
        changes: Mapping[str, object] | None = None,
    ) -> Plan:
        """Nothing but an answer is missing; what keeps it from coming is said."""
        if answer is None and self.job.status.observed_generation == self.job.metadata.generation:
            # It comes in a moment, and what was said of this spec holds until then.
            return Plan(status=self.job.status, ask=tuple(self.asks))
        if not isinstance(answer, Trouble):
            return self.say(phase, progressing(reason, message), changes=changes)
        away = answer.kind == TroubleKind.UNREACHABLE
        why = Reason.UNREACHABLE if away else Reason.UNAUTHORIZED
        refused = answer.kind == TroubleKind.REFUSED
        about = self.reachable() if refused else Said(ConditionType.MLFLOW_AVAILABLE, "False", why, answer.message)
        if away:
            return self.say(phase, (*progressing(reason, answer.message), about), changes=changes)
        return self.say(phase, (*stalled(_STALLS[answer.kind], answer.message), about), changes=changes)

    def reachable(self) -> Said:
        """MLflow answers."""
        return Said(ConditionType.MLFLOW_AVAILABLE, "True", Reason.REACHABLE, f"{self.server} answers")

    def finish(self, phase: str, said: tuple[Said, ...], changes: Mapping[str, object]) -> Plan:
        """The revision is finished; its children go when their time is over."""
        done = self.say(phase, said, changes={**changes, "finished_at": self.facts.now})
        return replace(done, requeue_after=self.ttl if self.facts.of(JOB) else None)

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
    return TrainingJobStatus(conditions=kept, history=_history(before), last_action=before.last_action)


def _history(before: TrainingJobStatus) -> tuple[PastRun, ...]:
    """What was finished or begun, the revision that is left behind among it."""
    if before.run is None or not before.revision:
        # It was not begun again: what it came to earlier stands.
        return before.history
    others = tuple(one for one in before.history if one.revision != before.revision)
    ends = {"Succeeded", "Rejected", "Failed"}
    outcome = before.phase if before.finished_at is not None and before.phase in ends else "Killed"
    # Not what `Ready` says: that may be about a spec that was refused since.
    over = (ConditionType.COMPLETE, ConditionType.FAILED)
    end = next((one for one in before.conditions if one.type in over), None) if outcome != "Killed" else None
    past = PastRun.model_validate(
        {
            "revision": before.revision,
            "outcome": outcome,
            "reason": end.reason if end is not None else "",
            "run_id": before.run.id,
            "version": before.registered.version if before.registered else "",
            "finished_at": before.finished_at,
            "message": end.message if end is not None else "the spec was changed before it was finished",
        }
    )
    return (*others, past)


def attempt_of(child: Manifest) -> int:
    """The attempt that a child is of, by its label; the first without one."""
    text = objects.labels(child).get(Label.ATTEMPT, "")
    return int(text) if text.isdecimal() else 1


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
