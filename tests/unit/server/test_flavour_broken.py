"""A model that cannot be loaded says why and what to do, in one line that a person understands."""

import builtins
import pickle
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from serinus_server import flavours, mlmodel, problems
from serinus_server.problems import ModelProblem
from tests.unit.server import flavour_models as models

pytestmark = pytest.mark.filterwarnings("ignore")


def copy(name: str, to: Path) -> Path:
    """A model's folder that may be broken."""
    return Path(shutil.copytree(models.served(name).path, to / "model"))


def change(path: Path, flavour: str, **what: Any) -> None:
    """Record something else of the model."""
    content = yaml.safe_load((path / "MLmodel").read_text())
    content["flavors"][flavour].update(what)
    (path / "MLmodel").write_text(yaml.safe_dump(content))


def problem(path: Path, way: str = "auto") -> ModelProblem:
    """What is said of a model that cannot be loaded."""
    with pytest.raises(ModelProblem) as told:
        flavours.load(path, mlmodel.read(path), way=way)
    said = told.value
    assert "\n" not in said.message
    assert "Traceback" not in said.message
    assert len(said.message) < 600
    return said


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("classifier", "model.pkl"),
        ("skops", "model.skops"),
        ("xgboost classifier", "model.ubj"),
        ("lightgbm booster", "model.lgb"),
        ("lightgbm classifier", "model.skops"),
        ("onnx regression", "model.onnx"),
        ("pyfunc of pandas", "python_model.pkl"),
    ],
)
def test_a_file_that_was_cut_off(tmp_path: Path, name: str, file: str, part: float) -> None:
    path = copy(name, tmp_path)
    content = (path / file).read_bytes()
    (path / file).write_bytes(content[: int(len(content) * part)])
    said = problem(path)
    assert said.reason == problems.UNREADABLE
    assert "cut off" in said.message


@pytest.mark.parametrize(
    ("name", "file"),
    [("classifier", "model.pkl"), ("skops", "model.skops"), ("xgboost booster", "model.ubj"),
     ("onnx regression", "model.onnx"), ("lightgbm booster", "model.lgb")],
)  # fmt: skip
def test_a_file_that_is_not_there(tmp_path: Path, name: str, file: str) -> None:
    path = copy(name, tmp_path)
    (path / file).unlink()
    said = problem(path)
    assert said.reason == problems.UNREADABLE
    assert file in said.message


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("classifier", "sklearn", "scikit-learn"),
        ("xgboost booster", "xgboost", "xgboost"),
        ("lightgbm booster", "lightgbm", "lightgbm"),
        ("onnx regression", "onnxruntime", "onnxruntime"),
    ],
)
def test_a_package_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, package: str
) -> None:
    path = copy(name, tmp_path)
    (path / "requirements.txt").write_text(f"{package}==1.0\n")
    without(monkeypatch, module)
    said = problem(path)
    assert said.reason == problems.PACKAGE_MISSING
    assert f"the package {package}," in said.message
    assert "server.environment: Model" in said.message


def without(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """As if it were not installed."""
    for name in [one for one in sys.modules if one.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def imported(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == module:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", imported)


def test_a_module_of_the_authors_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = own_module(tmp_path, monkeypatch, "class Twice:\n    def predict(self, rows): return rows * 2\n")
    said = problem(path)
    assert said.reason == problems.PACKAGE_MISSING
    assert "the module authors_own" in said.message
    assert "code_paths" in said.message


def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> Path:
    """A model of a class in a module that is there while it is saved, and then gone."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "authors_own.py").write_text(code)
    with monkeypatch.context() as while_saved:
        while_saved.syspath_prepend(str(tmp_path / "own"))
        path = copy("pickle", tmp_path)
        (path / "model.pkl").write_bytes(pickle.dumps(import_module("authors_own").Twice()))
    sys.modules.pop("authors_own")
    return path


def test_modules_that_were_logged_with_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = own_module(tmp_path, monkeypatch, "class Twice:\n    def predict(self, rows): return rows * 2\n")
    shutil.copytree(tmp_path / "own", path / "code")
    change(path, "python_function", code="code")
    monkeypatch.setattr(sys, "path", list(sys.path))
    model = flavours.load(path, mlmodel.read(path))
    assert model.flavour == "sklearn"
    assert not model.joins
    assert model.predict(np.ones((1, 2)), None).tolist() == [[2.0, 2.0]]


def test_a_class_that_was_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = own_module(tmp_path, monkeypatch, "class Twice: pass\n")
    (tmp_path / "own" / "authors_own.py").write_text("class Thrice: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path / "own"))
    said = problem(path)
    assert said.reason == problems.UNREADABLE
    assert "Twice" in said.message
    assert "not where it was" in said.message


def test_types_that_skops_was_not_told_to_trust(tmp_path: Path) -> None:
    path = copy("forest of numbers", tmp_path)
    change(path, "sklearn", skops_trusted_types=None)
    said = problem(path)
    assert said.reason == problems.UNREADABLE
    assert "skops_trusted_types=['sklearn.tree._tree.Tree']" in said.message


def test_a_form_that_nobody_knows(tmp_path: Path) -> None:
    path = copy("classifier", tmp_path)
    change(path, "sklearn", serialization_format="dill")
    assert "'dill'" in problem(path).message


def test_a_method_that_the_model_does_not_have(tmp_path: Path) -> None:
    path = copy("skops", tmp_path)
    change(path, "python_function", predict_fn="predict_proba")
    assert "Ridge has no predict_proba" in problem(path).message


@pytest.mark.parametrize("name", ["xgboost classifier", "lightgbm classifier", "onnx regression"])
def test_a_method_that_the_flavour_does_not_have(tmp_path: Path, name: str) -> None:
    path = copy(name, tmp_path)
    change(path, "python_function", predict_fn="predict_proba")
    assert "predict_proba" in problem(path).message


def test_nothing_is_unpickled_where_that_is_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = copy("classifier", tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    assert problem(path).reason == problems.SETTINGS


def test_direct_is_refused_for_what_only_mlflow_can_load(tmp_path: Path) -> None:
    path = copy("pyfunc of pandas", tmp_path)
    said = problem(path, way="direct")
    assert said.reason == problems.SETTINGS
    assert "mlflow.pyfunc.model" in said.message


def test_a_model_of_an_older_mlflow(tmp_path: Path) -> None:
    path = copy("pickle", tmp_path)
    content = yaml.safe_load((path / "MLmodel").read_text())
    content["flavors"]["sklearn"] = {"pickled_model": "model.pkl", "sklearn_version": "0.24"}
    content["flavors"]["python_function"] = {"loader_module": "mlflow.sklearn", "model_path": "model.pkl"}
    content = {name: content[name] for name in ("flavors", "signature")}
    (path / "MLmodel").write_text(yaml.safe_dump(content))
    assert flavours.load(path, mlmodel.read(path)).flavour == "sklearn"
