"""Where a TrainingJob is, and what comes next.

A run is opened in the registry, a Job trains, the run is closed with the Job's true end. What is not in status is found
again: runs by their tags, Jobs by their labels.
"""

from collections.abc import Mapping
from datetime import timedelta

from serinus import objects
from serinus.api import names
from serinus.api.conditions import ConditionType, Reason
from serinus.api.trainingjob import TrainingJob
from serinus.api.trainingjob_status import ResolvedRun
from serinus.api.trainingjob_status import Run as RunStatus
from serinus.asks import (
    EndRun,
    EnsureRun,
    FindRuns,
    Known,
    ReadRun,
    Run,
    pairs,
)
from serinus.objects import JOB, POD, Manifest, Ref
from serinus.plan import Apply, Defaults, Delete, Facts, Plan
from serinus.progress import Said, progressing, settled, stalled, updated
from serinus.training import ends, manifests, outcome, pod_troubles
from serinus.training.ends import End
from serinus.training.step import Step

UID_TAG = f"{names.TAG_PREFIX}uid"
REVISION_TAG = f"{names.TAG_PREFIX}revision"
ATTEMPT_TAG = f"{names.TAG_PREFIX}attempt"

_OPENING = "opening the run in MLflow"
# What the API has and this version does not do: it is refused, for training without it would be something else.
_UNBUILT = ("source", "inputs", "workers", "checkpoints", "queue")
_OVER = ("FINISHED", "FAILED")


def plan(job: TrainingJob, facts: Facts, defaults: Defaults) -> Plan:
    """The next step of a TrainingJob."""
    return _Lifecycle(job, facts, defaults).plan()


class _Lifecycle(Step):
    """The order of things."""

    def plan(self) -> Plan:
        """Finished is finished; else what is stale stops first, then the run is found or opened, then it trains."""
        if self.status.finished_at is not None:
            return self._finished()
        if unbuilt := [f"spec.{field}" for field in self.job.spec.wire() if field in _UNBUILT]:
            message = f"{', '.join(unbuilt)}: not built yet in this version of the operator; leave it out"
            return self.say("Pending", stalled(Reason.INVALID_SPEC, message))
        if not self.server.uri or not self.image:
            return self.say("Pending", stalled(Reason.CONFIGURATION_MISSING, self._missing()))
        if self._job_end() is None and (stale := self._stale()):
            message = f"stopping what runs for an earlier spec: {', '.join(one['metadata']['name'] for one in stale)}"
            said = progressing(Reason.STOPPING, message)
            jobs = (one for one in stale if one["kind"] == JOB.kind)
            return self.say("Pending", said, delete=tuple(self._delete(one) for one in jobs))
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
        found = self.ask(find)
        if not isinstance(found, Known):
            return self.wait(found, Reason.PENDING, _OPENING)
        mine = [run for run in found.value if run.tags.get(REVISION_TAG) == self.revision]
        for closing in [self.ask(stray) for stray in self._strays(found.value, mine)]:
            if not isinstance(closing, Known):
                return self.wait(closing, Reason.STOPPING, "closing earlier runs")
        return self._suspended() if self.job.spec.suspend and not self._job_end() else self._opened(mine)

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
        over = next((run for run in mine if run.status in _OVER), None)
        if over is not None and job is None:
            return outcome.plan(self, over, ends.of_run(over), {"attempt": _number(over.tags.get(ATTEMPT_TAG)) or 1})
        attempt = _attempt_of(job) if job is not None else _next_attempt(mine)
        run = self.ask(self._ensure(attempt))
        if not isinstance(run, Known):
            return self.wait(run, Reason.PENDING, _OPENING)
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
            return outcome.plan(self, open_run, end, {"attempt": attempt, **changes})
        if self._job() is None and self.status.run is not None:
            read = self.ask(ReadRun(server=self.server, run_id=run.id, since="its Job is gone"))
            if not isinstance(read, Known):
                return self.wait(read, Reason.TRAINING, f"asking MLflow how far run {run.id} is", phase="Running")
            if isinstance(read.value, Run) and read.value.status in _OVER:
                # The Job was removed by somebody, but only after it had done its work.
                return outcome.plan(self, open_run, ends.of_run(read.value), {"attempt": attempt, **changes})
        troubles = pod_troubles.of(self.facts.of(POD))
        if troubles is not None:
            return self.say("Running", stalled(*troubles), apply=apply, changes=changes)
        said = (*progressing(Reason.TRAINING, f"attempt {attempt} of run {run.id} is training"), self.reachable())
        started = {"started_at": self.status.started_at or self.facts.now}
        return self.say("Running", said, apply=apply, changes={**changes, **started})

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
        return self.say("Suspended", (*said, suspended, self.reachable()), changes={"run": None, "attempt": None})


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
