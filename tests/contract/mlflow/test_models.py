"""What the files of a version say, read through a real MLflow from wherever it has them."""

from collections.abc import Mapping

import pytest

from serinus.asks import Absent, ModelDetails, ReadModel, TroubleKind
from tests.contract.mlflow.desk import Desk
from tests.contract.mlflow.rest import Rest, model_files

pytestmark = pytest.mark.local

DETAILS = ModelDetails(
    flavors=("python_function", "sklearn"),
    signature={
        "inputs": [
            {"type": "double", "name": "a", "required": True},
            {"type": "double", "name": "b", "required": True},
        ],
        "outputs": [{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}],
        "params": None,
    },
    input_example="input_example.json",
    requirements=("mlflow==3.17.2", "numpy==2.5.5", "scikit-learn==1.9.1"),
    python="3.13.0",
    size=10686,
)


def _read(desk: Desk, name: str, version: str = "1") -> ReadModel:
    return ReadModel(server=desk.server, model=name, version=version)


def _logged(mlflow: Rest, name: str, files: Mapping[str, str] | None = None) -> None:
    """A version of a logged model with these files."""
    experiment = mlflow.experiment(name)
    model_id = mlflow.logged_model(experiment, mlflow.run(experiment), files)
    mlflow.post("registered-models/create", name=name)
    mlflow.version(name, f"models:/{model_id}", model_id=model_id)


def test_a_logged_model_is_read(mlflow: Rest, desk: Desk, name: str) -> None:
    _logged(mlflow, name)
    assert desk.ask(_read(desk, name)) == DETAILS


@pytest.mark.parametrize("folder", ["model", "a folder/modèle"])
def test_a_model_among_the_files_of_a_run_is_read(mlflow: Rest, desk: Desk, name: str, folder: str) -> None:
    run = mlflow.run(mlflow.experiment(name))
    root = mlflow.get("runs/get", run_id=run)["run"]["info"]["artifact_uri"]
    mlflow.upload(f"{root}/{folder}", model_files())
    mlflow.post("registered-models/create", name=name)
    for source in (f"runs:/{run}/{folder}", f"{root}/{folder}"):
        mlflow.version(name, source, run_id=run)
    assert [desk.ask(_read(desk, name, version)) for version in "12"] == [DETAILS, DETAILS]


def test_a_model_may_say_little(mlflow: Rest, desk: Desk, name: str) -> None:
    _logged(mlflow, name, {"MLmodel": "flavors: {onnx: {}}\n"})
    assert desk.ask(_read(desk, name)) == ModelDetails(("onnx",), None, None, (), "", None)


def test_what_is_not_there_is_absent(mlflow: Rest, desk: Desk, name: str) -> None:
    assert desk.ask(_read(desk, name)) == Absent(f"model '{name}'")
    _logged(mlflow, name, {"requirements.txt": ""})
    assert desk.ask(_read(desk, name)) == Absent(f"MLmodel file of version '1' of model '{name}'")
    assert desk.ask(_read(desk, name, "2")) == Absent(f"version '2' of model '{name}'")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x" * (1 << 20) + "x", "more than 1048576 bytes"),
        ("[" * 100_000, "log the model anew"),
        ("a: b: c", "log the model anew"),
        ("- just\n- a list", "log the model anew"),
        ("signature: {inputs: 'no json'}", "log the model anew"),
        ("a: &a [*a]\nflavors: {<<: {b: c}}", "log the model anew"),
        ("!!python/object/apply:os.getpid []", "log the model anew"),
    ],
    ids=["large", "deep", "no YAML", "no mapping", "no signature", "merges", "an object"],
)
def test_a_file_that_is_no_mlmodel_is_refused(mlflow: Rest, desk: Desk, name: str, text: str, reason: str) -> None:
    _logged(mlflow, name, {"MLmodel": text})
    trouble = desk.trouble(_read(desk, name))
    assert trouble.kind == TroubleKind.REFUSED
    assert reason in trouble.message
