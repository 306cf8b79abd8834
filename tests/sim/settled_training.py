"""What must be true of training once the storm is over, measured by what really happened."""

from math import isfinite
from typing import Final

from serinus import objects
from serinus.api.invalid import Invalid
from serinus.api.names import MANAGER, Label
from serinus.api.trainingjob import TrainingJob
from serinus.asks import Run
from serinus.objects import JOB, PVC, SERVICE, Manifest, ObjectKind
from tests.sim import code
from tests.sim.controllers import job_end
from tests.sim.fields import Json, get
from tests.sim.ledger import Ledger
from tests.sim.mlflow import Mlflow
from tests.sim.stage import Stage

# Children that are kept for longer are there at the end.
LONG: Final = 43_200
OPEN: Final = frozenset({"RUNNING", "SCHEDULED"})
RUN_OF_END: Final = {"Succeeded": "FINISHED", "Rejected": "FINISHED", "Failed": "FAILED"}
TOLD: Final = {
    "Succeeded": ("Complete", "Succeeded"),
    "Rejected": ("Complete", "GateRejected"),
    "Failed": ("Failed", ""),
}
UNFIT: Final = frozenset({"ExpectationsBroken", "DigestMismatch", "InputUnreadable", "SourceUnreadable"})


class SettledTraining:
    """Looks at one TrainingJob; `problem` is empty when it is as its code, its data and its luck deserve."""

    def __init__(self, stage: Stage, mlflow: Mlflow, ledger: Ledger) -> None:
        self._server = stage.server
        self._mlflow = mlflow
        self._ledger = ledger

    def problem(self, resource: Manifest) -> str:
        """What is not as it should be; the resource is neither invalid nor robbed of its name."""
        parsed = TrainingJob.parse(resource)
        if isinstance(parsed, Invalid):
            return ""
        phase = get(resource, "status", "phase")
        if wrong := self._left(resource, parsed.spec.ttl_seconds_after_finished) or self._open(resource):
            return wrong
        if parsed.spec.suspend and phase == "Suspended":
            at_work = [one for one in self._children(resource, JOB) if not job_end(one)]
            return "a Job is at work though it is suspended" if at_work else expect(resource, "Suspended", "Suspended")
        if phase not in RUN_OF_END or not get(resource, "status", "finishedAt"):
            return f"its phase is {phase}"
        return expect(resource, *TOLD[phase]) or self._ends(resource, phase) or self._deserved(resource, phase)

    def is_stuck(self, resource: Manifest) -> bool:
        """Whether somebody deleted its volume, and a pod that is lost has it: nothing goes on before that is forced."""
        name = resource["metadata"]["name"]
        volumes = [one for one in self._server.of(PVC) if objects.labels(one).get(Label.TRAINING_JOB) == name]
        return any(objects.is_going(one) for one in volumes)

    def _children(self, resource: Manifest, kind: ObjectKind) -> list[Manifest]:
        """Its children, without those that somebody took our labels off, and those that are on their way out."""
        mine = (one for one in self._server.of(kind) if objects.controller(one) == objects.uid(resource))
        there = (one for one in mine if objects.labels(one).get(Label.MANAGED_BY) == MANAGER)
        return [one for one in there if not objects.is_going(one)]

    def _left(self, resource: Manifest, ttl: float) -> str:
        """Nothing is left of an earlier revision, nothing that goes on, and nothing after its time."""
        revision, over = get(resource, "status", "revision"), get(resource, "status", "finishedAt")
        for kind in (JOB, SERVICE, PVC):
            for one in self._children(resource, kind):
                if objects.labels(one).get(Label.REVISION) != revision:
                    return f"{_name(one)} is left of an earlier revision"
                if over and ttl < LONG:
                    return f"{_name(one)} is there after its time"
                if kind == JOB and not job_end(one):
                    return f"{_name(one)} is still at work"
        return ""

    def _open(self, resource: Manifest) -> str:
        """No run is left open."""
        mine = (run for run in self._mlflow.runs.values() if run.tags.get("serinus.uid") == objects.uid(resource))
        left = [run.id for run in mine if run.status in OPEN and run.id not in self._mlflow.deleted]
        return f"{', '.join(left)} is left RUNNING" if left else ""

    # --- how the runs ended

    def _ends(self, resource: Manifest, phase: str) -> str:
        """Each run has the end of its attempt, and the one above them that of the whole."""
        whole = self._mlflow.runs.get(get(resource, "status", "run", "id") or "")
        if whole is None:
            return "it has no run"
        uid, revision = objects.uid(resource), get(resource, "status", "revision")
        # A Job that somebody put out of sight may go on, and its code say so; likewise a pod that had done its work
        # when its Job was stopped and before it was told.
        may_go_on = self._ledger.taken | (self._ledger.promising - self._ledger.completed)
        taken = {one.number for one in may_go_on if (one.uid, one.revision) == (uid, revision)}
        wanted = "FINISHED" if _reason(resource) == "ArtifactMissing" else RUN_OF_END[phase]
        if whole.status != wanted and whole.tags.get("serinus.attempt") not in {str(one) for one in taken}:
            return f"{whole.id} is {whole.status} though the job has {phase}"
        for record in get(resource, "status", "attempts") or ():
            if record["number"] not in taken and (wrong := self._end(record)):
                return wrong
        return ""

    def _end(self, record: Json) -> str:
        run = self._mlflow.runs.get(record.get("runId", ""))
        if run is None:
            return "" if record.get("reason") == "Suspended" else f"attempt {record['number']} has no run"
        wanted = {"Completed": {"FINISHED"}, "Suspended": {"KILLED", "FAILED", "FINISHED"}}
        if run.status not in wanted.get(record.get("reason", ""), {"FAILED"}):
            return f"{run.id} is {run.status} though attempt {record['number']} ended with {record.get('reason')}"
        number = run.tags.get("serinus.attempt")
        return "" if number == str(record["number"]) else f"attempt {record['number']} names the run of {number}"

    # --- what it came to

    def _deserved(self, resource: Manifest, phase: str) -> str:
        """What is good is registered under its key, what is not is not, and what fails has failed."""
        uid, revision = objects.uid(resource), get(resource, "status", "revision")
        if phase == "Failed":
            return self._failed(resource, uid, revision)
        if not self._ledger.ended_well(uid, revision) and not self._is_its_word(resource, revision):
            return f"it is {phase}, and no attempt was complete"
        records = get(resource, "status", "attempts") or ()
        run = self._mlflow.runs.get(records[-1].get("runId", "")) if records else None
        if run is None:
            # It came back to what was judged before.
            return ""
        return self._judged(resource, run, phase) or self._registered(resource, phase)

    def _is_its_word(self, resource: Manifest, revision: str) -> bool:
        """Whether code said to MLflow that it was done, and was stopped for another spec: no more is left to go by."""
        stopped = any((one.uid, one.revision) == (objects.uid(resource), revision) for one in self._ledger.stopped)
        return stopped and resource["spec"].get("parameters", {}).get("code") == "liar"

    def _failed(self, resource: Manifest, uid: str, revision: str) -> str:
        reason, spec = _reason(resource), resource["spec"]
        failures, limit = self._ledger.counted(uid, revision), self._ledger.limits[uid]
        kind = spec.get("parameters", {}).get("code", code.GOOD_CODE)
        holds = {
            "BackoffLimitExceeded": failures > limit,
            "DeadlineExceeded": len(self._ledger.deadlines[uid] - {float("inf")}) > 0,
            "ArtifactMissing": "register" in spec and kind in code.WITHOUT_MODEL,
            **dict.fromkeys(UNFIT, (uid, revision) in self._ledger.unfit),
        }
        # Who loses the status may lose the word for it: the runs know that it has failed, and how the last attempt did.
        is_lost = self._ledger.wiped[uid] > 0 and any(holds.values())
        if is_lost or holds.get(reason, False):
            return ""
        return (
            f"it has failed for {reason}, with {failures} failures, at least {limit} allowed, and code that is {kind}"
        )

    def _judged(self, resource: Manifest, run: Run, phase: str) -> str:
        """By the numbers that its run has, and in comparison by what anybody may have moved meanwhile."""
        checks = resource["spec"].get("gate", ())
        value = run.metrics.get(code.METRIC)
        is_number = value is not None and isfinite(value)
        is_bad = any(not is_number or (value or 0.0) < check.get("min", 0.0) for check in checks)
        is_open = any("versus" in check for check in checks) and not is_bad
        if not is_open and (phase == "Rejected") != is_bad:
            return f"it is {phase} with {run.metrics}, and its checks are {checks}"
        return ""

    def _registered(self, resource: Manifest, phase: str) -> str:
        spec, registered = resource["spec"], get(resource, "status", "registered") or {}
        if phase != "Succeeded" or "register" not in spec:
            return "it says that it has registered something" if registered else ""
        model, version = spec["register"]["model"], registered.get("version", "")
        key = f"{objects.uid(resource)}.{get(resource, 'status', 'revision')}"
        return "" if self._mlflow.version_keys.get((model, version)) == key else f"version {version!r} is not its own"


def condition(resource: Manifest, name: str) -> Json:
    """A condition of a resource; empty if it is not there."""
    conditions = get(resource, "status", "conditions") or ()
    return next((one for one in conditions if one["type"] == name), {})


def expect(resource: Manifest, name: str, reason: str) -> str:
    """That a condition is True, for a reason if one is given."""
    found = condition(resource, name)
    if found.get("status") == "True" and (not reason or found["reason"] == reason):
        return ""
    return f"{name} is {found.get('status', 'missing')} ({found.get('reason', '')}: {found.get('message', '')})"


def _reason(resource: Manifest) -> str:
    return str(condition(resource, "Failed").get("reason", ""))


def _name(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"
