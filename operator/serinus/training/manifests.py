"""What a TrainingJob makes: a Job for each attempt."""

import re
from dataclasses import dataclass
from typing import Any

from serinus import pods
from serinus.api import names
from serinus.api.names import Environment, Label
from serinus.api.training_inputs import variable
from serinus.api.trainingjob import ATTEMPT_REFERENCE, REFERENCE, RUN_REFERENCE, TrainingJob
from serinus.asks import Run
from serinus.objects import JOB, Manifest
from serinus.plan import Defaults

CONTAINER = "main"


@dataclass(frozen=True)
class Attempt:
    """One attempt of a revision, with what was resolved for it."""

    revision: str
    number: int
    run: Run
    image: str
    tracking_uri: str


def labels(job: TrainingJob, attempt: Attempt) -> dict[str, str]:
    """By which the children of an attempt are found, and a lost status is rebuilt."""
    return {
        Label.TRAINING_JOB: job.metadata.name,
        Label.REVISION: attempt.revision,
        Label.ATTEMPT: str(attempt.number),
    }


def job_name(job: TrainingJob, revision: str, attempt: int) -> str:
    """The name of the Job of an attempt."""
    return pods.child_name(job.metadata.name, revision, attempt)


def manifest(job: TrainingJob, attempt: Attempt) -> Manifest:
    """The Job of an attempt."""
    told = labels(job, attempt)
    spec: dict[str, Any] = {
        "backoffLimit": job.spec.backoff_limit,
        "completions": 1,
        "parallelism": 1,
        "template": pods.template(_pod(job, attempt), told, job.spec.pod_template),
    }
    if job.spec.active_deadline_seconds is not None:
        spec["activeDeadlineSeconds"] = job.spec.active_deadline_seconds
    return pods.child(JOB, job, job_name(job, attempt.revision, attempt.number), told, spec)


def image_of(job: TrainingJob, defaults: Defaults) -> str:
    """The image of a new revision."""
    return job.spec.image or defaults.trainer_image


def _pod(job: TrainingJob, attempt: Attempt) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": attempt.image,
        "securityContext": pods.CONTAINER_SECURITY,
        **pods.env(job.spec.env, job.spec.env_from),
    }
    container["env"] = pods.merged(_variables(job, attempt), container.get("env", []))
    for field, texts in (("command", job.spec.command), ("args", job.spec.args)):
        if texts:
            container[field] = [substituted(one, job, attempt) for one in texts]
    if resources := job.spec.resources.wire():
        container["resources"] = resources
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pods.pod_security(is_our_image=not job.spec.image),
        "containers": [container],
    }


def _variables(job: TrainingJob, attempt: Attempt) -> list[dict[str, str]]:
    ours = {
        Environment.TRACKING_URI: attempt.tracking_uri,
        Environment.EXPERIMENT_ID: attempt.run.experiment_id,
        Environment.RUN_ID: attempt.run.id,
    }
    parameters = job.spec.parameters.items()
    given = {f"{Environment.PARAMETER_PREFIX}{variable(name)}": literal(text(value)) for name, value in parameters}
    return [{"name": name, "value": value} for name, value in sorted({**given, **ours}.items())]


def text(value: object) -> str:
    """A parameter as text: as JSON writes it where that is shorter than Python's word for it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def literal(value: str) -> str:
    """The value as the kubelet has to be told it, who reads $(NAME) and $$ in arguments and variables."""
    return value.replace("$", "$$")


def substituted(argument: str, job: TrainingJob, attempt: Attempt) -> str:
    """An argument with our references replaced; `$$(` stays for the kubelet to read as `$(`."""
    known = {f"$(params.{name})": literal(text(value)) for name, value in job.spec.parameters.items()}
    known |= {RUN_REFERENCE: attempt.run.id, ATTEMPT_REFERENCE: str(attempt.number)}
    pattern = rf"[$][$]|{REFERENCE}|[$][(]attempt[)]"
    return re.sub(pattern, lambda found: known.get(found[0], found[0]), argument)


def tags(job: TrainingJob, revision: str, attempt: int) -> dict[str, str]:
    """The tags of a run, by which it is found again."""
    ours = {
        "uid": job.metadata.uid,
        "revision": revision,
        "attempt": str(attempt),
        "resource": f"{job.metadata.namespace}/{job.metadata.name}",
    }
    return {**job.spec.tracking.tags, **{names.TAG_PREFIX + key: value for key, value in ours.items()}}
