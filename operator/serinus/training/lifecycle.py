"""Where a TrainingJob is, and what comes next.

A run is opened in the registry, a Job trains, the run is closed with the Job's true end. What is not in status is found
again: runs by their tags, Jobs by their labels.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

from serinus import objects
from serinus.api import names
from serinus.api.conditions import ConditionType, Reason
from serinus.api.revision import significant
from serinus.api.trainingjob import TrainingJob
from serinus.api.trainingjob_status import ResolvedRun, TrainingJobStatus
from serinus.api.trainingjob_status import Run as RunStatus
from serinus.asks import (
    Absent,
    Answer,
    Ask,
    EndRun,
    EnsureRun,
    FindRuns,
    Known,
    Run,
    Server,
    Trouble,
    TroubleKind,
    pairs,
)
from serinus.objects import JOB, POD, Manifest, Ref
from serinus.plan import Apply, Defaults, Delete, Facts, Plan
from serinus.progress import Said, conditions, progressing, settled, stalled, transitions, updated
from serinus.training import ends, manifests, pod_troubles
from serinus.training.ends import End

UID_TAG = f"{names.TAG_PREFIX}uid"
REVISION_TAG = f"{names.TAG_PREFIX}revision"
ATTEMPT_TAG = f"{names.TAG_PREFIX}attempt"

_OPENING = "opening the run in MLflow"


def plan(job: TrainingJob, facts: Facts, defaults: Defaults) -> Plan:
    """The next step of a TrainingJob."""
    return _Step(job, facts, defaults).plan()


class _Step:
    """One look at a TrainingJob: what was observed, and what follows from it."""

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

    def plan(self) -> Plan:
        """Finished is finished; else what is stale stops first, then the run is found or opened, then it trains."""
        if self.status.finished_at is not None:
            return self._finished()
        if not self.server.uri or not self.image:
            return self._say("Pending", stalled(Reason.CONFIGURATION_MISSING, self._missing()))
        if self._job_end() is None and (stale := self._stale()):
            message = f"stopping what runs for an earlier spec: {', '.join(one['metadata']['name'] for one in stale)}"
            said = progressing(Reason.STOPPING, message)
            jobs = (one for one in stale if one["kind"] == JOB.kind)
            return self._say("Pending", said, delete=tuple(self._delete(one) for one in jobs))
        if self.status.run and self.status.attempt and (not self.job.spec.suspend or self._job_end()):
            return self._training(self.status.run, self.status.attempt, {})
        return self._open()

    def _missing(self) -> str:
        if not self.server.uri:
            return "no MLflow server is known: set spec.tracking.uri, or SERINUS_TRACKING_URI of the operator"
        return "no image is known: set spec.image, or SERINUS_TRAINER_IMAGE of the operator"

    def _stale(self) -> list[Manifest]:
        """Jobs and pods that are not wanted: of another revision, or any while suspended."""
        wanted = "" if self.job.spec.suspend else self.revision
        ours = (*self.facts.of(JOB), *self.facts.of(POD))
        return [
            one
            for one in ours
            if objects.labels(one).get(names.Label.REVISION) != wanted
            and not (one["kind"] == POD.kind and one.get("status", {}).get("phase") in {"Succeeded", "Failed"})
        ]

    def _job(self) -> Manifest | None:
        """The Job of this revision; of two by accident the later attempt's."""
        mine = [one for one in self.facts.of(JOB) if objects.labels(one).get(names.Label.REVISION) == self.revision]
        return max(mine, key=_attempt_of, default=None)

    def _job_end(self) -> End | None:
        job = self._job()
        return ends.of_job(job) if job is not None else None

    def _delete(self, child: Manifest) -> Delete:
        return Delete(Ref(JOB, self.job.metadata.namespace, child["metadata"]["name"]), objects.uid(child))

    def _open(self) -> Plan:
        """Find the runs that are there already; end those that have no pods any more; open the one that is wanted."""
        find = FindRuns(
            server=self.server,
            experiment=self.experiment,
            tag=UID_TAG,
            value=self.job.metadata.uid,
            since=str(self.job.metadata.generation),
        )
        found = self._ask(find)
        if not isinstance(found, Known):
            return self._wait(found, Reason.PENDING, _OPENING)
        mine = [run for run in found.value if run.tags.get(REVISION_TAG) == self.revision]
        for closing in [self._ask(stray) for stray in self._strays(found.value, mine)]:
            if not isinstance(closing, Known):
                return self._wait(closing, Reason.STOPPING, "closing earlier runs")
        return self._suspended() if self.job.spec.suspend and not self._job_end() else self._opened(mine)

    def _ask[T](self, ask: Ask[T]) -> Answer[T] | None:
        self.asks.append(ask)
        return self.facts.answer(ask)

    def _strays(self, found: tuple[Run, ...], mine: list[Run]) -> tuple[EndRun, ...]:
        """Runs that nobody works on: all but the one of this revision, and that one too while suspended."""
        kept = [] if self.job.spec.suspend and not self._job_end() else [run.id for run in mine]
        why = "Suspended" if self.job.spec.suspend else "Superseded"
        return tuple(
            EndRun(server=self.server, run_id=run.id, end="KILLED", tags=pairs({ends.REASON_TAG: why}))
            for run in found
            if run.status == "RUNNING" and run.id not in kept
        )

    def _opened(self, mine: list[Run]) -> Plan:
        job = self._job()
        over = next((run for run in mine if run.status in {"FINISHED", "FAILED"}), None)
        if over is not None and job is None:
            return self._ended(over, ends.of_run(over), {"attempt": _number(over.tags.get(ATTEMPT_TAG)) or 1})
        attempt = _attempt_of(job) if job is not None else _next_attempt(mine)
        run = self._ask(self._ensure(attempt))
        if not isinstance(run, Known):
            return self._wait(run, Reason.PENDING, _OPENING)
        resolved = ResolvedRun(image=self.image, tracking_uri=self.server.uri, experiment=self.experiment)
        opened = RunStatus(id=run.value.id, experiment_id=run.value.experiment_id)
        return self._training(opened, attempt, {"run": opened, "attempt": attempt, "resolved": resolved})

    def _ensure(self, attempt: int) -> EnsureRun:
        params = {name: manifests.text(value) for name, value in self.job.spec.parameters.items()}
        return EnsureRun(
            server=self.server,
            experiment=self.experiment,
            key=f"{self.job.metadata.uid}.{self.revision}.{attempt}",
            name=manifests.job_name(self.job, self.revision, attempt),
            params=pairs(params),
            tags=pairs(manifests.tags(self.job, self.revision, attempt)),
        )

    def _training(self, run: RunStatus, attempt: int, changes: Mapping[str, object]) -> Plan:
        """The Job is there; what it does is said, and when it ends the run ends."""
        open_run = Run(run.id, run.experiment_id, "RUNNING")
        wanted = manifests.Attempt(self.revision, attempt, open_run, self.image, self.server.uri)
        apply = (Apply(JOB, manifests.manifest(self.job, wanted), once=True),)
        if (end := self._job_end()) is not None:
            return self._ended(open_run, end, {"attempt": attempt, **changes})
        troubles = pod_troubles.of(self.facts.of(POD))
        if troubles is not None:
            return self._say("Running", stalled(*troubles), apply=apply, changes=changes)
        said = (*progressing(Reason.TRAINING, f"attempt {attempt} of run {run.id} is training"), self._reachable())
        started = {"started_at": self.status.started_at or self.facts.now}
        return self._say("Running", said, apply=apply, changes={**changes, **started})

    def _ended(self, run: Run, end: End, found: Mapping[str, object]) -> Plan:
        """The run is closed with the true end first; then the resource says so."""
        tags = {ends.REASON_TAG: end.reason}
        status: Literal["FINISHED", "FAILED"] = "FINISHED" if end.ok else "FAILED"
        answer = self._ask(EndRun(server=self.server, run_id=run.id, end=status, tags=pairs(tags)))
        if not isinstance(answer, Known):
            return self._wait(answer, Reason.EVALUATING, "closing the run in MLflow", phase="Evaluating")
        gone = isinstance(answer.value, Absent)
        changes: dict[str, object] = {
            "run": RunStatus(id=run.id, experiment_id=run.experiment_id),
            **found,
            "finished_at": self.facts.now,
            "message": f"{end.message}{'; its run is gone from MLflow' if gone else ''}",
        }
        trained = Said(ConditionType.TRAINED, "True" if end.ok else "False", end.reason, end.message)
        said = (*self._final(end), trained, self._reachable())
        plan = self._say(self._final_phase(end), said, changes=changes)
        ttl = timedelta(seconds=self.job.spec.ttl_seconds_after_finished)
        return replace(plan, requeue_after=ttl if self.facts.of(JOB) else None)

    def _final_phase(self, end: End) -> str:
        if not end.ok:
            return "Failed"
        return "Evaluating" if self._wants_more() else "Succeeded"

    def _wants_more(self) -> bool:
        return bool(self.job.spec.gate or self.job.spec.registration)

    def _final(self, end: End) -> tuple[Said, ...]:
        if not end.ok:
            failed = Said(ConditionType.FAILED, "True", end.reason, end.message)
            return (*stalled(end.reason, end.message), failed)
        if self._wants_more():
            return progressing(Reason.EVALUATING, f"{end.message}; this version neither judges nor registers it")
        return (
            *settled(Reason.SUCCEEDED, end.message),
            Said(ConditionType.COMPLETE, "True", Reason.SUCCEEDED, end.message),
        )

    def _finished(self) -> Plan:
        """Nothing is left to do, but to remove the children when their time is over."""
        gone_at = (self.status.finished_at or self.facts.now) + timedelta(
            seconds=self.job.spec.ttl_seconds_after_finished
        )
        status = updated(self.status, observed_generation=self.job.metadata.generation)
        jobs = self.facts.of(JOB)
        if not jobs:
            return Plan(status=status)
        if self.facts.now >= gone_at:
            return Plan(status=status, delete=tuple(self._delete(one) for one in jobs))
        return Plan(status=status, requeue_after=gone_at - self.facts.now)

    def _suspended(self) -> Plan:
        said = settled(Reason.SUSPENDED, "suspended: set spec.suspend to false to train", ready="False")
        suspended = Said(ConditionType.SUSPENDED, "True", Reason.SUSPENDED, "nothing runs")
        return self._say("Suspended", (*said, suspended, self._reachable()), changes={"run": None, "attempt": None})

    def _wait(self, answer: object, reason: Reason, message: str, phase: str = "Pending") -> Plan:
        """Nothing but an answer is missing; what keeps it from coming is said."""
        if answer is None and self.job.status.observed_generation == self.job.metadata.generation:
            # It comes in a moment, and what was said of this spec holds until then.
            return Plan(status=self.job.status, ask=tuple(self.asks))
        if not isinstance(answer, Trouble):
            return self._say(phase, progressing(reason, message))
        away = answer.kind == TroubleKind.UNREACHABLE
        why = Reason.UNREACHABLE if away else Reason.UNAUTHORIZED
        refused = answer.kind == TroubleKind.REFUSED
        about = self._reachable() if refused else Said(ConditionType.MLFLOW_AVAILABLE, "False", why, answer.message)
        if away:
            return self._say(phase, (*progressing(reason, answer.message), about))
        return self._say(phase, (*stalled(_STALLS[answer.kind], answer.message), about))

    def _reachable(self) -> Said:
        return Said(ConditionType.MLFLOW_AVAILABLE, "True", Reason.REACHABLE, f"{self.server} answers")

    def _say(
        self,
        phase: str,
        said: tuple[Said, ...],
        *,
        changes: Mapping[str, object] | None = None,
        apply: tuple[Apply, ...] = (),
        delete: tuple[Delete, ...] = (),
    ) -> Plan:
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


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _next_attempt(mine: list[Run]) -> int:
    """That of the run that is open, or a new one."""
    open_ones = [_number(run.tags.get(ATTEMPT_TAG)) for run in mine if run.status == "RUNNING"]
    return (
        max(open_ones[0], 1) if open_ones else max((_number(run.tags.get(ATTEMPT_TAG)) for run in mine), default=0) + 1
    )


def _attempt_of(job: Manifest) -> int:
    return _number(objects.labels(job).get(names.Label.ATTEMPT)) or 1
