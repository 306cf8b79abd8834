"""Small real models of each flavour, saved by MLflow once for all tests, and MLflow's own answers to compare with."""

import atexit
import json
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pandas as pd

from serinus_server import flavours, mlmodel
from serinus_server.flavours import Model
from serinus_server.mlmodel import Recorded
from serinus_server.scoring import Scoring

JSON = "application/json"
ROWS = 24
_HOME = mkdtemp(prefix="flavours-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)


@contextmanager
def quiet() -> Iterator[None]:
    """What other libraries warn of while they train and save is not what is tested."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


with quiet():
    import lightgbm
    import mlflow
    import xgboost
    from mlflow.models import infer_signature
    from mlflow.pyfunc import scoring_server
    from skl2onnx import to_onnx
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import (
        ExtraTreesRegressor,
        GradientBoostingClassifier,
        GradientBoostingRegressor,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
        RandomForestRegressor,
    )
    from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

TREES = ["sklearn.tree._tree.Tree", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
_random = np.random.default_rng(7)
NUMBERS = pd.DataFrame(_random.standard_normal((200, 4)) * [1, 10, 0.1, 100], columns=list("abcd"))
CLASSES = (NUMBERS.a + NUMBERS.b / 10 > 0).astype(int) + (NUMBERS.c > 0.05)
WORDS = np.array(["no", "maybe", "yes"])[CLASSES]
WHOLE = pd.DataFrame(_random.integers(-50, 50, (200, 3)), columns=list("ijk"))
SINGLE = NUMBERS.astype(np.float32)
YES_NO = pd.DataFrame(_random.random((200, 3)) > 0.5, columns=list("xyz"))
MIXED = pd.DataFrame(
    {
        "age": _random.integers(18, 90, 200),
        "income": _random.random(200) * 1e5,
        "city": _random.choice(["Berlin", "Paris", "Rome"], 200),
        "member": _random.random(200) > 0.5,
    }
)
RICH = MIXED.income > 5e4


@dataclass(frozen=True)
class Served:
    """A model as we load it and as MLflow does."""

    path: Path
    recorded: Recorded
    ours: Model
    scoring: Scoring
    theirs: Any

    def ask_theirs(self, body: bytes) -> Any:
        """The outputs of `mlflow.pyfunc` for a request, read as MLflow's scoring server reads it."""
        content = json.loads(body)
        read: Any = scoring_server._parse_json_data  # noqa: SLF001 - there is no other way in
        parsed = read(content, self.theirs.metadata, self.theirs.metadata.get_input_schema())
        return self.theirs.predict(parsed.data, params=parsed.params)


def theirs_written(outputs: Any) -> Any:
    """The JSON of MLflow's scoring server."""
    stream = StringIO()
    write: Any = scoring_server.predictions_to_json
    write(outputs, stream)
    return json.loads(stream.getvalue())


def sklearn(model: Any, inputs: Any, *, signed: bool = True, **more: Any) -> Path:
    """A model of the flavour sklearn."""
    path = Path(mkdtemp(dir=_HOME)) / "model"
    method = more.get("pyfunc_predict_fn", "predict")
    signature = infer_signature(inputs, getattr(model, method)(inputs)) if signed else None
    more = {"serialization_format": "cloudpickle", **more}
    mlflow.sklearn.save_model(model, path, signature=signature, pip_requirements=["scikit-learn"], **more)
    return path


def saved(flavour: Any, model: Any, inputs: Any, outputs: Any, **more: Any) -> Path:
    """A model of another flavour."""
    path = Path(mkdtemp(dir=_HOME)) / "model"
    signature = infer_signature(inputs, outputs, params=more.pop("params", None))
    flavour.save_model(model, path=path, signature=signature, pip_requirements=["mlflow"], **more)
    return path


def _less_mean(rows: Any) -> Any:
    return rows - np.mean(rows, axis=0)


def _columns() -> Any:
    numbers = (StandardScaler(), ["age", "income"])
    words = (OneHotEncoder(handle_unknown="ignore"), ["city"])
    return make_pipeline(make_column_transformer(numbers, words, remainder="passthrough"), LogisticRegression())


def _bool_forest() -> Path:
    return sklearn(RandomForestClassifier(9, random_state=1).fit(YES_NO, YES_NO.x), YES_NO)


def _xgboost(kind: str) -> Path:
    model = getattr(xgboost, kind)(n_estimators=12, max_depth=3)
    target = NUMBERS.d if kind == "XGBRegressor" else CLASSES
    model.fit(NUMBERS, target)
    return saved(mlflow.xgboost, model, NUMBERS, model.predict(NUMBERS))


def _xgboost_booster() -> Path:
    data = xgboost.DMatrix(NUMBERS, (CLASSES > 0).astype(int))
    model = xgboost.train({"objective": "binary:logistic"}, data, 12)
    return saved(mlflow.xgboost, model, NUMBERS, model.predict(data), params={"output_margin": False, "other": 1})


def _lightgbm(kind: str, target: Any) -> Path:
    model = getattr(lightgbm, kind)(n_estimators=12, num_leaves=5, verbose=-1).fit(NUMBERS, target)
    return saved(mlflow.lightgbm, model, NUMBERS, model.predict(NUMBERS))


def _lightgbm_booster() -> Path:
    model = lightgbm.train({"verbose": -1}, lightgbm.Dataset(NUMBERS, NUMBERS.d), 12)
    return saved(mlflow.lightgbm, model, NUMBERS, model.predict(NUMBERS))


def _onnx(dtype: Any, *, tensor: bool = False, regression: bool = False) -> Path:
    rows = NUMBERS.to_numpy(dtype)
    model = LinearRegression().fit(rows, NUMBERS.d) if regression else LogisticRegression().fit(rows, CLASSES)
    graph = to_onnx(model, rows[:1], options={"zipmap": False} if tensor else None)
    return saved(mlflow.onnx, graph, rows if tensor else NUMBERS.astype(dtype), model.predict(rows))


class Scaled(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """Each row by itself, times a param."""

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:  # noqa: ARG002, D102
        return (model_input["income"] * (params or {})["factor"]).where(model_input["city"] != "Rome", -1.0)


class Normalised(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """Each row by all of its batch."""

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:  # noqa: ARG002, D102
        return (model_input["income"] - model_input["income"].mean()).to_numpy()


class Pandas(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """A pipeline of DataFrames."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:  # noqa: ARG002, D102
        chances = self.model.predict_proba(model_input)
        return pd.DataFrame(chances, columns=["no", "yes"], index=model_input.index)


def pyfunc(model: Any, **more: Any) -> Path:
    """A pyfunc over the mixed columns, with three rows as its example unless told otherwise."""
    more = {"input_example": MIXED.head(3), **more}
    path = Path(mkdtemp(dir=_HOME)) / "model"
    signature = infer_signature(MIXED, np.array([0.5]), params=more.pop("params", None))
    mlflow.pyfunc.save_model(path, python_model=model, signature=signature, pip_requirements=["mlflow"], **more)
    return path


MODELS: dict[str, tuple[Callable[[], Path], Any]] = {
    "classifier": (lambda: sklearn(LogisticRegression().fit(NUMBERS, CLASSES), NUMBERS), NUMBERS),
    "binary": (lambda: sklearn(LogisticRegression().fit(NUMBERS, RICH), NUMBERS), NUMBERS),
    "words": (lambda: sklearn(SGDClassifier(random_state=1).fit(NUMBERS, WORDS), NUMBERS), NUMBERS),
    "skops": (lambda: sklearn(Ridge().fit(NUMBERS, NUMBERS.d), NUMBERS, serialization_format="skops"), NUMBERS),
    "pickle": (lambda: sklearn(LinearRegression().fit(NUMBERS, NUMBERS), NUMBERS, serialization_format="pickle"), NUMBERS),  # noqa: E501
    "scaled": (lambda: sklearn(make_pipeline(StandardScaler(), LogisticRegression()).fit(NUMBERS, CLASSES), NUMBERS), NUMBERS),  # noqa: E501
    "chances": (lambda: sklearn(LogisticRegression().fit(NUMBERS, CLASSES), NUMBERS, pyfunc_predict_fn="predict_proba"), NUMBERS),  # noqa: E501
    "binary chances": (lambda: sklearn(LogisticRegression().fit(NUMBERS, RICH), NUMBERS, pyfunc_predict_fn="predict_proba"), NUMBERS),  # noqa: E501
    "forest": (lambda: sklearn(RandomForestClassifier(30, random_state=1, n_jobs=2).fit(NUMBERS, WORDS), NUMBERS), NUMBERS),  # noqa: E501
    "forest chances": (lambda: sklearn(RandomForestClassifier(30, random_state=1).fit(NUMBERS, CLASSES), NUMBERS, pyfunc_predict_fn="predict_proba"), NUMBERS),  # noqa: E501
    "forest of numbers": (lambda: sklearn(RandomForestRegressor(30, random_state=1).fit(NUMBERS, NUMBERS.d), NUMBERS, serialization_format="skops", skops_trusted_types=TREES), NUMBERS),  # noqa: E501
    "forest of two": (lambda: sklearn(ExtraTreesRegressor(9).fit(NUMBERS, NUMBERS[["a", "b"]]), NUMBERS), NUMBERS),
    "boosting": (lambda: sklearn(GradientBoostingClassifier(n_estimators=9).fit(NUMBERS, CLASSES), NUMBERS), NUMBERS),
    "boosting of two": (lambda: sklearn(GradientBoostingClassifier(n_estimators=9).fit(NUMBERS, RICH), NUMBERS), NUMBERS),  # noqa: E501
    "boosting of numbers": (lambda: sklearn(GradientBoostingRegressor(n_estimators=9).fit(NUMBERS, NUMBERS.d), NUMBERS), NUMBERS),  # noqa: E501
    "histograms": (lambda: sklearn(HistGradientBoostingClassifier(max_iter=9).fit(NUMBERS, CLASSES), NUMBERS), NUMBERS),
    "neighbours": (lambda: sklearn(KNeighborsClassifier(n_jobs=2).fit(NUMBERS, WORDS), NUMBERS), NUMBERS),
    "integers": (lambda: sklearn(LinearRegression().fit(WHOLE, WHOLE.i), WHOLE), WHOLE),
    "integer forest": (lambda: sklearn(RandomForestClassifier(9, random_state=1).fit(WHOLE, WHOLE.i > 0), WHOLE), WHOLE),  # noqa: E501
    "single precision": (lambda: sklearn(LogisticRegression().fit(SINGLE, CLASSES), SINGLE), SINGLE),
    "booleans": (_bool_forest, YES_NO),
    "columns": (lambda: sklearn(_columns().fit(MIXED, RICH), MIXED), MIXED),
    "tensor": (lambda: sklearn(LogisticRegression().fit(NUMBERS.to_numpy(), CLASSES), NUMBERS.to_numpy()), NUMBERS.to_numpy()),  # noqa: E501
    "unsigned": (lambda: sklearn(LogisticRegression().fit(NUMBERS, CLASSES), NUMBERS, signed=False), NUMBERS),
    "logarithm": (lambda: sklearn(make_pipeline(FunctionTransformer(np.cbrt), Ridge()).fit(NUMBERS, NUMBERS.d), NUMBERS), NUMBERS),  # noqa: E501
    "by batch": (lambda: sklearn(make_pipeline(FunctionTransformer(_less_mean), Ridge()).fit(NUMBERS, NUMBERS.d), NUMBERS), NUMBERS),  # noqa: E501
    "xgboost classifier": (lambda: _xgboost("XGBClassifier"), NUMBERS),
    "xgboost regressor": (lambda: _xgboost("XGBRegressor"), NUMBERS),
    "xgboost booster": (_xgboost_booster, NUMBERS),
    "lightgbm classifier": (lambda: _lightgbm("LGBMClassifier", CLASSES), NUMBERS),
    "lightgbm words": (lambda: _lightgbm("LGBMClassifier", np.array(["no", "yes"])[(CLASSES > 0).astype(int)]), NUMBERS),  # noqa: E501
    "lightgbm regressor": (lambda: _lightgbm("LGBMRegressor", NUMBERS.d), NUMBERS),
    "lightgbm booster": (_lightgbm_booster, NUMBERS),
    "onnx of singles": (lambda: _onnx(np.float32), SINGLE),
    "onnx of doubles": (lambda: _onnx(np.float64, regression=True), NUMBERS),
    "onnx regression": (lambda: _onnx(np.float32, regression=True), SINGLE),
    "onnx tensor": (lambda: _onnx(np.float32, tensor=True), SINGLE.to_numpy()),
    "pyfunc with params": (lambda: pyfunc(Scaled(), params={"factor": 2.0}), MIXED),
    "pyfunc of pandas": (lambda: pyfunc(Pandas(_columns().fit(MIXED, RICH))), MIXED),
}  # fmt: skip


@cache
def served(name: str) -> Served:
    """One of these models, made and loaded once."""
    with quiet():
        make, _ = MODELS[name]
        return of(make())


def of(path: Path, *, way: str = "auto") -> Served:
    """A model of this folder, loaded both ways."""
    recorded = mlmodel.read(path)
    ours = flavours.load(path, recorded, way=way)
    return Served(path, recorded, ours, Scoring(recorded), mlflow.pyfunc.load_model(str(path)))


def bodies(name: str, rows: int = ROWS) -> list[bytes]:
    """Requests for the rows of a model, one row each."""
    _, inputs = MODELS[name]
    return [body(inputs[at : at + 1]) for at in range(rows)]


def body(inputs: Any) -> bytes:
    """A request for these rows."""
    if isinstance(inputs, pd.DataFrame):
        split = {"columns": list(inputs.columns), "data": [list(row) for row in inputs.astype(object).to_numpy()]}
        return json.dumps({"dataframe_split": split}).encode()
    return json.dumps({"inputs": inputs.tolist()}).encode()
