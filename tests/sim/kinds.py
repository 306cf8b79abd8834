"""What the API server does for one kind only: defaults, what cannot be changed, and what is watched."""

from collections.abc import Mapping
from typing import Any, Final

from serinus.api.modeldeployment import ModelDeployment
from serinus.api.names import MANAGER, Label
from serinus.api.trainingjob import TrainingJob
from serinus.objects import DEPLOYMENT, JOB, POD, PVC, SECRET, SERVICE, Manifest, ObjectKind, kind_of, labels
from tests.sim.fields import Json, get, merged

TRAINING_JOB: Final = kind_of(TrainingJob)
MODEL_DEPLOYMENT: Final = kind_of(ModelDeployment)
OURS: Final = (TRAINING_JOB, MODEL_DEPLOYMENT)
CHILDREN: Final = (DEPLOYMENT, JOB, PVC, SERVICE)
KINDS: Final = {kind.kind: kind for kind in (*OURS, *CHILDREN, POD, SECRET)}

# A Service has no generation.
WITHOUT_GENERATION: Final = (SERVICE, POD, PVC, SECRET)

# What `kubectl apply` of the same thing can do to a Job; everything else in its spec stays as it was made.
_JOB_MUTABLE: Final = {
    "suspend",
    "parallelism",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
}


def defaulted(kind: ObjectKind, manifest: Mapping[str, Any], uid: str) -> dict[str, Json]:
    """A new object with what the API server adds to its spec."""
    spec: dict[str, Json] = {}
    match kind.kind:
        case "Deployment":
            spec = {"replicas": 1, "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10}
        case "Job":
            spec = {"backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False}
            spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        case "Service":
            spec = {"clusterIP": f"10.0.0.{sum(uid.encode()) % 256}", "type": "ClusterIP", "sessionAffinity": "None"}
    return merged({"spec": spec}, manifest) if spec else dict(manifest)


def immutable(kind: ObjectKind, before: Manifest, after: Manifest) -> str:
    """The field that was changed although it cannot be, or nothing."""
    if kind == DEPLOYMENT and get(before, "spec", "selector") != get(after, "spec", "selector"):
        return "spec.selector"
    if kind == JOB:
        names = {*before.get("spec", {}), *after.get("spec", {})} - _JOB_MUTABLE
        changed = sorted(name for name in names if get(before, "spec", name) != get(after, "spec", name))
        return f"spec.{changed[0]}" if changed else ""
    if kind == PVC and get(before, "spec") != get(after, "spec"):
        return "spec"
    return ""


def lingers(kind: ObjectKind, manifest: Manifest) -> bool:
    """Whether a deleted object stays until somebody lets it go: by a finalizer, or as long as its containers run.

    A pod of a Job has the Job controller's finalizer until it is counted, a claim that of who protects it from being
    taken from a pod. Pods of Deployments end at once here: nobody waits for them.
    """
    return kind == PVC or (kind == POD and is_of_job(manifest))


def is_of_job(pod: Manifest) -> bool:
    """Whether a pod was made by the Job controller."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(owner["kind"] == JOB.kind for owner in owners)


def watched(kind: ObjectKind, manifest: Manifest | None) -> bool:
    """Whether the operator's watch of this kind shows the object; of children it asks for those with our label."""
    if manifest is None:
        return False
    return kind in OURS or labels(manifest).get(Label.MANAGED_BY) == MANAGER
