"""The pod of an attempt: what the user's container finds, what ours fetches before it, and what they share."""

import json
import re
from typing import Any

import pytest

from serinus import training
from serinus.api.names import Label
from serinus.api.trainingjob import TrainingJob
from serinus.asks import Run
from serinus.objects import Manifest
from serinus.plan import Defaults
from serinus.training import manifests, pod
from tests.unit.fakes import Json, parsed, resource

RUN = Run("run-7", "3", "RUNNING")
ATTEMPT = manifests.Attempt("5f0c1d2e3a", 2, RUN, "trainer:1", "http://mlflow:5000", "fetch:1")


def job(**spec: Json) -> TrainingJob:
    return parsed(TrainingJob, resource(training.KIND, spec))


def children(attempt: manifests.Attempt = ATTEMPT, **spec: Json) -> list[Manifest]:
    """What an attempt needs, in the order in which it is made."""
    made = job(**spec)
    return [one.manifest for one in manifests.children(made, attempt, pod.spec(made, attempt))]


def job_of(**spec: Json) -> Manifest:
    return children(**spec)[-1]


def pod_of(**spec: Json) -> Json:
    return job_of(**spec)["spec"]["template"]["spec"]


def trainer(**spec: Json) -> Json:
    (container,) = pod_of(**spec)["containers"]
    return container


def fetcher(**spec: Json) -> Json:
    (container,) = pod_of(**spec)["initContainers"]
    return container


def order(**spec: Json) -> Json:
    """What the container that fetches is told to do."""
    return json.loads(by_the_kubelet(environment(fetcher(**spec))["SERINUS_FETCH"], {}))


def environment(container: Json) -> dict[str, str]:
    names = [one["name"] for one in container["env"]]
    assert len(names) == len(set(names)), "server-side apply takes each name once"
    return {one["name"]: one.get("value", "") for one in container["env"]}


def mounts(container: Json) -> dict[str, Json]:
    """The mounts by their paths."""
    return {one["mountPath"]: one for one in container["volumeMounts"]}


def volumes(**spec: Json) -> dict[str, Any]:
    return {one.pop("name"): one for one in (dict(volume) for volume in pod_of(**spec)["volumes"])}


SUBSTITUTED = [
    ("--depth=$(params.depth)", "--depth=8"),
    ("$(params.depth)$(params.depth)", "88"),
    ("$(params.shuffle)", "true"),
    ("$(params.learning-rate)", "0.1"),
    ("$(run.id)/$(attempt)", "run-7/2"),
    ("$(HOME)", "$(HOME)"),
    ("$(date)", "$(date)"),
    ("$$(params.depth)", "$$(params.depth)"),
    ("$$(run.id)", "$$(run.id)"),
    ("$$(attempt)", "$$(attempt)"),
    ("$$$(params.depth)", "$$8"),
    ("$$$$(params.depth)", "$$$$(params.depth)"),
    ("$5", "$5"),
    ("", ""),
]
PARAMETERS = {"depth": 8, "shuffle": True, "learning-rate": 0.1}


@pytest.mark.parametrize(
    ("argument", "expected"), SUBSTITUTED, ids=[argument or "nothing" for argument, _ in SUBSTITUTED]
)
def test_arguments_get_what_they_refer_to(argument: str, expected: str) -> None:
    container = trainer(parameters=PARAMETERS, args=[argument], command=["run", argument])
    assert container["args"] == [expected]
    assert container["command"] == ["run", expected]


def by_the_kubelet(text: str, known: dict[str, str]) -> str:
    """What the kubelet makes of an argument or a variable: `$$` is `$`, and `$(NAME)` a variable that it knows."""
    return re.sub(
        r"[$][$]|[$][(]([^)]*)[)]", lambda found: "$" if found[0] == "$$" else known.get(found[1], found[0]), text
    )


@pytest.mark.parametrize("value", ["plain", "a$$b", "$(HOME)", "$(params.depth)", "$(run.id)", "costs 5$", "$$(HOME)"])
def test_a_parameter_reaches_the_container_as_it_is(value: str) -> None:
    container = trainer(parameters={"text": value}, args=["$(params.text)"])
    assert by_the_kubelet(container["args"][0], {"HOME": "/root"}) == value
    assert by_the_kubelet(environment(container)["PARAM_TEXT"], {"HOME": "/root"}) == value


def test_a_trainer_finds_its_run_and_its_parameters_in_the_environment() -> None:
    container = trainer(
        parameters={"depth": 8, "learning-rate": 0.1, "a.b": False}, env=[{"name": "MODE", "value": "x"}]
    )
    assert environment(container) == {
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "MLFLOW_EXPERIMENT_ID": "3",
        "MLFLOW_RUN_ID": "run-7",
        "PARAM_DEPTH": "8",
        "PARAM_LEARNING_RATE": "0.1",
        "PARAM_A_B": "false",
        "MODE": "x",
    }


