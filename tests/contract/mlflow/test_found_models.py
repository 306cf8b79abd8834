"""Which model a run logged under a name, found in a real MLflow, which takes it as the source of a version."""

import math
from dataclasses import dataclass, replace

import pytest

from serinus.asks import Absent, EnsureVersion, FindModel, LoggedModel, ModelDetails, ReadModel
from tests.contract.mlflow.desk import Desk
from tests.contract.mlflow.rest import Rest, model_files

pytestmark = pytest.mark.local

PENDING = 6


@dataclass(frozen=True)
class Logging:
    """A run, as the program writes to it that it is the run of."""

    rest: Rest
    experiment: str
    id: str

    def model(self, name: str = "model", status: str = "LOGGED_MODEL_READY") -> str:
        """Log a model."""
        model_id = self.rest.logged_model(self.experiment, self.id, name=name)
        self.rest.finish(model_id, status)
        return model_id

    def metric(self, model_id: str, key: str, value: float | str, step: int = 0) -> None:
        """Log a metric to a model, the earlier the higher its step."""
        logged = {"key": key, "value": value, "step": step, "timestamp": 1000 - step, "model_id": model_id}
        self.rest.post("runs/log-metric", run_id=self.id, **logged)

    def folder(self, path: str, *files: str) -> None:
        """Log a folder: these files, or those of a model."""
        root = self.rest.get("runs/get", run_id=self.id)["run"]["info"]["artifact_uri"]
        self.rest.upload(f"{root}/{path}", dict.fromkeys(files, "a: b") or model_files())


@pytest.fixture
def run(mlflow: Rest, name: str) -> Logging:
    """A run of an experiment of its own."""
    return _run(mlflow, mlflow.experiment(name))


def _run(mlflow: Rest, experiment: str) -> Logging:
    return Logging(mlflow, experiment, mlflow.run(experiment))


def _find(desk: Desk, run: Logging, artifact: str = "model") -> FindModel:
    return FindModel(server=desk.server, experiment_id=run.experiment, run_id=run.id, artifact=artifact)


def _absent(run: Logging, there: str, artifact: str = "model") -> Absent:
    return Absent(f"model {artifact!r} in run {run.id!r}; it logged: {there}")


def _registers(desk: Desk, run: Logging, name: str, found: LoggedModel | Absent) -> None:
    """MLflow takes what was found as a source, and finds the model's files by it."""
    assert isinstance(found, LoggedModel)
    order = EnsureVersion(
        server=desk.server, model=name, key=name, source=found.source, run_id=run.id, model_id=found.model_id
    )
    made = desk.ask(order)
    assert (made.ready, made.source, made.run_id, made.model_id) == (True, found.source, run.id, found.model_id)
    details = desk.ask(ReadModel(server=desk.server, model=name, version=made.version))
    assert isinstance(details, ModelDetails)
    assert details.flavors == ("python_function", "sklearn")


@pytest.mark.parametrize("artifact", ["model", "a modèle; `b` = (c) AND d", r"a\b"])
def test_a_logged_model_is_found_and_can_be_registered(desk: Desk, run: Logging, name: str, artifact: str) -> None:
    model_id = run.model(artifact)
    run.model("another")
    found = desk.ask(_find(desk, run, artifact))
    assert found == LoggedModel(f"models:/{model_id}", model_id)
    _registers(desk, run, name, found)


@pytest.mark.parametrize("artifact", ["model", "a folder/modèle", "v1.2"])
def test_a_folder_of_a_model_is_found_and_can_be_registered(desk: Desk, run: Logging, name: str, artifact: str) -> None:
    run.folder(artifact)
    found = desk.ask(_find(desk, run, artifact))
    assert found == LoggedModel(f"runs:/{run.id}/{artifact}")
    assert desk.ask(_find(desk, run, f"{artifact}/")) == found
    _registers(desk, run, name, found)


def test_the_last_of_several_models_of_a_name_wins_and_a_folder_comes_after_them(desk: Desk, run: Logging) -> None:
    run.folder("model")
    run.model()
    last = run.model()
    _run(run.rest, run.experiment).model()
    assert desk.ask(_find(desk, run)) == LoggedModel(f"models:/{last}", last)
    newer = run.model()
    assert desk.ask(replace(_find(desk, run), since="later")) == LoggedModel(f"models:/{newer}", newer)


