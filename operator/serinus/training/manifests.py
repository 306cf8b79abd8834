"""What a TrainingJob makes: a Job for each attempt, and what the attempts of a revision share."""

import json
from dataclasses import dataclass
from typing import Any, Final

from serinus import pods
from serinus.api import names
from serinus.api.names import Label
from serinus.api.trainingjob import TrainingJob
from serinus.asks import Run
from serinus.objects import JOB, PVC, SERVICE, Manifest
from serinus.plan import Apply, Defaults

QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
# The attempt of the run that has the runs of the attempts below it.
PARENT: Final = 0
PARENT_TAG: Final = "mlflow.parentRunId"
# Of a worker's host name, behind the name of the Job: -0 to -999.
_INDEX: Final = 4


@dataclass(frozen=True)
class Attempt:
    """One attempt of a revision, with what was resolved for it."""

    revision: str
    number: int
    run: Run
    image: str
    tracking_uri: str
    helper_image: str = ""
    commit: str = ""


def labels(job: TrainingJob, revision: str) -> dict[str, str]:
    """By which the children of a revision are found, and a lost status is rebuilt."""
    return {Label.TRAINING_JOB: job.metadata.name, Label.REVISION: revision}


def job_name(job: TrainingJob, revision: str, attempt: int) -> str:
    """The name of the Job of an attempt. With several workers it leaves room for their numbers."""
    return pods.child_name(job.metadata.name, revision, attempt, room=_INDEX if job.spec.workers > 1 else 0)


def shared_name(job: TrainingJob, revision: str) -> str:
    """The name of what the attempts of a revision share."""
    return pods.child_name(job.metadata.name, revision)


def children(job: TrainingJob, attempt: Attempt, template: Manifest) -> tuple[Apply, ...]:
    """What an attempt needs, in the order in which it is made."""
    shared = []
    if job.spec.checkpoints is not None:
        shared.append(Apply(PVC, _claim(job, attempt.revision), once=True))
    if job.spec.workers > 1:
        shared.append(Apply(SERVICE, _service(job, attempt.revision)))
    return (*shared, Apply(JOB, _job(job, attempt, template), once=True))


def _job(job: TrainingJob, attempt: Attempt, template: Manifest) -> Manifest:
    """One attempt: a pod that fails ends it, and is not replaced.

    The deadline is not in it: it is of all attempts together, and may be changed while one of them runs.
    """
    told = {**labels(job, attempt.revision), Label.ATTEMPT: str(attempt.number)}
    spec: dict[str, Any] = {
        "backoffLimit": 0,
        "completions": job.spec.workers,
        "parallelism": job.spec.workers,
        "podReplacementPolicy": "Failed",
        "template": pods.template(template, told, job.spec.pod_template, _annotations(job)),
    }
    if job.spec.workers > 1:
        spec["completionMode"] = "Indexed"
    if job.spec.queue:
        spec["suspend"] = True
        told = {**told, QUEUE_LABEL: job.spec.queue}
    return pods.child(JOB, job, job_name(job, attempt.revision, attempt.number), told, spec)


def _annotations(job: TrainingJob) -> dict[str, str]:
    """The parameters, which the container finds as a file."""
    return {names.Annotation.PARAMETERS: json.dumps(dict(job.spec.parameters), sort_keys=True)}


def _service(job: TrainingJob, revision: str) -> Manifest:
    """By which the workers of an attempt find each other, from before they are ready."""
    told = labels(job, revision)
    spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": told}
    return pods.child(SERVICE, job, shared_name(job, revision), told, spec)


def _claim(job: TrainingJob, revision: str) -> Manifest:
    """The volume for checkpoints. Workers are on several nodes, so they need one that can be there at once."""
    wanted = job.spec.checkpoints
    mode = "ReadWriteMany" if job.spec.workers > 1 else "ReadWriteOnce"
    spec: dict[str, Any] = {
        "accessModes": [mode],
        "resources": {"requests": {"storage": wanted.size if wanted else ""}},
    }
    if wanted is not None and wanted.storage_class:
        spec["storageClassName"] = wanted.storage_class
    return pods.child(PVC, job, shared_name(job, revision), labels(job, revision), spec)


def image_of(job: TrainingJob, defaults: Defaults) -> str:
    """The image of a new revision."""
    return job.spec.image or defaults.trainer_image


def tags(job: TrainingJob, revision: str, attempt: int, cluster: str) -> dict[str, str]:
    """The tags of a run, by which it is found again."""
    ours = {
        "uid": job.metadata.uid,
        "revision": revision,
        "attempt": str(attempt),
        "resource": f"{job.metadata.namespace}/{job.metadata.name}",
        "cluster": cluster,
    }
    return {**job.spec.tracking.tags, **{names.TAG_PREFIX + key: value for key, value in ours.items() if value}}
