"""A TrainingJob as stories tell of it: its Jobs and pods as Kubernetes runs them, and MLflow as it keeps runs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from serinus import objects, training
from serinus.api.names import Annotation, Label
from serinus.api.scalars import timestamp
from serinus.asks import (
    Absent,
    Answer,
    Ask,
    EndRun,
    EnsureRun,
    EnsureVersion,
    FindModel,
    FindRuns,
    FindVersions,
    Known,
    LoggedModel,
    LogInputs,
    ModelDetails,
    ModelVersion,
    Progress,
    QueueRun,
    ReadModel,
    ReadProgress,
    ReadRun,
    ReadWarning,
    ResolveVersion,
    Run,
    RunStatus,
    SetAlias,
    TagRun,
    TagVersion,
    Trouble,
    TroubleKind,
)
from serinus.objects import JOB, POD, Manifest, Ref, labels
from serinus.plan import Plan
from tests.unit.fakes import NOON, Json, Story, pod, resource

AWAY = Trouble(TroubleKind.UNREACHABLE, "no answer from http://mlflow:5000")
COMPLETE = [{"type": "Complete", "status": "True"}]
DETAILS = ModelDetails((), None, None, ("numpy==2.4", "mlflow==3.8"), "3.13.1", None)


class Mlflow:
    """Runs, what they logged, and the versions that are made of it, as a server keeps them."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.keys: dict[str, str] = {}
        self.trouble: Trouble | None = None
        self.inputs: dict[str, LogInputs] = {}
        self.progress: Progress | Absent = Absent("run")
        # What a run logged; where nothing is told of it, it logged this.
        self.metrics = {"val_f1": 0.9}
        self.logged: dict[str, dict[str, float]] = {}
        self.model: LoggedModel | Absent = LoggedModel("models:/m-1", "m-1")
        self.details: ModelDetails | Absent | Trouble = DETAILS
        self.versions: dict[str, ModelVersion] = {}
        self.aliases: dict[str, str] = {}
        self.orders: list[EnsureVersion] = []
        # What the cluster says when it is asked for a warning.
        self.warnings: dict[str, str] = {}

    def __call__(self, ask: Ask[Any]) -> Answer[Any] | None:
        """The answer to an ask."""
        if self.trouble is None and isinstance(ask, ReadModel) and isinstance(self.details, Trouble):
            return self.details
        return self.trouble or Known(self._value(ask), NOON)

    def _value(self, ask: Ask[Any]) -> object:
        match ask:
            case FindRuns():
                found = [run for run in self.runs.values() if run.tags.get(ask.tag) == ask.value]
                return tuple(reversed(found))
            case EnsureRun():
                return self._ensured(ask)
            case ReadRun() | EndRun() | QueueRun() | TagRun() | LogInputs():
                return self._of_a_run(ask) if ask.run_id in self.runs else self._of_others(ask)
            case ReadProgress():
                return self.progress
            case ReadWarning():
                return self.warnings.get(ask.ref.kind.kind, "")
            case _:
                return self._of_versions(ask)

    def _ensured(self, ask: EnsureRun) -> Run:
        if ask.key not in self.keys:
            self.keys[ask.key] = f"run-{len(self.runs) + 1}"
            tags = {**dict(ask.tags), **({"mlflow.parentRunId": ask.parent} if ask.parent else {})}
            made = Run(self.keys[ask.key], "1", "RUNNING", name=ask.name, params=dict(ask.params), tags=tags)
            self.runs[made.id] = made
        return self.runs[self.keys[ask.key]]

    def _of_a_run(self, ask: ReadRun | EndRun | QueueRun | TagRun | LogInputs) -> Run:
        match ask:
            case EndRun():
                self.end(ask.run_id, ask.end, dict(ask.tags))
            case QueueRun() if self.runs[ask.run_id].status == "RUNNING":
                self.end(ask.run_id, "SCHEDULED")
            case TagRun():
                self.end(ask.run_id, self.runs[ask.run_id].status, dict(ask.tags))
            case LogInputs():
                self.inputs[ask.run_id] = ask
        return replace(self.runs[ask.run_id], metrics=self.logged.get(ask.run_id, self.metrics))

    @staticmethod
    def _of_others(ask: Ask[Any]) -> Run | Absent:
        if isinstance(ask, ReadRun) and ask.run_id == "champion's":
            return Run("champion's", "1", "FINISHED", metrics={"val_f1": 0.85})
        return Absent("run")

    def _of_versions(self, ask: Ask[Any]) -> object:  # noqa: PLR0911 (one line for each ask)
        match ask:
            case FindModel():
                return self.model
            case FindVersions(value=key):
                return tuple(version for other, version in self.versions.items() if other == key)
            case EnsureVersion(key=key):
                self.orders.append(ask)
                made = ModelVersion(ask.model, str(len(self.versions) + 1), ready=True, tags=dict(ask.tags))
                return self.versions.setdefault(key, made)
            case TagVersion():
                self._tag(ask)
                return ModelVersion(ask.model, ask.version, ready=True)
            case ReadModel():
                return self.details
            case SetAlias(alias=alias, version=version):
                self.aliases[alias] = version
                return ModelVersion(ask.model, version, ready=True)
            case ResolveVersion(alias=alias):
                found = self.aliases.get(alias)
                return ModelVersion(ask.model, found, ready=True, run_id="champion's") if found else Absent("alias")
            case _:
                raise AssertionError(f"a TrainingJob asks no {ask}")

    def _tag(self, ask: TagVersion) -> None:
        for key, version in self.versions.items():
            if version.version == ask.version:
                self.versions[key] = replace(version, tags={**version.tags, **dict(ask.tags)})

    def end(self, run_id: str, status: RunStatus, tags: Mapping[str, str] | None = None) -> None:
        """The run ends, by whomever."""
        run = self.runs[run_id]
        self.runs[run_id] = replace(run, status=status, tags={**run.tags, **(tags or {})})

    def statuses(self) -> list[str]:
        """How the runs are, the oldest first."""
        return [run.status for run in self.runs.values()]

    def attempts(self) -> list[str]:
        """How the runs of the attempts are, by their numbers: the common one above them is not among them."""
        numbered = {int(run.tags["serinus.attempt"]): run.status for run in self.runs.values()}
        return [status for number, status in sorted(numbered.items()) if number]

    def tags_of(self, run_id: str) -> dict[str, str]:
        """The operator's tags of a run, without their prefix."""
        tags = self.runs[run_id].tags.items()
        return {key.removeprefix("serinus."): value for key, value in tags if key.startswith("serinus.")}


