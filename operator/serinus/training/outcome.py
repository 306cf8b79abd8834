"""What becomes of training that has ended: the run is closed, judged by the gate, and registered.

Each verdict is written into status before anything rests on it, so that it is reached once for a revision.
"""

from collections.abc import Mapping

from serinus.api import names
from serinus.api.conditions import ConditionType, Reason
from serinus.api.trainingjob import Register
from serinus.api.trainingjob_status import Attempt, GateResult, Registered, ResolvedRun
from serinus.api.trainingjob_status import Run as RunStatus
from serinus.asks import (
    Absent,
    Answer,
    EnsureVersion,
    FindModel,
    FindVersions,
    Known,
    LoggedModel,
    ModelDetails,
    ModelVersion,
    ReadModel,
    ReadRun,
    ResolveVersion,
    Run,
    SetAlias,
    TagRun,
    TagVersion,
    Trouble,
    TroubleKind,
    pairs,
)
from serinus.plan import Plan
from serinus.progress import Said, progressing, settled, stalled, updated
from serinus.training import capsule, closing, ends, gate, manifests
from serinus.training.gate import Rival
from serinus.training.step import Step


def plan(step: Step, run: RunStatus, attempt: Attempt, found: Mapping[str, object]) -> Plan:
    """What is next for training that is complete; `found` is what status does not say yet."""
    return _Outcome(step, run, attempt, found).plan()


