"""The pod of an attempt: the user's container, and before it ours, which fetches code and data."""

import json
import re
from typing import Any, Final

from serinus import pods
from serinus.api import names
from serinus.api.names import Environment
from serinus.api.training_inputs import Git, Input, variable
from serinus.api.trainingjob import ATTEMPT_REFERENCE, REFERENCE, RUN_REFERENCE, TrainingJob
from serinus.training import capsule, fetched, manifests
from serinus.training.manifests import Attempt

# Where the container that fetches finds and leaves things; where the user's finds them is the user's say.
_DATA: Final = "/serinus/data"
_CLAIMS: Final = "/serinus/claims"
_CONFIG_MAPS: Final = "/serinus/configmaps"
_SOURCE: Final = "/src"
_PORT: Final = 29500
_INDEX: Final = "metadata.annotations['batch.kubernetes.io/job-completion-index']"

type Json = dict[str, Any]


def spec(job: TrainingJob, attempt: Attempt) -> Json:
    """The pod, before the user's overrides."""
    made: Json = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": _security(job),
        "containers": [_main(job, attempt)],
        "volumes": _volumes(job, attempt),
    }
    if fetches(job):
        made["initContainers"] = [_fetcher(job, attempt)]
    if job.spec.workers > 1:
        made["subdomain"] = manifests.shared_name(job, attempt.revision)
    return made


def fetches(job: TrainingJob) -> bool:
    """Whether there is code or data to fetch. A ConfigMap with code needs nobody to fetch it."""
    return bool(job.spec.inputs) or _git(job) is not None


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


def _git(job: TrainingJob) -> Git | None:
    return job.spec.source.git if job.spec.source is not None else None


def _security(job: TrainingJob) -> Json:
    """Volumes belong to a group that the container is in, whoever it runs as."""
    group = {"fsGroup": pods.GROUP, "fsGroupChangePolicy": "OnRootMismatch"} if job.spec.checkpoints else {}
    return {**pods.pod_security(is_our_image=not job.spec.image), **group}


# --- the user's container


def _main(job: TrainingJob, attempt: Attempt) -> Json:
    container: Json = {
        "name": capsule.CONTAINER,
        "image": attempt.image,
        "securityContext": pods.CONTAINER_SECURITY,
        # The last lines of a container that failed are then in the pod's status, whoever asks and whenever.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": _mounts(job),
        **pods.env(job.spec.env, job.spec.env_from),
    }
    own = container.get("env", [])
    container["env"] = [*_less(_variables(job, attempt), own), *own]
    for field, texts in (("command", job.spec.command), ("args", job.spec.args)):
        if texts:
            container[field] = [substituted(one, job, attempt) for one in texts]
    if resources := job.spec.resources.wire():
        container["resources"] = resources
    return container


def _less(variables: list[Json], others: list[Json]) -> list[Json]:
    """Variables, less those that others set otherwise: a name may be there once."""
    taken = {one["name"] for one in others}
    return [one for one in variables if one["name"] not in taken]


def _variables(job: TrainingJob, attempt: Attempt) -> list[Json]:
    ours = {
        Environment.TRACKING_URI: attempt.tracking_uri,
        Environment.EXPERIMENT_ID: attempt.run.experiment_id,
        Environment.RUN_ID: attempt.run.id,
    }
    parameters = job.spec.parameters.items()
    given = {f"{Environment.PARAMETER_PREFIX}{variable(name)}": literal(text(value)) for name, value in parameters}
    plain = [{"name": name, "value": value} for name, value in sorted({**given, **ours}.items())]
    return [*plain, *_credentials(job), *_worker(job, attempt)]


def _credentials(job: TrainingJob) -> list[Json]:
    """What MLflow's client reads to log in, where the spec names a Secret: whatever of it is there."""
    secret = job.spec.tracking.credentials_secret
    wanted = (Environment.USERNAME, Environment.PASSWORD, Environment.TOKEN) if secret else ()
    return [_from_secret(name, secret, name, optional=True) for name in wanted]


def _worker(job: TrainingJob, attempt: Attempt) -> list[Json]:
    """Who the worker is among the others: what torchrun reads, and what code reads that runs without it."""
    if job.spec.workers == 1:
        return []
    service = manifests.shared_name(job, attempt.revision)
    first = f"{manifests.job_name(job, attempt.revision, attempt.number)}-0.{service}"
    index = {"valueFrom": {"fieldRef": {"fieldPath": _INDEX}}}
    workers, port = str(job.spec.workers), str(_PORT)
    return [
        {"name": "MASTER_ADDR", "value": first},
        {"name": "MASTER_PORT", "value": port},
        {"name": "WORLD_SIZE", "value": workers},
        {"name": "RANK", **index},
        {"name": "PET_MASTER_ADDR", "value": first},
        {"name": "PET_MASTER_PORT", "value": port},
        {"name": "PET_NNODES", "value": workers},
        {"name": "PET_NODE_RANK", **index},
    ]


def _mounts(job: TrainingJob) -> list[Json]:
    found: list[Json] = [{"name": "serinus", "mountPath": "/serinus", "readOnly": True}]
    source = job.spec.source
    if source is not None and source.git is not None:
        found.append({"name": "serinus-data", "mountPath": _SOURCE, "subPath": "src", "readOnly": True})
    if source is not None and source.config_map is not None:
        found.append({"name": "serinus-source", "mountPath": _SOURCE, "readOnly": True})
    found += [_mount(job, one) for one in job.spec.inputs]
    if job.spec.checkpoints is not None:
        found.append({"name": "serinus-checkpoints", "mountPath": "/checkpoints"})
    return found


