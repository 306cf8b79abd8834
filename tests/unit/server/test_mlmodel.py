"""MLmodel, read without MLflow."""

import subprocess
import sys
from pathlib import Path

import pytest

from serinus_server import mlmodel
from serinus_server.problems import UNREADABLE, ModelProblem
from tests.unit.server.fetch_server import MODEL_ID, write_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def test_all_that_was_recorded_is_read(model: Path) -> None:
    found = mlmodel.read(model)
    assert (found.model_id, found.run_id, found.model_size_bytes) == (MODEL_ID, "5d0f", 1000)
    assert (found.python_version, found.mlflow_version) == ("3.13.0", "3.17.2")
    assert (found.loader_module, found.predict_fn) == ("mlflow.sklearn", "predict_proba")
    assert [one.name for one in found.signature.columns] == ["a"]
    assert found.example.type == "dataframe"
    assert found.example.serving_input == model / "serving_input_example.json"
    assert found.example.artifact == model / "input_example.json"
    assert found.requirements == {"mlflow": "==3.17.2", "scikit-learn": "==1.9.1"}
    assert not found.is_signature_from_type_hint


def test_neither_mlflow_nor_pandas_is_imported(model: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from serinus_server import mlmodel; "
        "mlmodel.read(Path(sys.argv[1])); print(sorted({'mlflow', 'pandas', 'requests'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, model], cwd="images/server", capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


@pytest.mark.parametrize("length", [0, 6, 40, 100, 160, 250])
def test_a_file_that_was_cut_off_is_unreadable(model: Path, length: int) -> None:
    (model / "MLmodel").write_bytes((model / "MLmodel").read_bytes()[:length])
    with pytest.raises(ModelProblem, match=r"MLmodel cannot be read .*: log the model anew") as caught:
        mlmodel.read(model)
    assert caught.value.reason == UNREADABLE


def test_a_signature_that_was_cut_off_is_unreadable(model: Path) -> None:
    whole = (model / "MLmodel").read_bytes()
    (model / "MLmodel").write_bytes(whole[: whole.index(b'"double"')])
    with pytest.raises(ModelProblem, match="cannot be read"):
        mlmodel.read(model)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("- a\n", "holds no mapping but list"),
        ("flavors: 7\n", "has no flavors"),
        ("flavors: {sklearn: {}}\n", "no python_function flavour (it has: sklearn)"),
        ("flavors: {python_function: {}}\nsignature: {inputs: '[{'}\n", "its signature is broken"),
        ("flavors: !!python/object/apply:os.system [ls]\n", "ConstructorError"),
        ("\x00", "ReaderError"),
    ],
)
def test_a_broken_file_says_what_is_wrong(model: Path, content: str, words: str) -> None:
    (model / "MLmodel").write_text(content)
    with pytest.raises(ModelProblem) as caught:
        mlmodel.read(model)
    assert words in caught.value.message


def test_a_folder_without_the_file_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelProblem, match="no folder of an MLflow model"):
        mlmodel.read(tmp_path)


def test_an_example_that_leads_out_of_the_model_is_none(model: Path) -> None:
    text = (
        (model / "MLmodel").read_text().replace("serving_input_path: serving", "serving_input_path: ../model/serving")
    )
    (model / "MLmodel").write_text(text)
    assert mlmodel.read(model).example.serving_input is None


def test_requirements_become_names_and_specifiers() -> None:
    lines = [
        "# a comment",
        "--extra-index-url https://example.org/simple",
        "Scikit_Learn == 1.9.1  # why",
        "uvicorn[standard]>=0.30,<1 ; python_version > '3.8'",
        "numpy==1.26.4; python_version < '3.4'",
        "plain",
        "git+https://example.org/x.git",
        "x @ https://example.org/x.whl",
        "./code/y.whl",
        "-c constraints.txt",
    ]
    assert mlmodel.parse_requirements(lines) == {
        "scikit-learn": "==1.9.1",
        "uvicorn": ">=0.30,<1",
        "plain": "",
    }