class _Outcome:
    """A revision of which an attempt is complete."""

    def __init__(self, step: Step, run: RunStatus, attempt: Attempt, found: Mapping[str, object]) -> None:
        self.step = step
        self.spec = step.job.spec
        pods, now = step.pods_of(attempt.number), step.facts.now
        known = found.get("resolved") or step.status.resolved
        before = known if isinstance(known, ResolvedRun) else ResolvedRun()
        self.resolved = capsule.observed(step.job, pods, before)
        self.attempt = updated(
            attempt,
            started_at=attempt.started_at or now,
            finished_at=attempt.finished_at or now,
            reason=Reason.COMPLETED,
            counted=False,
            message=ends.COMPLETE.message,
            node=attempt.node or capsule.node_of(pods),
        )
        self.whole = run
        # What the attempt logged to, and what a version is made from.
        self.run = Run(attempt.run_id or run.id, run.experiment_id, "FINISHED")
        self.changes: dict[str, object] = {
            **found,
            "run": run,
            "attempts": step.attempts_with(self.attempt),
            "resolved": self.resolved,
            "started_at": step.status.started_at or now,
        }
        self.trained = Said(ConditionType.TRAINED, "True", Reason.COMPLETED, ends.COMPLETE.message)

    def plan(self) -> Plan:
        """The run is closed with its true end first, and the one above it."""
        close = closing.orders(self.step, self.attempt, self.resolved, "FINISHED")
        above = closing.parent_order(self.step, self.whole, self.attempt, "FINISHED", Reason.SUCCEEDED)
        closed: Run | Absent = self.run
        for order in (*close, *above):
            answer = self.step.ask(order)
            if not isinstance(answer, Known):
                return self._evaluating(answer, "closing the run in MLflow")
            closed = answer.value if order == close[-1] else closed
        return self._closed(closed)

    def _closed(self, run: Run | Absent) -> Plan:
        """What is left to do with the run, which holds all that was ever logged to it."""
        gone = isinstance(run, Absent)
        if not self.spec.gate and self.spec.registration is None:
            return self._succeeded(f"{ends.COMPLETE.message}{'; its run is gone from MLflow' if gone else ''}")
        if isinstance(run, Absent):
            words = f"run {self.run.id} is gone from MLflow: nothing is left to judge or register"
            return self._without_artifact(words)
        return self._judged(run)

    def _judged(self, run: Run) -> Plan:
        """The gate comes first, once; what it let through is registered."""
        verdict = self.step.status.gate
        if verdict is not None and verdict.verdict == "Rejected":
            # It was written down while MLflow was away.
            return self._conclude(verdict)
        if self.spec.registration is None or (self.spec.gate and self.step.status.gate is None):
            return self._judge(run)
        return self._register(self.spec.registration)

    def _judge(self, run: Run) -> Plan:
        register = self.spec.registration
        if register is not None and (earlier := self._earlier(register)) is not None:
            return earlier
        model = self._model(register) if register is not None else None
        if register is not None and not isinstance(model, Known):
            return self._evaluating(model)
        rivals = self._rivals(register) if register is not None else {}
        if isinstance(rivals, Plan):
            return rivals
        logged = model.value.metrics if isinstance(model, Known) and isinstance(model.value, LoggedModel) else {}
        return self._conclude(gate.judge(self.spec.gate, {**logged, **run.metrics}, rivals))

    def _earlier(self, register: Register) -> Plan | None:
        """A version that was registered from this revision has passed, whatever the alias points at by now."""
        if all(check.versus is None for check in self.spec.gate):
            # It would pass again.
            return None
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
            told = pairs({f"{names.TAG_PREFIX}gate": verdict.summary[: capsule.LENGTH]})
            tagged = self.step.ask(TagRun(server=self.step.server, run_id=self.run.id, tags=told))
            if not isinstance(tagged, Known):
                return self._evaluating(tagged, "writing the verdict to the run")
            complete = Said(ConditionType.COMPLETE, "True", Reason.GATE_REJECTED, verdict.summary)
            return self._finish("Rejected", (*stalled(Reason.GATE_REJECTED, verdict.summary), complete, said))
        if self.spec.registration is None:
            return self._succeeded(verdict.summary, said)
        words = (*progressing(Reason.REGISTERING, verdict.summary), said, self.trained, self.step.reachable())
        return self.step.say("Registering", words, changes=self.changes)

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
        if (waiting := self._with_libraries(register.model, version, made.value.source)) is not None:
            return waiting
        if register.alias:
            order = SetAlias(server=self.step.server, model=register.model, alias=register.alias, version=version)
            set_ = self.step.ask(order)
            if not isinstance(set_, Known):
                return self._registering(set_)
        return self._registered(register, version)

    def _with_libraries(self, model: str, version: str, source: str) -> Plan | None:
        """What the model was made with, as tags of the version. Where its files cannot be read it is left out."""
        read = self.step.ask(ReadModel(server=self.step.server, model=model, version=version, source=source))
        if isinstance(read, Trouble) and read.kind == TroubleKind.REFUSED:
            return None
        if not isinstance(read, Known):
            return self._registering(read)
        if not isinstance(read.value, ModelDetails):
            return None
        told = pairs(capsule.library_tags(read.value))
        tagged = self.step.ask(TagVersion(server=self.step.server, model=model, version=version, tags=told))
        return None if isinstance(tagged, Known) else self._registering(tagged)

    def _registered(self, register: Register, version: str) -> Plan:
        alias = f", alias {register.alias}" if register.alias else ""
        message = f"version {version} of {register.model} is registered{alias}"
        self.changes["registered"] = Registered(
            model=register.model, version=version, alias=register.alias, registered_at=self.step.facts.now
        )
        said = Said(ConditionType.REGISTERED, "True", Reason.VERSION_REGISTERED, message)
        return self._succeeded(message, said)

    def _version(self, register: Register, model: LoggedModel) -> EnsureVersion:
        job, status = self.step.job, self.step.status
        ours = manifests.tags(job, self.step.revision, self.attempt.number, self.step.defaults.cluster)
        made = {**capsule.tags(job, self.resolved, self.attempt), **capsule.version_tags(job, status)}
        return EnsureVersion(
            server=self.step.server,
            model=register.model,
            key=self._key,
            source=model.source,
            run_id=self.run.id,
            model_id=model.model_id,
            description=register.description,
            tags=pairs({**ours, **made, **register.tags}),
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
        valid = self.step.data_valid(self.resolved)
        return self.step.finish(phase, (*said, *valid, self.trained, self.step.reachable()), self.changes)

    def _evaluating(self, answer: object, message: str = "reading what the run logged") -> Plan:
        return self.step.wait(answer, Reason.EVALUATING, message, phase="Evaluating", changes=self.changes)

    def _registering(self, answer: object) -> Plan:
        return self.step.wait(
            answer, Reason.REGISTERING, "registering a version", phase="Registering", changes=self.changes
        )

    @property
    def _key(self) -> str:
        return f"{self.step.job.metadata.uid}.{self.step.revision}"

    @property
    def _since(self) -> str:
        """What was read before the end is asked anew."""
        return f"end of {self.run.id}"
