"""Invariants of the Jobs that the operator makes, measured by what it was shown before, and by what really happened."""

from datetime import timedelta
from typing import Final

from serinus import objects
from serinus.api.names import MANAGER, Label
from serinus.api.scalars import parsed_time
from serinus.objects import JOB, POD, Manifest, ObjectKind, Ref, ref_of
from serinus.training import ends
from tests.sim.controllers import job_end
from tests.sim.fields import Json, get
from tests.sim.judge_training import TrainingJudge
from tests.sim.kinds import TRAINING_JOB
from tests.sim.ledger import Attempt, Ledger
from tests.sim.mlflow import Mlflow
from tests.sim.queueing import QUEUE
from tests.sim.server import START
from tests.sim.stage import Stage
from tests.sim.weather import Fault

# A pass takes this long at most, and no time to speak of where nothing is slow.
A_PASS: Final = 75.0
AT_ONCE: Final = 2.0
SLOW: Final = (Fault.SLOW, Fault.LOST_REQUEST, Fault.LOST_ANSWER, Fault.LATE, Fault.CRASH_AFTER)
FIRST_PAUSE: Final = timedelta(seconds=9)


class JobJudge:
    """Knows what this process of the operator was shown."""

    def __init__(self, stage: Stage, mlflow: Mlflow, ledger: Ledger, training: TrainingJudge) -> None:
        self._stage = stage
        self._server = stage.server
        self._mlflow = mlflow
        self._ledger = ledger
        self._training = training
        # Of the storm: it has its consequences when it is over.
        self._weather = stage.weather
        # Pods, by uid, and since when each is known.
        self._pods: dict[str, tuple[float, Manifest]] = {}
        # Resources that were never shown but suspended, and those that are, since when.
        self._always_suspended: dict[str, bool] = {}
        self._suspended: dict[str, float] = {}

    def knows_nothing(self) -> None:
        """A new process of the operator."""
        self._pods.clear()
        self._suspended.clear()
        self._always_suspended.clear()

    def shown(self, kind: ObjectKind, manifest: Manifest, *, gone: bool) -> None:
        """The operator sees an object, or that it is gone."""
        uid = objects.uid(manifest)
        if kind == POD:
            since, _ = self._pods.pop(uid, (self._stage.now, manifest))
            if not gone:
                self._pods[uid] = since, manifest
        elif kind == TRAINING_JOB:
            is_suspended = bool(get(manifest, "spec", "suspend"))
            since = self._suspended.pop(uid, self._stage.now)
            self._always_suspended[uid] = is_suspended and self._always_suspended.get(uid, True)
            if is_suspended and not gone:
                self._suspended[uid] = since

    def made(self, ref: Ref, job: Manifest) -> None:
        """The operator has made a Job."""
        attempt = self._ledger.attempts[objects.uid(job)]
        record = self._record_before(attempt, job)
        for why in (
            self._is_alone(attempt, job),
            self._lets_end(attempt, job, record),
            self._is_new(attempt),
            self._is_in_order(attempt),
            self._is_wanted(attempt),
            self._has_waited(attempt, record),
            _is_well_made(job),
        ):
            if why:
                self._stage.story.fail(f"{ref} {why}")

    # --- what else there is

    def _is_alone(self, attempt: Attempt, job: Manifest) -> str:
        """At most one lives."""
        mine = (one for one in self._server.of(JOB) if objects.controller(one) == attempt.uid)
        live = [one for one in mine if _is_at_work(one) and objects.uid(one) != objects.uid(job)]
        return f"is made while {live[0]['metadata']['name']} is at work" if live else ""

    def _lets_end(self, attempt: Attempt, job: Manifest, record: Json) -> str:
        """Pods of earlier Jobs that were seen to run have ended, unless they are lost."""
        if self._weather.clock_jump_every:
            return ""
        for since, shown in self._pods.values():
            pod = self._server.get(ref_of(POD, shown))
            if pod is None or objects.uid(pod) != objects.uid(shown) or objects.controller(pod) == objects.uid(job):
                continue
            of = self._ledger.of_pod(pod)
            # Those of a predecessor of the same name are none of its own.
            is_mine = of is not None and of.uid == attempt.uid
            if is_mine and self._is_known(since, record) and self._runs(shown) and self._runs(pod):
                return f"is made while pod {pod['metadata']['name']} was seen to run"
        return ""

    def _is_known(self, since: float, record: Json) -> bool:
        """Whether the plan rests on what was shown then: a pass ago, or before the last attempt was called over."""
        ended = parsed_time(record.get("finishedAt"))
        before = ended is not None and since < (ended - START).total_seconds()
        return before or self._stage.now - since > self._a_pass()

    def _runs(self, pod: Manifest) -> bool:
        return ends.is_live(pod, self._stage.time_of_day() + timedelta(seconds=1))

    def _is_new(self, attempt: Attempt) -> str:
        """An attempt that was closed is not made again, but for a resource that is gone and not seen to be."""
        runs = (self._mlflow.runs[one] for one, key in self._mlflow.run_keys.items() if key == attempt.key)
        # The sweep may take it for superseded while its resource is not worked on for long: then it is taken up again.
        told = ((one, one.tags.get(ends.REASON_TAG)) for one in runs)
        closed = next((one for one, why in told if why and (one.status, why) != ("KILLED", "Superseded")), None)
        is_there = any(objects.uid(one) == attempt.uid for one in self._server.of(TRAINING_JOB))
        if closed is None or not is_there:
            return ""
        return f"is for attempt {attempt.number}, whose {closed.id} was closed as {closed.tags[ends.REASON_TAG]}"

    # --- whether it is wanted, and when

    def _is_in_order(self, attempt: Attempt) -> str:
        """What is over is not trained again, unless somebody asks for it."""
        how = self._training.over(attempt.uid, attempt.revision)
        return f"trains revision {attempt.revision} again, which has {how}" if how else ""

    def _is_wanted(self, attempt: Attempt) -> str:
        since = self._suspended.get(attempt.uid)
        if since is None:
            return ""
        is_known = self._always_suspended[attempt.uid] or self._stage.now - since > self._a_pass()
        return "is made though its TrainingJob is suspended" if is_known else ""

    def _has_waited(self, attempt: Attempt, record: Json) -> str:
        """After a failure there is a pause; unless this attempt had begun already, and is come back to."""
        ended = parsed_time(record.get("finishedAt"))
        if list(self._ledger.attempts.values()).count(attempt) > 1:
            return ""
        if self._weather.clock_jump_every or ended is None or record.get("reason") == "Suspended":
            return ""
        waited = self._stage.time_of_day() - ended
        return f"is made {waited} after the last attempt has failed" if waited < FIRST_PAUSE else ""

    def _record_before(self, attempt: Attempt, job: Manifest) -> Json:
        """What the status says of the last attempt; nothing if somebody has asked for this one, or lost the status."""
        name = objects.labels(job).get(Label.TRAINING_JOB, "")
        owner = self._server.get(Ref(TRAINING_JOB, job["metadata"]["namespace"], name)) or {}
        if get(owner, "status", "lastAction", "result") == "Done" or self._ledger.wiped[attempt.uid]:
            return {}
        records = get(owner, "status", "attempts") or ()
        return next((one for one in records if one["number"] == attempt.number - 1), {})

    def _a_pass(self) -> float:
        faults = self._weather.faults
        return A_PASS if any(faults.get(one, 0.0) for one in SLOW) else AT_ONCE + self._weather.lag


def _is_at_work(job: Manifest) -> bool:
    """Whether a Job that the operator can see is neither over nor on its way out."""
    is_seen = objects.labels(job).get(Label.MANAGED_BY) == MANAGER
    return is_seen and not job_end(job) and not objects.is_going(job)


def _is_well_made(job: Manifest) -> str:
    """A Job is one attempt, and it is let go by its queue."""
    if objects.labels(job).get(QUEUE) and not get(job, "spec", "suspend"):
        return "does not wait for its queue"
    return "tries again by itself" if get(job, "spec", "backoffLimit") else ""
