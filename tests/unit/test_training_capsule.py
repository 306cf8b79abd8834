"""The capsule: what made a model is found at its run and at its version, and what is not known is left out."""

import json

import pytest

from serinus import __version__
from serinus.asks import Absent, EndRun, LogInputs, ModelDetails, Trouble, TroubleKind
from tests.unit.fakes import Json
from tests.unit.training_life import Life, ended, ended_life, training_life

INPUTS = [{"name": "train", "uri": "s3://data/train.parquet", "mountPath": "/data/train"}]
REGISTER = {"model": "churn"}
ZEROS = "A" * 43
FETCHED: Json = {
    "initContainerStatuses": [
        ended("serinus-fetch", 0, f'{{"commit":"0a1b2c","inputs":[["{ZEROS}",20]]}}', "Completed")
    ]
}
RAN: Json = {"containerStatuses": [{"name": "main", "imageID": "docker.io/library/trainer@sha256:0123", "state": {}}]}
SPEC: Json = {
    "source": {"git": {"url": "https://git.example/churn.git", "path": "training"}},
    "inputs": INPUTS,
    "parameters": {"depth": 8, "rate": 0.1, "fast": True},
    "resources": {"limits": {"nvidia.com/gpu": 1, "memory": "2Gi"}},
    "workers": 2,
}
MADE = {
    "image": "trainer:1",
    "imageDigest": "sha256:0123",
    "source": "https://git.example/churn.git#training",
    "commit": "0a1b2c",
    "workers": "2",
    "node": "node-1",
    "operator": __version__,
    "input.train": "0" * 64,
}


def made(life: Life) -> dict[str, str]:
    """The operator's tags of the version, without their prefix."""
    (version,) = life.mlflow.versions.values()
    return {key.removeprefix("serinus."): value for key, value in version.tags.items() if key.startswith("serinus.")}


def test_what_made_a_model_is_found_at_its_run_and_at_its_version() -> None:
    life = ended_life(**SPEC, register=REGISTER)
    life.completes(**FETCHED, **RAN)
    life.run()
    tags = life.mlflow.tags_of("run-1")
    assert {key: tags.get(key) for key in MADE} == MADE
    assert json.loads(tags["resources"]) == SPEC["resources"]
    assert {key: made(life).get(key) for key in MADE} == MADE
    assert json.loads(made(life)["parameters"]) == SPEC["parameters"]
    assert made(life)["resources"] == tags["resources"]


def test_the_capsule_is_in_the_status_too() -> None:
    life = training_life(**SPEC)
    life.start(**FETCHED, **RAN)
    life.run()
    resolved = life.status["resolved"]
    assert (resolved["imageDigest"], resolved["commit"]) == ("sha256:0123", "0a1b2c")
    assert resolved["inputs"] == [{"name": "train", "sha256": "0" * 64, "rows": 20}]


def test_what_was_seen_while_it_ran_is_not_lost_with_its_pods() -> None:
    life = training_life(**SPEC, register=REGISTER)
    life.start(**FETCHED, **RAN)
    life.run()
    job = life.job
    life.pods_end()
    life.set_status(job, conditions=[{"type": "Complete", "status": "True"}])
    life.run()
    assert life.status["phase"] == "Succeeded"
    assert {key: made(life).get(key) for key in MADE} == MADE


def test_a_failed_run_has_its_capsule_too() -> None:
    life = training_life(**SPEC, backoffLimit=0)
    life.put_pod("Failed", **FETCHED, containerStatuses=[ended("main", 1), *RAN["containerStatuses"]])
    life.job_fails()
    life.run()
    tags = life.mlflow.tags_of("run-1")
    assert (tags["commit"], tags["input.train"], tags["reason"]) == ("0a1b2c", "0" * 64, "Error")


def test_what_is_not_known_is_left_out() -> None:
    life = ended_life(register=REGISTER)
    life.run()
    unknown = {"imageDigest", "source", "commit", "resources", "workers", "parameters", "gate"}
    assert unknown.isdisjoint(made(life))
    assert unknown.isdisjoint(life.mlflow.tags_of("run-1"))
    assert "" not in life.mlflow.tags_of("run-1").values()