def test_a_model_that_is_not_ready_is_passed_over(desk: Desk, run: Logging) -> None:
    ready = run.model()
    for number in range(PENDING):
        run.model(status="LOGGED_MODEL_UPLOAD_FAILED" if number % 2 else "LOGGED_MODEL_PENDING")
    assert desk.ask(_find(desk, run)) == LoggedModel(f"models:/{ready}", ready)
    assert desk.meter.operations() == {"logged-models/search": 2}
    run.rest.call("DELETE", f"api/2.0/mlflow/logged-models/{ready}")
    run.model("another")
    assert desk.ask(_find(desk, run)) == _absent(run, "'another', 'model' (not ready)")


def test_of_its_metrics_the_last_by_step_are_given(desk: Desk, run: Logging) -> None:
    model_id = run.model()
    for step, value in ((0, 3.0), (2, 1.0), (1, 2.0), (-1, 4.0)):
        run.metric(model_id, "loss", value, step)
    run.metric(run.model("another"), "loss", 9.0, 9)
    run.rest.post("runs/log-metric", run_id=run.id, key="of the run", value=1.0, step=0, timestamp=1)
    found = desk.ask(_find(desk, run))
    assert isinstance(found, LoggedModel)
    assert found.metrics == {"loss": 1.0}


def test_what_is_no_number_is_none_although_mlflow_makes_it_a_zero(desk: Desk, run: Logging) -> None:
    model_id, another = run.model(), run.model("another")
    evaluation = _run(run.rest, run.experiment)
    run.metric(model_id, "diverged", 1.0, 1)
    run.metric(model_id, "diverged", "NaN", 2)
    run.metric(another, "diverged", 0.5, 3)
    run.metric(model_id, "recovered", "NaN", 1)
    run.metric(model_id, "recovered", 0.5, 2)
    run.metric(model_id, "zero", "NaN", 1)
    run.metric(model_id, "zero", 0.0, 2)
    evaluation.metric(model_id, "évalué / odd", "NaN")
    found = desk.ask(_find(desk, run))
    assert isinstance(found, LoggedModel)
    assert {key for key, value in found.metrics.items() if math.isnan(value)} == {"diverged", "évalué / odd"}
    assert {key: value for key, value in found.metrics.items() if not math.isnan(value)} == {
        "recovered": 0.5,
        "zero": 0.0,
    }


def test_what_is_absent_says_what_there_is_instead(desk: Desk, run: Logging) -> None:
    ask = _find(desk, run)
    assert desk.ask(ask) == _absent(run, "nothing")
    run.folder("plots", "curve.png")
    run.folder("model", "model.pkl")
    assert desk.ask(ask) == _absent(run, "'model', 'plots'")
    run.folder("nested/model")
    run.model("first")
    run.model("second")
    run.model("first")
    assert desk.ask(ask) == _absent(run, "'first', 'second', 'model', 'nested', 'plots'")
    run.model("third")
    assert desk.ask(ask) == _absent(run, "'third', 'first', 'second', 'model', 'nested'")


@pytest.mark.parametrize(
    "artifact",
    [
        "",
        "/",
        ".",
        "..",
        "../model",
        "./model",
        "a//model",
        "a%2Fmodel",
        "a/model#b",
        "C:/model",
        "it's",
        '"a\' b"',
        "é\n",
    ],
)
def test_what_is_no_name_of_a_model_is_absent(desk: Desk, run: Logging, artifact: str) -> None:
    run.folder("a/model")
    assert desk.ask(_find(desk, run, artifact)) == _absent(run, "'a'", artifact)


def test_names_are_cut_where_they_are_many_and_long(desk: Desk, run: Logging) -> None:
    for letter in "abc":
        run.model(letter * 400)
    found = desk.ask(_find(desk, run))
    assert isinstance(found, Absent)
    assert found.what.endswith("ccc…")
    assert len(found.what) == 400


def test_where_nothing_was_logged_it_is_told_that_the_run_is_not_there(desk: Desk, run: Logging) -> None:
    run.rest.post("runs/delete", run_id=run.id)
    ask = _find(desk, run)
    assert desk.ask(ask) == Absent(f"run {run.id!r} (it is deleted)")
    assert desk.ask(replace(ask, run_id="0" * 32)) == Absent(f"run {'0' * 32!r}")
    assert desk.ask(replace(ask, run_id="it's")) == Absent('run "it\'s"')
