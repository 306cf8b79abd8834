"""An attempt while it runs: what is seen of its pods, and what is said of that."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from serinus.api.conditions import Reason
from serinus.api.scalars import parsed_time
from serinus.api.trainingjob_status import Attempt, Metric, Progress, ResolvedRun
from serinus.api.trainingjob_status import Run as RunStatus
from serinus.asks import Known, QueueRun, ReadProgress, ReadWarning, Run
from serinus.asks import Progress as Seen
from serinus.objects import JOB, POD, Manifest, ref_of, uid
from serinus.plan import Apply, Plan
from serinus.progress import Said, progressing, stalled, updated
from serinus.training import attempts, capsule, ends, fetched, manifests, pod, pod_troubles
from serinus.training.step import Step

# Who is over sooner need not be asked how far it is; nor anybody more often than this.
SOON: Final = timedelta(seconds=20)
EVERY: Final = timedelta(seconds=30)
# After how long without a pod it is asked why.
SLOW: Final = timedelta(seconds=5)
_SHOWN: Final = 8


def plan(step: Step, run: RunStatus, attempt: Attempt, changes: Mapping[str, object]) -> Plan:
    """The Job is there, or is made; what it does is said."""
    return _Running(step, run, attempt, changes).plan()


class _Running:
    """One attempt of which the Job has not ended."""

    def __init__(self, step: Step, run: RunStatus, attempt: Attempt, changes: Mapping[str, object]) -> None:
        self.step = step
        self.run = run
        self.attempt = attempt
        self.job = step.job_of(attempt.number)
        # Before there is a Job they are those of a predecessor of the same name.
        self.pods = step.pods_of(attempt.number) if self.job is not None else ()
        self.changes = dict(changes)

    def plan(self) -> Plan:
        """Queued, starting or training; always with the Job, and with a look at the clock."""
        if self._is_queued():
            return self._queued()
        if self.step.job.spec.active_deadline_seconds is not None and (began := _job_started(self.job)) is not None:
            # The time of a pod that does not start counts as well.
            self.changes["started_at"] = self.step.status.started_at or began
        started = _started(self.pods)
        if started:
            self._note()
            said: tuple[Said, ...] = (*self._training(), *self._data_valid(), self.step.reachable())
            phase = "Running"
        elif self.attempt.started_at is not None and not self.pods:
            message = f"attempt {self.attempt.number} has no pod any more: waiting for its Job to come to its end"
            phase, said = "Pending", (*progressing(Reason.STOPPING, message), self.step.reachable())
        else:
            phase, said = "Pending", (*self._starting(), self.step.reachable())
        return self._with_clock(self.step.say(phase, said, apply=self._children(), changes=self.changes))

    def _is_queued(self) -> bool:
        suspended = self.job is not None and bool(self.job["spec"].get("suspend"))
        return suspended or (self.job is None and bool(self.step.job.spec.queue))

    def _queued(self) -> Plan:
        """A run that waits for its place is not running, and says so."""
        self.step.ask(QueueRun(server=self.step.server, run_id=self.attempt.run_id))
        message = f"waiting for a place in queue {self.step.job.spec.queue}"
        if not self.step.job.spec.queue:
            message = f"Job {self._name()} is suspended: whoever suspended it has to resume it"
        said = (*progressing(Reason.QUEUED, message), self.step.reachable())
        return self._with_clock(self.step.say("Queued", said, apply=self._children(), changes=self.changes))

    def _starting(self) -> tuple[Said, ...]:
        troubles = pod_troubles.of(self.pods)
        if troubles is not None:
            return stalled(*troubles)
        waits = pod_troubles.waiting(self.pods)
        if waits:
            return progressing(Reason.STARTING, waits)
        if (warned := self._warning()) is not None:
            return warned
        if any(_is_fetching(one) for one in self.pods):
            return progressing(Reason.STARTING, f"attempt {self.attempt.number} fetches its code and its inputs")
        return progressing(Reason.STARTING, f"attempt {self.attempt.number} of run {self.run.id} is starting")

    def _warning(self) -> tuple[Said, ...] | None:
        """What the cluster says of a Job that gets no pod, or of a pod that does not come to start."""
        job, now = self.job, self.step.facts.now
        if job is None:
            return None
        stuck = next((one for one in self.pods if pod_troubles.is_preparing(one, now)), None)
        if (self.pods and stuck is None) or (not self.pods and self._wait_for_pod()):
            return None
        kind, one = (JOB, job) if stuck is None else (POD, stuck)
        answer = self.step.ask(ReadWarning(ref=ref_of(kind, one), uid=uid(one), every=EVERY))
        if not isinstance(answer, Known) or not answer.value:
            return None
        reason = pod_troubles.reason_of(answer.value)
        message = f"{kind.kind} {one['metadata']['name']}: {answer.value}"
        return progressing(Reason.STARTING, message) if reason is None else stalled(reason, message)

    def _wait_for_pod(self) -> timedelta:
        """For how long it is no wonder that the Job has no pod."""
        now = self.step.facts.now
        made = parsed_time(self.job["metadata"].get("creationTimestamp")) if self.job is not None else None
        return max((made or now) + SLOW - now, timedelta())

    def _training(self) -> tuple[Said, ...]:
        seen = self.changes.get("progress") or self.step.status.progress
        far = _words(seen) if isinstance(seen, Progress) else ""
        message = f"attempt {self.attempt.number} of run {self.run.id} is training{far}"
        return progressing(Reason.TRAINING, message)

    def _data_valid(self) -> tuple[Said, ...]:
        return self.step.data_valid(self._resolved())

    def _note(self) -> None:
        """What the pods show is written down, and from time to time how far they are."""
        now = self.step.facts.now
        since = self.step.status.started_at or _job_started(self.job) or now
        first = self.attempt.started_at or now
        current = updated(self.attempt, started_at=first, node=self.attempt.node or capsule.node_of(self.pods))
        if (going := ends.of_going(self.pods)) is not None:
            current = updated(current, reason=going.reason, message=going.message, counted=False)
        self.changes["started_at"] = since
        self.changes["attempts"] = self.step.attempts_with(current)
        self.changes["resolved"] = self._resolved()
        if now - first >= SOON and (seen := self._progress(now)) is not None:
            self.changes["progress"] = seen

    def _resolved(self) -> ResolvedRun:
        before = self.changes.get("resolved") or self.step.status.resolved
        known = before if isinstance(before, ResolvedRun) else ResolvedRun()
        return capsule.observed(self.step.job, self.pods, known)

    def _progress(self, now: object) -> Progress | None:
        every = max(self.step.defaults.registry_poll, EVERY)
        ask = ReadProgress(
            server=self.step.server, experiment_id=self.run.experiment_id, run_id=self.attempt.run_id, every=every
        )
        answer = self.step.ask(ask)
        if not isinstance(answer, Known) or not isinstance(answer.value, Seen):
            return None
        gate = [check.metric for check in self.step.job.spec.gate]
        return progress_of(answer.value, gate, self.step.status.progress, now)

    def _children(self) -> tuple[Apply, ...]:
        step = self.step
        wanted = manifests.Attempt(
            revision=step.revision,
            number=self.attempt.number,
            run=Run(self.attempt.run_id, self.run.experiment_id, "RUNNING"),
            image=step.image,
            tracking_uri=step.server.uri,
            helper_image=step.defaults.trainer_image,
            commit=self._resolved().commit,
        )
        return manifests.children(step.job, wanted, pod.spec(step.job, wanted))

    def _name(self) -> str:
        return manifests.job_name(self.step.job, self.step.revision, self.attempt.number)

    def _with_clock(self, made: Plan) -> Plan:
        """The next look, if nothing happens before: at the deadline, or when there may be something to tell."""
        now, status = self.step.facts.now, self.step.status
        deadline = attempts.deadline_of(self.step.job.spec, status)
        waits = [deadline - now] if deadline is not None else []
        if self.job is not None and self.attempt.started_at is None:
            waits += [self._wait_for_pod()] if not self.pods else [pod_troubles.patience(one, now) for one in self.pods]
        waits = [wait for wait in waits if wait]
        if self.attempt.started_at is not None and now - self.attempt.started_at < SOON:
            waits.append(self.attempt.started_at + SOON - now)
        return replace(made, requeue_after=min(waits, default=None))


def progress_of(seen: Seen, gate: Sequence[str], before: Progress | None, now: object) -> Progress | None:
    """How far it is, in the words of the status; None before anything was logged. `before` stays if nothing changed."""
    if not seen.metrics:
        return before
    # Infinity and NaN are no JSON, and no status can hold them.
    numbers = {name: value for name, value in seen.metrics.items() if math.isfinite(value)}
    chosen = [name for name in dict.fromkeys(gate) if name in numbers]
    chosen += [name for name in sorted(numbers) if name not in chosen and name != "progress"]
    metrics = tuple(Metric(name=name, value=numbers[name]) for name in chosen[:_SHOWN])
    percent = _percent(seen.metrics.get("progress"))
    fresh = Progress.model_validate({"percent": percent, "step": seen.step, "metrics": metrics, "at": now})
    unchanged = before is not None and updated(fresh, at=before.at) == before
    return before if unchanged else fresh


def _words(progress: Progress) -> str:
    """How far it is, behind what is said of the attempt."""
    done = [f"{progress.percent:g} %"] if progress.percent is not None else []
    done += [f"step {progress.step}"] if progress.step is not None else []
    return "".join(f", {part}" for part in done)


def _percent(value: float | None) -> float | None:
    if value is None or not 0 <= value <= 100:  # noqa: PLR2004 (of a hundred)
        return None
    return round(value * 100 if value <= 1 else value, 1)


def _started(pods: Sequence[Manifest]) -> bool:
    """Whether any has come to the user's container: one that failed while it fetched has not."""
    statuses = [one.get("status", {}) for one in pods]
    return any(one.get("phase") not in {None, "", "Pending"} and not fetched.failed(one) for one in statuses)


def _is_fetching(one: Manifest) -> bool:
    every = one.get("status", {}).get("initContainerStatuses") or ()
    return any(own["name"] == fetched.CONTAINER and "running" in own.get("state", {}) for own in every)


def _job_started(job: Manifest | None) -> object:
    return parsed_time(job.get("status", {}).get("startTime")) if job is not None else None
