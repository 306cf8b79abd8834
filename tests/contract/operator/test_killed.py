"""The operator is killed before and after each of its effects: whatever it was about to do is done once in the end."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from tests import crds
from tests.cluster.cluster import Cluster
from tests.contract.mlflow.rest import Rest
from tests.contract.operator import killing, playing
from tests.contract.operator.holding import Request, proxy
from tests.contract.operator.killing import Effect, Ground, new_model, tags

pytestmark = pytest.mark.local
NAMESPACE = "t-killed"
SIDES = ("before", "after")


@pytest.fixture(scope="module")
def ground(bare: Cluster, mlflow: Rest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """What all of these stand on; the operator that is started last runs on to the next story."""
    crds.install(bare.kubectl)
    bare.kubectl("create", "namespace", NAMESPACE)
    api = playing.api_of(bare)
    with proxy(api.server, api.tls()) as to_kubernetes, proxy(mlflow.address) as to_mlflow:
        ways, folder = (to_kubernetes, to_mlflow), tmp_path_factory.mktemp("operators")
        with killing.ground(bare, NAMESPACE, mlflow, ways, folder) as made:
            yield made
    bare.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


# --- effects on MLflow


def _opens(attempt: int) -> Effect:
    def opens(ground: Ground, name: str, request: Request) -> bool:
        told = tags(request.body) if request.is_post("runs/create") else {}
        return (told.get("serinus.resource"), told.get("serinus.attempt")) == (ground.resource(name), str(attempt))

    return opens


def _of_run(ground: Ground, name: str, request: Request) -> bool:
    run = ground.mlflow.get("runs/get", run_id=request.body["run_id"])["run"]
    return tags(run["data"])["serinus.resource"] == ground.resource(name)


def _closes(ground: Ground, name: str, request: Request) -> bool:
    return request.is_post("runs/update") and _of_run(ground, name, request)


def _tags_run(key: str) -> Effect:
    def tags_run(ground: Ground, name: str, request: Request) -> bool:
        told = tags(request.body) if request.is_post("runs/log-batch") else {}
        return key in told and _of_run(ground, name, request)

    return tags_run


def _registers(operation: str) -> Effect:
    """Models are called after their TrainingJobs."""

    def registers(_: Ground, name: str, request: Request) -> bool:
        return request.is_post(operation) and str(request.body["name"]).startswith(name)

    return registers


# --- effects on the cluster


def _trains(attempt: int) -> Effect:
    def trains(ground: Ground, name: str, request: Request) -> bool:
        path = f"/apis/batch/v1/namespaces/{ground.namespace}/jobs/{name}-"
        return request.method == "PATCH" and request.path.startswith(path) and f"-{attempt}?" in request.path

    return trains


def _says(field: str, value: object = ...) -> Effect:
    """A field of the status is written, with this value if that matters."""

    def says(_: Ground, name: str, request: Request) -> bool:
        if request.method != "PATCH" or f"/trainingjobs/{name}/status" not in request.path:
            return False
        status = request.body["status"]
        return field in status and (value is ... or status[field] == value)

    return says


# In their order. Those of a stage are under way at about the same time, each for TrainingJobs of its own.
STAGES: Final[Mapping[str, Mapping[str, Effect]]] = {
    "opening": {
        "the-first-status": _says("phase", "Pending"),
        "the-run-is-made": _opens(1),
        "the-run-is-told": _says("attempt"),
        "the-job-is-made": _trains(1),
        "the-start-is-told": _says("phase", "Running"),
    },
    "closing": {
        "the-run-is-tagged": _tags_run("serinus.reason"),
        "the-run-is-closed": _closes,
        "the-gate-is-told": _says("gate"),
    },
    "registering": {
        "the-model-is-made": _registers("registered-models/create"),
        "the-version-is-made": _registers("model-versions/create"),
        "the-alias-is-set": _registers("registered-models/alias"),
        "the-end-is-told": _says("finishedAt"),
    },
}


@pytest.mark.parametrize("stage", STAGES)
def test_killed_around_an_effect(ground: Ground, stage: str) -> None:
    effects = _on_both_sides(STAGES[stage])
    models = {name: new_model(name) for name in effects}
    for name, model in models.items():
        if not name.startswith("the-model-is-made"):
            ground.mlflow.post("registered-models/create", name=model)
    with ground.killed(effects):
        ground.create(models)
    for name, model in models.items():
        _is_done_once(ground, name, model)


def _on_both_sides(effects: Mapping[str, Effect]) -> dict[str, Effect]:
    return {f"{what}-{side}": effect for what, effect in effects.items() for side in SIDES}


def _is_done_once(ground: Ground, name: str, model: str) -> None:
    """Trained, judged and registered, everything once."""
    job = ground.ended(name)
    status = job["status"]
    assert (status["phase"], status["attempt"], status.get("failures", 0)) == ("Succeeded", 1, 0), status
    assert [(run["info"]["run_id"], run["info"]["status"]) for run in ground.runs_of(job)] == [
        (status["run"]["id"], "FINISHED")
    ]
    _is_registered_once(ground, status, model, status["run"]["id"])
    assert len(ground.jobs_of(name)) == ground.player.played[name] == 1


def _is_registered_once(ground: Ground, status: Mapping[str, Any], model: str, run: str) -> None:
    (version,) = ground.versions_of(model)
    assert (version["run_id"], version["version"]) == (run, status["registered"]["version"])
    pointed = ground.mlflow.get("registered-models/alias", name=model, alias="champion")
    assert pointed["model_version"]["version"] == version["version"]


# --- with a second attempt

FAILING: Final[Mapping[str, Effect]] = {
    "the-failure-is-told": _says("failures"),
    "the-failure-is-tagged": _tags_run("serinus.reason"),
    "the-failed-run-is-closed": _closes,
}
AGAIN: Final[Mapping[str, Effect]] = {
    "the-parent-is-made": _opens(0),
    "the-first-is-moved": _tags_run("mlflow.parentRunId"),
    "the-second-run-is-made": _opens(2),
    "the-second-job-is-made": _trains(2),
}


def test_killed_around_a_second_attempt(ground: Ground) -> None:
    failing, again = _on_both_sides(FAILING), _on_both_sides(AGAIN)
    models = {name: new_model(name) for name in (*failing, *again)}
    with ground.killed(again), ground.killed(failing):
        ground.create(models, playing.FAILS, "$(attempt)")
    for name, model in models.items():
        _is_done_twice(ground, name, model)


def _is_done_twice(ground: Ground, name: str, model: str) -> None:
    """Failed once, and then trained and registered: a run for each attempt, below one."""
    job = ground.ended(name)
    status = job["status"]
    assert (status["phase"], status["attempt"], status["failures"]) == ("Succeeded", 2, 1), status
    runs = {tags(run["data"])["serinus.attempt"]: run for run in ground.runs_of(job)}
    assert len(ground.runs_of(job)) == 3
    states = {attempt: run["info"]["status"] for attempt, run in runs.items()}
    assert states == {"0": "FINISHED", "1": "FAILED", "2": "FINISHED"}
    parent = runs["0"]["info"]["run_id"]
    assert parent == status["run"]["id"]
    assert {tags(runs[number]["data"])["mlflow.parentRunId"] for number in ("1", "2")} == {parent}
    _is_registered_once(ground, status, model, runs["2"]["info"]["run_id"])
    assert len(ground.jobs_of(name)) == ground.player.played[name] == 2