def test_the_image_is_the_users_or_the_operators() -> None:
    defaults = Defaults(trainer_image="trainer:1")
    assert manifests.image_of(job(image="mine"), defaults) == "mine"
    assert manifests.image_of(job(), defaults) == "trainer:1"


def test_the_tags_of_a_run_are_the_users_and_ours() -> None:
    made = job(tracking={"tags": {"team": "growth"}})
    tags = {
        "team": "growth",
        "serinus.uid": "uid-churn",
        "serinus.revision": "5f0c1d2e3a",
        "serinus.attempt": "2",
        "serinus.resource": "team/churn",
    }
    assert manifests.tags(made, "5f0c1d2e3a", 2, "") == tags
    assert manifests.tags(made, "5f0c1d2e3a", 2, "prod") == {**tags, "serinus.cluster": "prod"}


def test_all_parameters_are_a_file_out_of_an_annotation() -> None:
    parameters = {"depth": 8, "learning-rate": 0.1, "shuffle": True, "name": "ü$(HOME)"}
    metadata = job_of(parameters=parameters)["spec"]["template"]["metadata"]
    assert json.loads(metadata["annotations"]["serinus.dev/parameters"]) == parameters
    (item,) = volumes(parameters=parameters)["serinus"]["downwardAPI"]["items"]
    path = "metadata.annotations['serinus.dev/parameters']"
    assert item == {"path": "parameters.json", "fieldRef": {"fieldPath": path}}
    assert mounts(trainer(parameters=parameters))["/serinus"]["readOnly"]


# --- the variables


def test_the_users_variables_win_over_ours_but_those_of_the_run_which_they_cannot_name() -> None:
    own = [{"name": "PARAM_DEPTH", "value": "9"}, {"name": "MLFLOW_TRACKING_TOKEN", "value": "mine"}]
    container = trainer(parameters={"depth": 8}, env=own, tracking={"credentialsSecret": "mlflow"})
    found = environment(container)
    assert (found["PARAM_DEPTH"], found["MLFLOW_TRACKING_TOKEN"]) == ("9", "mine")
    assert (found["MLFLOW_RUN_ID"], "MLFLOW_TRACKING_USERNAME" in found) == ("run-7", True)


def test_a_secret_with_credentials_for_mlflow_is_read_as_far_as_it_goes() -> None:
    found = {one["name"]: one for one in trainer(tracking={"credentialsSecret": "mlflow"})["env"]}
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        assert found[name]["valueFrom"] == {"secretKeyRef": {"name": "mlflow", "key": name, "optional": True}}
    assert not [name for name in environment(trainer()) if "TOKEN" in name]


# --- the Job


def test_a_job_is_one_attempt_whatever_the_limit_is() -> None:
    spec = job_of(backoffLimit=5)["spec"]
    assert (spec["backoffLimit"], spec["completions"], spec["parallelism"]) == (0, 1, 1)
    assert (spec["podReplacementPolicy"], spec["template"]["spec"]["restartPolicy"]) == ("Failed", "Never")
    assert "completionMode" not in spec


def test_the_deadline_is_of_all_attempts_together_and_not_of_a_job() -> None:
    assert "activeDeadlineSeconds" not in children(activeDeadlineSeconds=60)[-1]["spec"]


def test_what_the_container_says_last_is_kept_where_it_failed() -> None:
    assert trainer()["terminationMessagePolicy"] == "FallbackToLogsOnError"


# --- code


GIT = {"url": "https://git.example/churn.git", "ref": "main", "path": "training"}


def test_code_in_git_is_fetched_before_and_found_at_src() -> None:
    spec = {"source": {"git": GIT}}
    assert order(**spec) == {"inputs": [], "source": {"git": GIT}}
    assert (fetcher(**spec)["image"], fetcher(**spec)["command"]) == ("fetch:1", ["python", "-m", "serinus_fetch"])
    found = mounts(trainer(**spec))["/src"]
    assert found == {"name": "serinus-data", "mountPath": "/src", "subPath": "src", "readOnly": True}
    assert volumes(**spec)["serinus-data"] == {"emptyDir": {}}


def test_code_out_of_a_config_map_needs_nobody_to_fetch_it() -> None:
    spec = {"source": {"configMap": {"name": "code"}}}
    assert "initContainers" not in pod_of(**spec)
    assert mounts(trainer(**spec))["/src"] == {"name": "serinus-source", "mountPath": "/src", "readOnly": True}
    assert volumes(**spec)["serinus-source"] == {"configMap": {"name": "code"}}