class Life(Story[Any]):
    """A TrainingJob, its Jobs and pods, and MLflow. Times stand still but for what is told to pass."""

    def __init__(self, **spec: Json) -> None:
        self.mlflow = Mlflow()
        # Pods of a Job that was deleted take their time, until `pods_end`.
        self.pods_linger = False
        super().__init__(training.KIND, resource(training.KIND, spec), self.mlflow)

    # --- what Kubernetes does

    @property
    def job(self) -> Manifest:
        """The Job of the last attempt."""
        return max(self.of(JOB), key=lambda one: int(labels(one)[Label.ATTEMPT]))

    def pod(self, worker: int = 0) -> Manifest:
        """A pod of the last attempt."""
        return next(one for one in self.of(POD) if one["metadata"]["name"] == self._pod_name(worker))

    def put_pod(self, phase: str, *, worker: int = 0, node: str = "node-1", **status: Json) -> None:
        """The pod of the last attempt is seen, or seen to have changed."""
        made = pod(self._pod_name(worker), labels(self.job), phase, **status)
        self.put(POD, {**made, "spec": {"nodeName": node} if node else {}})

    def mark_pod(self, worker: int = 0, **metadata: Json) -> None:
        """Somebody writes into the pod's metadata."""
        seen = self.pod(worker)
        self.put(POD, {**seen, "metadata": {**seen["metadata"], **metadata}})

    def deleted_at(self, worker: int = 0) -> None:
        """Somebody deletes the pod; it has until now to end."""
        self.mark_pod(worker, deletionTimestamp=timestamp(self.now))

    def start(self, **status: Json) -> None:
        """The pod of the last attempt runs."""
        self.put_pod("Running", **status)

    def job_says(self, said: Json) -> None:
        """The last Job reports its conditions."""
        self.set_status(self.job, conditions=said)

    def job_fails(self, reason: str = "BackoffLimitExceeded", message: str = "it is over") -> None:
        """The last Job has failed."""
        at = timestamp(self.now)
        said = {"type": "Failed", "status": "True", "reason": reason, "message": message, "lastTransitionTime": at}
        self.job_says([said])

    def completes(self, **status: Json) -> None:
        """The pod of the last attempt has done its work, and its Job says so."""
        self.put_pod("Succeeded", **status)
        self.job_says(COMPLETE)

    def fails(self, code: int = 1, log: str = "", reason: str = "Error") -> None:
        """The container of the last attempt fails, and with it the Job."""
        self.put_pod("Failed", containerStatuses=[ended("main", code, log, reason)])
        self.job_fails()

    def pods_end(self) -> None:
        """What runs for Jobs that are gone ends."""
        self.children = {ref: one for ref, one in self.children.items() if ref.kind != POD}

    def lose(self, kind: objects.ObjectKind) -> None:
        """Somebody deletes all children of a kind, and with Jobs their pods."""
        self.children = {ref: one for ref, one in self.children.items() if ref.kind != kind}
        if kind == JOB:
            self.pods_end()

    # --- what time and people do

    def passes(self, seconds: float) -> Plan:
        """So much time passes, and then it is looked at."""
        self.now += timedelta(seconds=seconds)
        return self.run()

    def on_time(self) -> Plan:
        """So much time passes as the plan wants to wait, and then it is looked at."""
        due = self.run().requeue_after
        assert due is not None, "it waits for nothing"
        return self.passes(due.total_seconds())

    def begins_again(self) -> None:
        """The attempt that has failed is followed by another one, which runs."""
        self.on_time()
        self.start()
        self.run()

    def acts(self, action: str) -> None:
        """The user asks for an action."""
        metadata = self.raw["metadata"]
        self.raw["metadata"] = {**metadata, "annotations": {Annotation.ACTION: action}}

    def back(self) -> None:
        """MLflow answers again."""
        self.mlflow.trouble = None
        self.forget_troubles()

    # --- what is seen

    @property
    def status(self) -> dict[str, Json]:
        """The status, as it is stored."""
        status: dict[str, Json] = self.raw["status"]
        return status

    @property
    def attempt(self) -> dict[str, Json]:
        """The last attempt, as it is stored."""
        attempts: Sequence[dict[str, Json]] = self.status["attempts"]
        return attempts[-1]

    def place(self) -> Json:
        """Where it is, for people and programs; without times and words."""
        run = self.status.get("run", {}).get("id")
        return self.status["phase"], self.status.get("attempt"), run, self.status["revision"], self.conditions()

    def phases(self) -> list[str]:
        """The phases on the way to the end."""
        phases: list[str] = []
        while not self.status.get("finishedAt") and len(phases) < 20:
            self.step()
            phases.append(self.status["phase"])
        return phases

    def _pod_name(self, worker: int) -> str:
        return f"{self.job['metadata']['name']}-{worker}"

    def _carry_out(self, plan: Plan) -> None:
        before = set(self.children)
        super()._carry_out(plan)
        if self.pods_linger:
            return
        gone = {ref.name for ref in before - set(self.children) if ref.kind == JOB}
        self.children = {ref: one for ref, one in self.children.items() if not _is_of(ref, gone)}


def _is_of(ref: Ref, jobs: set[str]) -> bool:
    return ref.kind == POD and ref.name.rpartition("-")[0] in jobs


def ended(name: str, code: int, log: str = "", reason: str = "Error", at: str = "2026-01-01T12:00:00Z") -> Json:
    """The status of a container that has ended."""
    state = {"exitCode": code, "reason": reason, "message": log, "finishedAt": at}
    return {"name": name, "state": {"terminated": state}}


def disrupted(reason: str, message: str = "") -> Json:
    """The condition by which Kubernetes says that a pod was taken away."""
    return {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}


def training_life(**spec: Json) -> Life:
    """It trains, in its first attempt."""
    life = Life(**spec)
    life.run()
    life.start()
    life.run()
    assert life.status["phase"] == "Running"
    return life


def ended_life(**spec: Json) -> Life:
    """Its Job is complete, and nothing was made of that yet."""
    life = training_life(**spec)
    life.completes()
    return life
