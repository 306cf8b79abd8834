"""What becomes of training that has ended: the run is closed, judged by the gate, and registered.

Each verdict is written into status before anything rests on it, so that it is reached once for a revision.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Literal

from serinus.api import names
from serinus.api.conditions import ConditionType, Reason
from serinus.api.trainingjob import Register
from serinus.api.trainingjob_status import GateResult, Registered
from serinus.api.trainingjob_status import Run as RunStatus
from serinus.asks import (
    Absent,
    Answer,
    EndRun,
    EnsureVersion,
    FindModel,
    FindVersions,
    Known,
    LoggedModel,
    ModelVersion,
    ReadRun,
    ResolveVersion,
    Run,
    SetAlias,
    pairs,
)
from serinus.objects import JOB
from serinus.plan import Plan
from serinus.progress import Said, progressing, settled, stalled
from serinus.training import ends, gate, manifests
from serinus.training.ends import End
from serinus.training.gate import Rival
from serinus.training.step import Step


def plan(step: Step, run: Run, end: End, found: Mapping[str, object]) -> Plan:
    """What is next for training that has ended this way; `found` is what status does not say yet."""
    return _Outcome(step, run, end, found).plan()


class _Outcome:
    """One run that has ended."""

    def __init__(self, step: Step, run: Run, end: End, found: Mapping[str, object]) -> None:
        self.step = step
        self.run = run
        self.end = end
        self.spec = step.job.spec
        self.changes: dict[str, object] = {"run": RunStatus(id=run.id, experiment_id=run.experiment_id), **found}
        self.trained = Said(ConditionType.TRAINED, "True" if end.ok else "False", end.reason, end.message)

    def plan(self) -> Plan:
        """The run is closed with its true end first."""
        status: Literal["FINISHED", "FAILED"] = "FINISHED" if self.end.ok else "FAILED"
        tags = pairs({ends.REASON_TAG: self.end.reason})
        closed = self.step.ask(EndRun(server=self.step.server, run_id=self.run.id, end=status, tags=tags))
        if not isinstance(closed, Known):
            return self.step.wait(closed, Reason.EVALUATING, "closing the run in MLflow", phase="Evaluating")
        if not self.end.ok:
            failed = Said(ConditionType.FAILED, "True", self.end.reason, self.end.message)
            return self._finish("Failed", (*stalled(self.end.reason, self.end.message), failed))
        if not self.spec.gate and self.spec.registration is None:
            gone = "; its run is gone from MLflow" if isinstance(closed.value, Absent) else ""
            return self._succeeded(f"{self.end.message}{gone}")
        if isinstance(closed.value, Absent):
            return self._without_artifact(
                f"run {self.run.id} is gone from MLflow: nothing is left to judge or register"
            )
        return self._judged()

    def _judged(self) -> Plan:
        """The gate comes first, once; what it let through is registered."""
        if self.spec.registration is None or (self.spec.gate and self.step.status.gate is None):
            return self._judge()
        return self._register(self.spec.registration)

    def _judge(self) -> Plan:
        register = self.spec.registration
        if register is not None and (earlier := self._earlier(register)) is not None:
            return earlier
        read = self.step.ask(ReadRun(server=self.step.server, run_id=self.run.id, since=self._since))
        if not isinstance(read, Known):
            return self._evaluating(read)
        if isinstance(read.value, Absent):
            return self._without_artifact(f"{read.value.what} is gone from MLflow: nothing is left to judge")
        model = self._model(register) if register is not None else None
        if register is not None and not isinstance(model, Known):
            return self._evaluating(model)
        rivals = self._rivals(register) if register is not None else {}
        if isinstance(rivals, Plan):
            return rivals
        logged = model.value.metrics if isinstance(model, Known) and isinstance(model.value, LoggedModel) else {}
        return self._conclude(gate.judge(self.spec.gate, {**logged, **read.value.metrics}, rivals))

    def _earlier(self, register: Register) -> Plan | None:
        """A version that was registered from this revision has passed, whatever the alias points at by now."""
        ask = FindVersions(server=self.step.server, model=register.model, tag=names.KEY_TAG, value=self._key)
        found = self.step.ask(ask)
        if not isinstance(found, Known):
            return self._evaluating(found)
        if not found.value:
            return None
        summary = f"version {found.value[0].version} was registered from this revision before"
        return self._conclude(GateResult(verdict="Passed", summary=summary))

    def _rivals(self, register: Register) -> dict[str, Rival | None] | Plan:
        """The versions to compare with, as they are at this moment."""
        rivals: dict[str, Rival | None] = {}
        for alias in sorted({check.versus.alias for check in self.spec.gate if check.versus is not None}):
            version = self.step.ask(ResolveVersion(server=self.step.server, model=register.model, alias=alias))
            if not isinstance(version, Known):
                return self._evaluating(version)
            rivals[alias] = None
            if isinstance(version.value, ModelVersion):
                read = self.step.ask(ReadRun(server=self.step.server, run_id=version.value.run_id, since=self._since))
                if not isinstance(read, Known):
                    return self._evaluating(read)
                metrics = read.value.metrics if isinstance(read.value, Run) else {}
                rivals[alias] = Rival(version.value.version, metrics)
        return rivals

    def _conclude(self, verdict: GateResult) -> Plan:
        """The verdict is written down; before anything is registered because of it, in a status of its own."""
        passed = verdict.verdict == "Passed"
        said = Said(ConditionType.GATE_PASSED, "True" if passed else "False", gate.reason(verdict), verdict.summary)
        self.changes["gate"] = verdict
        if not passed:
            complete = Said(ConditionType.COMPLETE, "True", Reason.GATE_REJECTED, verdict.summary)
            return self._finish("Rejected", (*stalled(Reason.GATE_REJECTED, verdict.summary), complete, said))
        if self.spec.registration is None:
            return self._succeeded(verdict.summary, said)
        told = (*progressing(Reason.REGISTERING, verdict.summary), said, self.trained, self.step.reachable())
        return self.step.say("Registering", told, changes=self.changes)

    def _register(self, register: Register) -> Plan:
        """One version for the revision, then its alias, and only then success is told."""
        model = self._model(register)
        if not isinstance(model, Known):
            return self._registering(model)
        if isinstance(model.value, Absent):
            return self._without_artifact(f"{model.value.what}: register.artifact names what is to be registered")
        made = self.step.ask(self._version(register, model.value))
        if not isinstance(made, Known):
            return self._registering(made)
        version = made.value.version
        if register.alias:
            order = SetAlias(server=self.step.server, model=register.model, alias=register.alias, version=version)
            set_ = self.step.ask(order)
            if not isinstance(set_, Known):
                return self._registering(set_)
        return self._registered(register, version)

    def _registered(self, register: Register, version: str) -> Plan:
        alias = f", alias {register.alias}" if register.alias else ""
        message = f"version {version} of {register.model} is registered{alias}"
        self.changes["registered"] = Registered(
            model=register.model, version=version, alias=register.alias, registered_at=self.step.facts.now
        )
        said = Said(ConditionType.REGISTERED, "True", Reason.VERSION_REGISTERED, message)
        return self._succeeded(message, said)

    def _version(self, register: Register, model: LoggedModel) -> EnsureVersion:
        job, attempt = self.step.job, self.step.status.attempt or 1
        ours = manifests.tags(job, self.step.revision, attempt)
        return EnsureVersion(
            server=self.step.server,
            model=register.model,
            key=self._key,
            source=model.source,
            run_id=self.run.id,
            model_id=model.model_id,
            description=register.description,
            tags=pairs({**ours, **register.tags, f"{names.TAG_PREFIX}image": self.step.image}),
        )

    def _model(self, register: Register) -> Answer[LoggedModel | Absent] | None:
        return self.step.ask(
            FindModel(
                server=self.step.server,
                experiment_id=self.run.experiment_id,
                run_id=self.run.id,
                artifact=register.artifact,
                since=self._since,
            )
        )

    def _succeeded(self, message: str, *more: Said) -> Plan:
        complete = Said(ConditionType.COMPLETE, "True", Reason.SUCCEEDED, message)
        return self._finish("Succeeded", (*settled(Reason.SUCCEEDED, message), complete, *self._gate(), *more))

    def _gate(self) -> tuple[Said, ...]:
        if self.spec.gate or self.spec.registration is None:
            return ()
        return (Said(ConditionType.GATE_PASSED, "True", Reason.NO_CHECKS, "there is no check to pass"),)

    def _without_artifact(self, message: str) -> Plan:
        failed = Said(ConditionType.FAILED, "True", Reason.ARTIFACT_MISSING, message)
        return self._finish("Failed", (*stalled(Reason.ARTIFACT_MISSING, message), failed))

    def _finish(self, phase: str, said: tuple[Said, ...]) -> Plan:
        changes = {**self.changes, "finished_at": self.step.facts.now}
        done = self.step.say(phase, (*said, self.trained, self.step.reachable()), changes=changes)
        ttl = timedelta(seconds=self.spec.ttl_seconds_after_finished)
        return replace(done, requeue_after=ttl if self.step.facts.of(JOB) else None)

    def _evaluating(self, answer: object) -> Plan:
        return self.step.wait(answer, Reason.EVALUATING, "reading what the run logged", phase="Evaluating")

    def _registering(self, answer: object) -> Plan:
        return self.step.wait(answer, Reason.REGISTERING, "registering a version", phase="Registering")

    @property
    def _key(self) -> str:
        return f"{self.step.job.metadata.uid}.{self.step.revision}"

    @property
    def _since(self) -> str:
        """What was read before the end is asked anew."""
        return f"end of {self.run.id}"