GIT_SECRETS = [
    ("https://g/a", {"GIT_USERNAME": ("username", True), "GIT_PASSWORD": ("password", False)}),
    ("http://g/a", {"GIT_USERNAME": ("username", True), "GIT_PASSWORD": ("password", False)}),
    ("git@g:a", {"GIT_SSH_KEY": ("ssh-privatekey", False), "GIT_KNOWN_HOSTS": ("known_hosts", False)}),
    ("ssh://git@g/a", {"GIT_SSH_KEY": ("ssh-privatekey", False), "GIT_KNOWN_HOSTS": ("known_hosts", False)}),
]


@pytest.mark.parametrize(("url", "wanted"), GIT_SECRETS, ids=[url for url, _ in GIT_SECRETS])
def test_of_the_secret_for_git_only_the_address_decides_what_is_read(url: str, wanted: dict[str, Any]) -> None:
    env = fetcher(source={"git": {"url": url, "credentialsSecret": "git-token"}})["env"]
    keys = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in env if one["name"].startswith("GIT_")}
    assert {name: (one["key"], one.get("optional", False)) for name, one in keys.items()} == wanted
    assert {one["name"] for one in keys.values()} == {"git-token"}


def test_the_container_that_fetches_has_the_users_environment_for_the_stores_but_ours_is_ours() -> None:
    env = [
        {"name": "AWS_REGION", "value": "eu"},
        {"name": "GIT_PASSWORD", "value": "x"},
        {"name": "SERINUS_FETCH", "value": "x"},
    ]
    git = {**GIT, "credentialsSecret": "git-token"}
    spec = {"env": env, "envFrom": [{"secretRef": {"name": "s3"}}], "source": {"git": git}}
    container = fetcher(**spec)
    assert container["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert environment(container)["AWS_REGION"] == "eu"
    assert environment(container)["GIT_PASSWORD"] == "", "it is the Secret's"
    assert order(**spec)["source"]["git"] == GIT


def test_the_container_that_fetches_waits_for_no_gpu() -> None:
    resources = {
        "requests": {"cpu": "1", "nvidia.com/gpu": 1},
        "limits": {"memory": "2Gi", "ephemeral-storage": "1Gi", "nvidia.com/gpu": 1},
    }
    spec = {"source": {"git": GIT}, "resources": resources}
    assert fetcher(**spec)["resources"] == {
        "requests": {"cpu": "1"},
        "limits": {"memory": "2Gi", "ephemeral-storage": "1Gi"},
    }
    assert "resources" not in fetcher(source={"git": GIT}, resources={"limits": {"nvidia.com/gpu": 1}})


# --- data

INPUTS: list[Json] = [
    {"name": "a", "uri": "s3://bucket/a.parquet", "mountPath": "/data/a.parquet", "sha256": "0" * 64},
    {"name": "b", "uri": "https://host/b.csv?x=$(HOME)", "mountPath": "/data/b", "expect": {"minRows": 3}},
    {"name": "c", "uri": "pvc://claim/folder/c/", "mountPath": "/data/c"},
    {"name": "d", "uri": "configmap://settings/d.csv", "mountPath": "/data/d"},
    {"name": "e", "uri": "pvc://claim/e", "mountPath": "/data/e"},
    {"name": "f", "uri": "pvc://other/f", "mountPath": "/data/f"},
]


def test_each_input_is_ordered_as_it_is_named_with_what_it_must_be() -> None:
    wanted = order(inputs=INPUTS)["inputs"]
    assert wanted[0] == {
        "name": "a",
        "uri": "s3://bucket/a.parquet",
        "at": "/serinus/data/inputs/a",
        "sha256": "0" * 64,
    }
    assert wanted[1]["expect"] == {"minRows": 3}
    assert [one["uri"] for one in wanted] == [one["uri"] for one in INPUTS], "$ is no variable in it"


def test_each_input_is_found_where_the_spec_says_and_nothing_is_copied_that_is_on_a_volume() -> None:
    found = mounts(trainer(inputs=INPUTS))
    assert {path: (one["name"], one["subPath"]) for path, one in found.items() if path != "/serinus"} == {
        "/data/a.parquet": ("serinus-data", "inputs/a"),
        "/data/b": ("serinus-data", "inputs/b"),
        "/data/c": ("serinus-pvc-0", "folder/c"),
        "/data/d": ("serinus-configmap-1", "d.csv"),
        "/data/e": ("serinus-pvc-0", "e"),
        "/data/f": ("serinus-pvc-2", "f"),
    }
    assert all(one["readOnly"] for one in found.values())


def test_each_claim_and_config_map_is_mounted_once_for_the_container_that_checks_it() -> None:
    assert {path: one["name"] for path, one in mounts(fetcher(inputs=INPUTS)).items()} == {
        "/serinus/data": "serinus-data",
        "/serinus/claims/claim": "serinus-pvc-0",
        "/serinus/configmaps/settings": "serinus-configmap-1",
        "/serinus/claims/other": "serinus-pvc-2",
    }
    found = volumes(inputs=INPUTS)
    assert found["serinus-pvc-2"] == {"persistentVolumeClaim": {"claimName": "other", "readOnly": True}}
    assert found["serinus-configmap-1"] == {"configMap": {"name": "settings", "optional": True}}


def test_every_mount_has_its_volume() -> None:
    spec = {"inputs": INPUTS, "source": {"git": GIT}, "checkpoints": {"size": "1Gi"}, "workers": 2}
    wanted = {one["name"] for container in (trainer(**spec), fetcher(**spec)) for one in container["volumeMounts"]}
    assert wanted == set(volumes(**spec))


# --- workers and checkpoints


def test_several_workers_find_each_other_as_torchrun_expects() -> None:
    spec = job_of(workers=3)["spec"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (3, 3, "Indexed")
    found = environment(trainer(workers=3))
    assert {key: value for key, value in found.items() if "RANK" not in key and not key.startswith("MLFLOW")} == {
        "MASTER_ADDR": "churn-5f0c1d2e3a-2-0.churn-5f0c1d2e3a",
        "MASTER_PORT": "29500",
        "WORLD_SIZE": "3",
        "PET_MASTER_ADDR": "churn-5f0c1d2e3a-2-0.churn-5f0c1d2e3a",
        "PET_MASTER_PORT": "29500",
        "PET_NNODES": "3",
    }
    path = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    ranks = {one["name"]: one["valueFrom"] for one in trainer(workers=3)["env"] if "RANK" in one["name"]}
    index = {"fieldRef": {"fieldPath": path}}
    assert ranks == {"RANK": index, "PET_NODE_RANK": index}
    assert "MASTER_ADDR" not in environment(trainer())


def test_the_workers_of_a_revision_have_a_service_without_an_address() -> None:
    service, made = children(workers=2)
    assert service["metadata"]["name"] == made["spec"]["template"]["spec"]["subdomain"] == "churn-5f0c1d2e3a"
    selector = service["spec"]["selector"]
    assert selector == {Label.TRAINING_JOB: "churn", Label.REVISION: "5f0c1d2e3a"}
    assert selector.items() <= made["spec"]["template"]["metadata"]["labels"].items()
    assert (service["spec"]["clusterIP"], service["spec"]["publishNotReadyAddresses"]) == ("None", True)
    assert [one["kind"] for one in children()] == ["Job"]


def test_the_host_name_of_a_worker_fits_however_long_the_name_is() -> None:
    long = resource(training.KIND, {"workers": 1000}, name="a" * 40)
    made = parsed(TrainingJob, long)
    attempt = manifests.Attempt("5f0c1d2e3a", 1000, RUN, "t", "http://mlflow:5000")
    assert len(f"{manifests.job_name(made, attempt.revision, attempt.number)}-999") <= 63


@pytest.mark.parametrize(("workers", "mode"), [(1, "ReadWriteOnce"), (2, "ReadWriteMany")])
def test_checkpoints_are_on_a_volume_that_the_attempts_of_a_revision_share(workers: int, mode: str) -> None:
    checkpoints = {"size": "5Gi", "storageClass": "fast"}
    claim = children(checkpoints=checkpoints, workers=workers)[0]
    assert (claim["kind"], claim["metadata"]["name"]) == ("PersistentVolumeClaim", "churn-5f0c1d2e3a")
    assert claim["spec"] == {
        "accessModes": [mode],
        "resources": {"requests": {"storage": "5Gi"}},
        "storageClassName": "fast",
    }
    assert "storageClassName" not in children(checkpoints={"size": "5Gi"})[0]["spec"]
    made = pod_of(checkpoints=checkpoints)
    assert mounts(made["containers"][0])["/checkpoints"] == {"name": "serinus-checkpoints", "mountPath": "/checkpoints"}
    volume = volumes(checkpoints=checkpoints)["serinus-checkpoints"]
    assert volume == {"persistentVolumeClaim": {"claimName": "churn-5f0c1d2e3a"}}


def test_a_volume_for_checkpoints_can_be_written_by_whoever_the_container_runs_as() -> None:
    security = pod_of(checkpoints={"size": "1Gi"})["securityContext"]
    assert (security["fsGroup"], security["fsGroupChangePolicy"]) == (65532, "OnRootMismatch")
    assert "fsGroup" not in pod_of()["securityContext"]


def test_a_sidecar_of_the_users_goes_beside_what_fetches_and_what_trains() -> None:
    spec = {"initContainers": [{"name": "setup", "image": "x"}], "volumes": [{"name": "shm", "emptyDir": {}}]}
    made = pod_of(podTemplate={"spec": spec}, source={"git": GIT})
    assert [one["name"] for one in made["initContainers"]] == ["serinus-fetch", "setup"]
    assert [one["name"] for one in made["volumes"]] == ["serinus", "serinus-data", "shm"]
