"""Where a TrainingJob is, and what comes next.

A run is opened in the registry, a Job trains, the run is closed with the Job's true end; what failed is tried again
with a run and a Job of its own. What is not in status is found again: runs by their tags, Jobs by their labels.
"""

from dataclasses import replace
from datetime import timedelta
from itertools import chain

from serinus import objects
from serinus.api.conditions import ConditionType, Reason
from serinus.api.trainingjob import TrainingJob
from serinus.api.trainingjob_status import Attempt, PastRun
from serinus.api.trainingjob_status import Run as RunStatus
from serinus.asks import Known, ReadRun, Run
from serinus.objects import JOB, POD, PVC, SERVICE, Manifest, ObjectKind
from serinus.plan import Defaults, Facts, Plan
from serinus.progress import Said, progressing, stalled, updated
from serinus.training import actions, attempts, closing, ends, opening, outcome, pod, running
from serinus.training.ends import End
from serinus.training.step import Step, attempt_of


def plan(job: TrainingJob, facts: Facts, defaults: Defaults) -> Plan:
    """The next step of a TrainingJob."""
    return _Lifecycle(job, facts, defaults).plan()


class _Lifecycle(Step):
    """The order of things."""

    def plan(self) -> Plan:
        """An action is answered first; then comes what is next, and what earlier revisions left goes beside it."""
        if (answered := actions.answered(self)) is not None:
            return answered
        made = self._next()
        leftovers = tuple(self.deletion(kind, one) for kind in (SERVICE, PVC) for one in self._foreign(kind))
        return replace(made, delete=(*made.delete, *leftovers)) if leftovers else made

    def _next(self) -> Plan:
        """Finished is finished; what is stale stops first; then the run is found or opened, and then it trains."""
        if self.status.finished_at is not None:
            return self._finished()
        past = self._past()
        if past is None and (missing := self._missing()):
            return self.say("Pending", stalled(Reason.CONFIGURATION_MISSING, missing))
        if stale := self._stale():
            return self._stopping(stale)
        if past is not None:
            return self._as_before(past)
        run, number = self.status.run, self.status.attempt
        if run is None or not number or self.must_rest:
            return opening.found(self)
        return self._attempt(run, self.attempt(number, run))

    def _past(self) -> PastRun | None:
        """What this revision came to when it was trained earlier. What was registered then is found in the registry."""
        kept = (one for one in self.status.history if one.revision == self.revision)
        return next((one for one in kept if one.outcome in {"Rejected", "Failed"}), None)

    def _as_before(self, past: PastRun) -> Plan:
        """The verdict stands: nothing is trained or judged twice."""
        rejected = past.outcome == "Rejected"
        reason = Reason(past.reason) if past.reason in set(Reason) else Reason.BACKOFF_LIMIT_EXCEEDED
        kind = ConditionType.COMPLETE if rejected else ConditionType.FAILED
        end = Said(kind, "True", reason, past.message)
        changes = {"run": RunStatus(id=past.run_id) if past.run_id else None, "finished_at": past.finished_at}
        # The revision before may have ended so, too: what holds on has not begun anew.
        holds = tuple(one for one in self.job.status.conditions if one.type == kind)
        self.status = updated(self.status, conditions=(*self.status.conditions, *holds))
        return self.say(past.outcome, (*stalled(reason, past.message), end), changes=changes)

    def _missing(self) -> str:
        if not self.server.uri:
            return "no MLflow server is known: set spec.tracking.uri, or SERINUS_TRACKING_URI of the operator"
        if not self.image:
            return "no image is known: set spec.image, or SERINUS_TRAINER_IMAGE of the operator"
        if pod.fetches(self.job) and not self.defaults.trainer_image:
            return "no image is known that fetches source and inputs: set SERINUS_TRAINER_IMAGE of the operator"
        return ""

    # --- what is in the way

    def _stale(self) -> list[Manifest]:
        """Jobs and pods that are not wanted: of another revision, or any that runs while suspended."""
        # A Job that is on its way out makes no pods any more; while a pod of it is lost it cannot even go.
        jobs = (
            one
            for one in self.facts.of(JOB)
            if not objects.is_going(one) and (not self.is_mine(one) or (self.must_rest and not ends.is_over(one)))
        )
        pods = (one for one in self.facts.of(POD) if not self.is_mine(one) or self.must_rest)
        return [*jobs, *(one for one in pods if ends.is_live(one, self.facts.now))]

    def _stopping(self, stale: list[Manifest]) -> Plan:
        why = "because it is suspended" if self.must_rest else "for an earlier spec"
        message = f"stopping what runs {why}: {', '.join(one['metadata']['name'] for one in stale)}"
        jobs = tuple(self.deletion(JOB, one) for one in stale if one["kind"] == JOB.kind)
        made = self.say("Pending", progressing(Reason.STOPPING, message), delete=jobs)
        # Of a pod that is lost with its node nothing is heard.
        return replace(made, requeue_after=ends.LOST_AFTER)

    def _foreign(self, kind: ObjectKind) -> list[Manifest]:
        return [one for one in self.facts.of(kind) if not self.is_mine(one) and not objects.is_going(one)]

    # --- an attempt

    def _attempt(self, run: RunStatus, attempt: Attempt) -> Plan:
        """It goes on, or it has ended: well, and the outcome is drawn, or badly, and there is another or none."""
        if not attempt.run_id:
            return opening.begun(self, attempt.number)
        if (later := self._later_than(attempt)) is not None:
            return opening.begun(self, later)
        if attempt.finished_at is not None and attempt.reason != Reason.COMPLETED:
            return closing.plan(self, run, attempt) or opening.begun(self, attempt.number + 1)
        end = self._end(attempt)
        if isinstance(end, Plan):
            return end
        if isinstance(end, End):
            return outcome.plan(self, run, attempt, {}) if end.ok else closing.record(self, attempt, end)
        made = running.plan(self, run, attempt, {})
        return replace(made, requeue_after=min(end, made.requeue_after or end)) if end is not None else made

    def _later_than(self, attempt: Attempt) -> int | None:
        """An attempt that was begun and could not be written down any more: only its Job tells of it."""
        numbers = (attempt_of(one) for one in self.facts.of(JOB) if self.is_mine(one))
        return max((number for number in numbers if number > attempt.number), default=None)

    def _end(self, attempt: Attempt) -> End | timedelta | Plan | None:
        """How it ended, if it has; after how long that is to be looked at again."""
        if attempt.reason == Reason.COMPLETED:
            # It was written down while MLflow was away; the Job may be gone by now.
            return ends.COMPLETE
        job = self.job_of(attempt.number)
        if job is None:
            # It was made before the attempt was written down, so it is gone.
            return self._end_without_job(attempt)
        noted = ends.of_record(attempt) if attempt.reason else None
        end = ends.of_job(job, self.pods_of(attempt.number), self.facts.now, noted)
        if isinstance(end, End):
            return end
        return attempts.overdue(self.job.spec, self.status, self.facts.now) or end

    def _end_without_job(self, attempt: Attempt) -> End | Plan:
        """Somebody removed the Job: perhaps only after it had done its work."""
        read = self.ask(ReadRun(server=self.server, run_id=attempt.run_id, since="its Job is gone"))
        if not isinstance(read, Known):
            message = f"asking MLflow how far run {attempt.run_id} is"
            return self.wait(read, Reason.TRAINING, message, phase="Running")
        status = read.value.status if isinstance(read.value, Run) else ""
        if status == "FINISHED":
            return ends.COMPLETE
        if status == "FAILED":
            return End(ok=False, reason=Reason.ERROR, message="the run says that it failed, and its Job is gone")
        return ends.taken(Reason.POD_DELETED, "its Job was deleted before it had ended")

    # --- the end

    def _finished(self) -> Plan:
        """Nothing is left to do, but to remove the children when their time is over."""
        gone_at = (self.status.finished_at or self.facts.now) + self.ttl
        status = updated(self.status, observed_generation=self.job.metadata.generation)
        left = tuple(chain.from_iterable(((kind, one) for one in self.facts.of(kind)) for kind in (JOB, SERVICE, PVC)))
        if not left:
            return Plan(status=status)
        if self.facts.now >= gone_at:
            return Plan(status=status, delete=tuple(self.deletion(kind, one) for kind, one in left))
        return Plan(status=status, requeue_after=gone_at - self.facts.now)