def test_code_out_of_a_config_map_is_named() -> None:
    life = ended_life(source={"configMap": {"name": "code"}})
    life.run()
    assert life.mlflow.tags_of("run-1")["source"] == "configmap://code"


def test_how_it_was_judged_is_told_by_the_version_and_by_a_run_that_was_rejected() -> None:
    gate = [{"metric": "val_f1", "min": 0.8}]
    passed = ended_life(gate=gate, register=REGISTER)
    passed.run()
    assert made(passed)["gate"] == "1 of 1 checks passed"
    rejected = ended_life(gate=gate, register=REGISTER)
    rejected.mlflow.metrics = {"val_f1": 0.7}
    rejected.run()
    assert rejected.mlflow.tags_of("run-1")["gate"].startswith("1 of 1 checks failed: val_f1")


def test_the_users_tags_of_a_version_are_there_beside_ours() -> None:
    life = ended_life(register={**REGISTER, "tags": {"team": "growth"}})
    life.run()
    (version,) = life.mlflow.versions.values()
    assert (version.tags["team"], version.tags["serinus.attempt"]) == ("growth", "1")


def test_parameters_that_are_longer_than_a_tag_are_cut_and_registered_all_the_same() -> None:
    life = ended_life(register=REGISTER, parameters={f"p{number}": "x" * 6000 for number in range(3)})
    life.run()
    assert (life.status["phase"], len(made(life)["parameters"])) == ("Succeeded", 5000)


# --- the libraries


def test_the_libraries_of_the_model_are_tags_of_its_version() -> None:
    life = ended_life(register=REGISTER)
    life.run()
    assert made(life)["libraries"] == "python==3.13.1 mlflow==3.8 numpy==2.4"


@pytest.mark.parametrize(
    "details", [Absent("model"), Trouble(TroubleKind.REFUSED, "no such file: MLmodel")], ids=["absent", "refused"]
)
def test_a_model_whose_files_cannot_be_read_is_registered_without(details: Absent | Trouble) -> None:
    life = ended_life(register=REGISTER)
    life.mlflow.details = details
    life.run()
    assert life.status["phase"] == "Succeeded"
    assert "libraries" not in made(life)


def test_a_model_whose_files_cannot_be_read_at_this_moment_is_waited_for() -> None:
    life = ended_life(register={**REGISTER, "alias": "challenger"})
    life.mlflow.details = Trouble(TroubleKind.UNREACHABLE, "no answer")
    life.run()
    assert (life.status["phase"], life.mlflow.aliases) == ("Registering", {})
    life.mlflow.details = ModelDetails((), None, None, (), "3.13", None)
    life.back()
    life.run()
    assert (life.status["phase"], made(life)["libraries"], life.mlflow.aliases) == (
        "Succeeded",
        "python==3.13",
        {"challenger": "1"},
    )


# --- the datasets


def test_what_a_run_has_read_is_logged_before_it_is_closed() -> None:
    life = ended_life(inputs=INPUTS)
    life.completes(**FETCHED)
    life.run()
    orders = [type(ask) for ask in life.asked if isinstance(ask, LogInputs | EndRun)]
    assert orders == [LogInputs, EndRun]
    (read,) = life.mlflow.inputs["run-1"].inputs
    assert (read.name, read.uri, read.sha256, read.rows) == ("train", "s3://data/train.parquet", "0" * 64, 20)


def test_what_a_failed_run_has_read_is_logged_too() -> None:
    life = training_life(inputs=INPUTS, backoffLimit=0)
    life.put_pod("Failed", **FETCHED, containerStatuses=[ended("main", 1)])
    life.job_fails()
    life.run()
    assert [one.name for one in life.mlflow.inputs["run-1"].inputs] == ["train"]


def test_each_attempt_has_its_own_inputs_and_the_run_above_them_none() -> None:
    life = training_life(inputs=INPUTS)
    life.put_pod("Failed", **FETCHED, containerStatuses=[ended("main", 1)])
    life.job_fails()
    life.run()
    life.begins_again()
    life.completes(**FETCHED)
    life.run()
    assert sorted(life.mlflow.inputs) == ["run-1", "run-3"]


def test_without_inputs_none_are_logged() -> None:
    life = ended_life()
    life.run()
    assert [ask for ask in life.asked if isinstance(ask, LogInputs)] == []
