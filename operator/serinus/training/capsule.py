"""The capsule: all that is needed to know what made a model, as tags of its run and of its version."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from serinus import __version__
from serinus.api import names
from serinus.api.trainingjob import TrainingJob
from serinus.api.trainingjob_status import Attempt, ResolvedRun, TrainingJobStatus
from serinus.asks import Dataset, ModelDetails
from serinus.objects import Manifest
from serinus.progress import updated
from serinus.training import fetched

# Of what MLflow takes as the value of a tag.
LENGTH: Final = 5000
CONTAINER: Final = "main"


def observed(job: TrainingJob, pods: Sequence[Manifest], before: ResolvedRun) -> ResolvedRun:
    """What the pods say of the image, the code and the data, beside what was known."""
    found: dict[str, object] = {}
    for pod in pods:
        if digest := _image_digest(pod):
            found["image_digest"] = digest
        if (of_pod := fetched.of_pod(job, pod)) is not None:
            found |= {"commit": of_pod.commit or before.commit, "inputs": of_pod.inputs or before.inputs}
    return updated(before, **found) if found else before


def node_of(pods: Sequence[Manifest]) -> str:
    """The node of the first pod that has one."""
    nodes = (str(pod.get("spec", {}).get("nodeName") or "") for pod in pods)
    return next((node for node in nodes if node), "")


def tags(job: TrainingJob, resolved: ResolvedRun, attempt: Attempt) -> Mapping[str, str]:
    """What made it: image, code, data, resources, place and operator. What is not known is left out."""
    found = {
        "image": resolved.image,
        "imageDigest": resolved.image_digest,
        "source": _source(job),
        "commit": resolved.commit,
        "resources": _json(job.spec.resources.wire()),
        "workers": str(job.spec.workers) if job.spec.workers > 1 else "",
        "node": attempt.node,
        "operator": __version__,
    }
    found |= {f"input.{one.name}": one.sha256 for one in resolved.inputs}
    return {names.TAG_PREFIX + key: value[:LENGTH] for key, value in found.items() if value}


def version_tags(job: TrainingJob, status: TrainingJobStatus) -> Mapping[str, str]:
    """What a version has beside the tags of its run: the parameters, and how it was judged."""
    parameters = _json(dict(job.spec.parameters))
    found = {"parameters": parameters, "gate": status.gate.summary if status.gate else ""}
    return {names.TAG_PREFIX + key: value[:LENGTH] for key, value in found.items() if value}


def library_tags(details: ModelDetails) -> Mapping[str, str]:
    """What the model was made with, as its own files say."""
    known = ([f"python=={details.python}"] if details.python else []) + sorted(details.requirements)
    return {f"{names.TAG_PREFIX}libraries": " ".join(known)[:LENGTH]} if known else {}


def datasets(job: TrainingJob, resolved: ResolvedRun) -> tuple[Dataset, ...]:
    """The inputs, as MLflow knows datasets."""
    addresses = {one.name: one.uri for one in job.spec.inputs}
    found = (one for one in resolved.inputs if one.name in addresses and one.sha256)
    return tuple(Dataset(one.name, addresses[one.name], one.sha256, one.rows) for one in found)


def _source(job: TrainingJob) -> str:
    source = job.spec.source
    if source is None:
        return ""
    if source.git is not None:
        folder = f"#{source.git.path}" if source.git.path else ""
        return f"{source.git.url}{folder}"
    return f"configmap://{source.config_map.name}" if source.config_map is not None else ""


def _image_digest(pod: Manifest) -> str:
    every = pod.get("status", {}).get("containerStatuses") or ()
    found = next((str(one.get("imageID") or "") for one in every if one["name"] == CONTAINER), "")
    return found.rpartition("@")[2]


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, sort_keys=True) if value else ""
