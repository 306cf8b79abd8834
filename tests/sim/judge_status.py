"""Invariants of status, checked with every status that the operator writes."""

import json
from typing import Any, Final

from pydantic import ValidationError

from serinus import objects
from serinus.api.conditions import MODEL_DEPLOYMENT, TRAINING_JOB, Reasons
from serinus.api.modeldeployment_status import ModelDeploymentStatus
from serinus.api.trainingjob_status import TrainingJobStatus
from serinus.objects import Manifest, Ref
from tests.sim.fields import Json, get
from tests.sim.judge_training import TrainingJudge
from tests.sim.mlflow import Mlflow
from tests.sim.stage import Stage

# What users have in their specs, and nobody shall read in a status.
PASSWORD: Final = "hunter2"  # noqa: S105 (it opens nothing)
REASONS: Final[dict[str, Reasons]] = {"TrainingJob": TRAINING_JOB, "ModelDeployment": MODEL_DEPLOYMENT}
MODELS: Final[dict[str, type[TrainingJobStatus | ModelDeploymentStatus]]] = {
    "TrainingJob": TrainingJobStatus,
    "ModelDeployment": ModelDeploymentStatus,
}
LIST_LENGTH: Final = 32


class StatusJudge:
    """Knows what was written before."""

    def __init__(self, stage: Stage, mlflow: Mlflow, training: TrainingJudge) -> None:
        self._stage = stage
        self._mlflow = mlflow
        self._training = training
        self._fail = stage.story.fail
        self._observed: dict[str, int] = {}
        self._revisions: dict[tuple[str, int], str] = {}

    def check(self, ref: Ref, before: Manifest, after: Manifest) -> None:
        """One write of a status."""
        status = after.get("status") or {}
        for wrong in (
            self._shape(ref, status),
            self._generation(before, after, status),
            self._conditions(ref, get(before, "status", "conditions") or (), status.get("conditions") or ()),
            self._truth(ref, after, status),
            self._training.told(before, after) if ref.kind.kind == "TrainingJob" else "",
        ):
            if wrong:
                self._fail(f"status of {ref}: {wrong}")

    def _shape(self, ref: Ref, status: Json) -> str:
        text = json.dumps(status)
        if PASSWORD in text:
            return "it tells a secret"
        if any(isinstance(value, list) and len(value) > LIST_LENGTH for value in status.values()):
            return "a list grows without limit"
        try:
            MODELS[ref.kind.kind].model_validate(status)
        except ValidationError as error:
            return f"the API server would refuse it: {error}"
        return ""

    def _generation(self, before: Manifest, after: Manifest, status: Json) -> str:
        uid, observed = objects.uid(after), status.get("observedGeneration", -1)
        # Less than was written there is only where somebody has lost it.
        last = min(self._observed.get(uid, -1), get(before, "status", "observedGeneration") or -1)
        self._observed[uid] = max(observed, last)
        if observed < last:
            return f"observedGeneration goes back from {last} to {observed}"
        if observed > after["metadata"]["generation"]:
            return f"observedGeneration {observed} is ahead of the generation {after['metadata']['generation']}"
        # A resource that is refused as a whole says so, and nothing else: it goes on with what was there.
        stalled = any(one["type"] == "Stalled" for one in status.get("conditions") or ())
        revision = "" if stalled else status.get("revision", "")
        known = self._revisions.setdefault((uid, observed), revision) if revision else ""
        if known != revision:
            return f"generation {observed} was revision {known}, and now it is {revision}"
        return ""

    def _conditions(self, ref: Ref, before: Any, after: Any) -> str:  # noqa: ANN401 (any JSON)
        old = {one["type"]: one for one in before}
        holds = {one["type"] for one in after if one["status"] == "True"}
        there = {one["type"] for one in after}
        if {"Reconciling", "Stalled"} <= there:
            return "Reconciling and Stalled are both there"
        if not {"Reconciling", "Stalled"} & there <= holds:
            return "Reconciling or Stalled is there, and not True"
        if holds >= {"Ready", "Stalled"} or holds >= {"Complete", "Failed"}:
            return f"these cannot all be: {sorted(holds)}"
        for one in after:
            allowed = {str(reason) for reason in REASONS[ref.kind.kind].get(one["type"], ())}
            if one["reason"] not in allowed:
                return f"{one['type']} has the reason {one['reason']!r}, which is not in its list"
            was = old.get(one["type"])
            if was and was["status"] == one["status"] and was["lastTransitionTime"] != one["lastTransitionTime"]:
                return f"lastTransitionTime of {one['type']} moved though it stayed {one['status']}"
        return ""

    def _truth(self, ref: Ref, after: Manifest, status: Json) -> str:
        """Success is reported only when it is true."""
        if ref.kind.kind != "TrainingJob" or status.get("phase") != "Succeeded":
            return ""
        run_id = get(status, "run", "id") or ""
        run = self._mlflow.runs.get(run_id)
        if run is None:
            return f"it calls a success what has no run: {run_id!r}"
        if run_id not in self._mlflow.once_finished:
            return f"it calls a success what the registry calls {run.status}: {run_id}"
        if run.tags.get("serinus.uid") != objects.uid(after):
            return f"{run_id} is the run of another resource"
        return ""