def _mount(job: TrainingJob, one: Input) -> Json:
    """Where the user's container finds an input: what was fetched, or the very volume that it is on."""
    at = {"mountPath": one.mount_path, "readOnly": True}
    scheme, whose, rest = _parts(one)
    if scheme == "pvc":
        return {"name": _volume_name(job, scheme, whose), "subPath": rest.rstrip("/"), **at}
    if scheme == "configmap":
        return {"name": _volume_name(job, scheme, whose), "subPath": rest, **at}
    return {"name": "serinus-data", "subPath": f"inputs/{one.name}", **at}


# --- ours


def _fetcher(job: TrainingJob, attempt: Attempt) -> Json:
    """It has the environment of the user's container, and with it the credentials for the inputs."""
    container: Json = {
        "name": fetched.CONTAINER,
        "image": attempt.helper_image,
        "command": ["python", "-m", "serinus_fetch"],
        "securityContext": pods.CONTAINER_SECURITY,
        **pods.env(job.spec.env, job.spec.env_from),
    }
    order = {"name": "SERINUS_FETCH", "value": literal(json.dumps(_order(job, attempt), sort_keys=True))}
    ours = [*_git_credentials(job), order]
    container["env"] = [*_less(container.get("env", []), ours), *ours]
    container["volumeMounts"] = [{"name": "serinus-data", "mountPath": _DATA}, *_fetcher_mounts(job)]
    if resources := _without_devices(job.spec.resources.wire()):
        container["resources"] = resources
    return container


def _order(job: TrainingJob, attempt: Attempt) -> Json:
    found: Json = {"inputs": [_input(one) for one in job.spec.inputs]}
    if (git := _git(job)) is not None:
        parts = {"url": git.url, "ref": git.ref, "commit": attempt.commit, "path": git.path}
        found["source"] = {"git": {key: value for key, value in parts.items() if value}}
    return found


def _input(one: Input) -> Json:
    found: Json = {"name": one.name, "uri": one.uri, "at": f"{_DATA}/inputs/{one.name}"}
    if one.sha256:
        found["sha256"] = one.sha256
    if one.expect is not None:
        found["expect"] = one.expect.wire()
    return found


def _git_credentials(job: TrainingJob) -> list[Json]:
    """Only what the address needs: of a Secret that lacks it, Kubernetes itself says what is missing."""
    git = _git(job)
    if git is None or not git.credentials_secret:
        return []
    if re.match("https?://", git.url):
        wanted = {"GIT_USERNAME": ("username", True), "GIT_PASSWORD": ("password", False)}
    else:
        wanted = {"GIT_SSH_KEY": ("ssh-privatekey", False), "GIT_KNOWN_HOSTS": ("known_hosts", False)}
    secret = git.credentials_secret
    return [_from_secret(name, secret, key, optional=optional) for name, (key, optional) in wanted.items()]


def _from_secret(name: str, secret: str, key: str, *, optional: bool) -> Json:
    reference: Json = {"name": secret, "key": key}
    return {"name": name, "valueFrom": {"secretKeyRef": {**reference, **({"optional": True} if optional else {})}}}


def _fetcher_mounts(job: TrainingJob) -> list[Json]:
    folders = {"pvc": _CLAIMS, "configmap": _CONFIG_MAPS}
    return [
        {"name": _volume_name(job, scheme, whose), "mountPath": f"{folders[scheme]}/{whose}", "readOnly": True}
        for scheme, whose in _mounted(job)
    ]


def _without_devices(resources: Json) -> Json:
    """Processors and memory: a GPU would only wait."""
    kept = {
        part: {name: value for name, value in amounts.items() if name in {"cpu", "memory", "ephemeral-storage"}}
        for part, amounts in resources.items()
    }
    return {part: amounts for part, amounts in kept.items() if amounts}


# --- volumes


def _volumes(job: TrainingJob, attempt: Attempt) -> list[Json]:
    found = [_parameters()]
    if fetches(job):
        found.append({"name": "serinus-data", "emptyDir": {}})
    source = job.spec.source
    if source is not None and source.config_map is not None:
        found.append({"name": "serinus-source", "configMap": {"name": source.config_map.name}})
    found += [_volume(job, scheme, whose) for scheme, whose in _mounted(job)]
    if job.spec.checkpoints is not None:
        claim = {"claimName": manifests.shared_name(job, attempt.revision)}
        found.append({"name": "serinus-checkpoints", "persistentVolumeClaim": claim})
    return found


def _parameters() -> Json:
    """The parameters as a file: an annotation of the pod, so that there is no object more for it."""
    path = f"metadata.annotations['{names.Annotation.PARAMETERS}']"
    item = {"path": "parameters.json", "fieldRef": {"fieldPath": path}}
    return {"name": "serinus", "downwardAPI": {"items": [item]}}


def _volume(job: TrainingJob, scheme: str, whose: str) -> Json:
    name = _volume_name(job, scheme, whose)
    if scheme == "pvc":
        return {"name": name, "persistentVolumeClaim": {"claimName": whose, "readOnly": True}}
    # A missing one is told by who looks for its key, rather than by a pod that never starts.
    return {"name": name, "configMap": {"name": whose, "optional": True}}


def _mounted(job: TrainingJob) -> list[tuple[str, str]]:
    """The claims and ConfigMaps that inputs are on, each once."""
    parts = ((scheme, whose) for scheme, whose, _ in map(_parts, job.spec.inputs) if scheme in {"pvc", "configmap"})
    return list(dict.fromkeys(parts))


def _volume_name(job: TrainingJob, scheme: str, whose: str) -> str:
    return f"serinus-{scheme}-{_mounted(job).index((scheme, whose))}"


def _parts(one: Input) -> tuple[str, str, str]:
    scheme, _, address = one.uri.partition("://")
    whose, _, rest = address.partition("/")
    return scheme, whose, rest
