"""XGBoost and LightGBM: the booster itself, or its estimator of scikit-learn's kind, asked as MLflow asks it."""

import inspect
import logging
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from serinus_server import problems, threads
from serinus_server.flavours import objects, parts, probing
from serinus_server.mlmodel import Recorded
from serinus_server.problems import ModelProblem
from serinus_server.signature import Signature
from serinus_server.values import Array, Opaque, Table, Value

log = logging.getLogger(__name__)

# Before MLflow recorded which class a model has.
_CLASSES: Final = {"xgboost": "xgboost.core.Booster", "lightgbm": "lightgbm.basic.Booster"}

type Ask = Callable[..., Any]


class Boosted:
    """Trees, each of which looks at one row. `ask` predicts a DataFrame; `ask_matrix` may do it with a matrix."""

    joins = True

    def __init__(self, ask: Ask, ask_matrix: Ask, known: frozenset[str], signature: Signature) -> None:
        self._ask = ask
        self._ask_matrix = ask_matrix
        self._known = known
        self._ignored: set[str] = set()
        self.takes_matrix = probing.takes_matrix(signature, ask, ask_matrix)

    def predict(self, value: Value, params: dict[str, Any] | None) -> Any:
        """What the model says; of params, those that its own predict has."""
        if params:
            return self._ask(_plain(value), **self._filtered(params))
        if isinstance(value, Table) and self.takes_matrix:
            matrix = probing.matrix_of(value)
            if matrix is not None:
                return self._ask_matrix(matrix)
        return self._ask(_plain(value))

    def _filtered(self, params: Mapping[str, Any]) -> dict[str, Any]:
        unknown = set(params) - self._known - self._ignored
        if unknown:
            self._ignored |= unknown
            log.warning("the model's predict has no params %s: they are ignored", ", ".join(sorted(unknown)))
        return {name: value for name, value in params.items() if name in self._known}


def is_known(recorded: Recorded, flavour: str) -> bool:
    """Whether the model's class is one of the library's own; others may answer in other ways."""
    return _class_of(recorded, flavour).startswith(f"{flavour}.")


def load(path: Path, recorded: Recorded, flavour: str) -> Boosted:
    """The model of MLflow's flavour xgboost or lightgbm."""
    if recorded.predict_fn != "predict":
        raise ModelProblem(
            problems.UNREADABLE,
            f"MLmodel names {recorded.predict_fn} as its predict_fn, and models of the flavour {flavour} have "
            "only predict: log the model again without pyfunc_predict_fn",
        )
    # It says for each matrix that it has no names; they were checked against the signature by then.
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    file = path / str(recorded.pyfunc.get("data") or recorded.flavors[flavour]["data"])
    if not file.exists():
        raise ModelProblem(problems.UNREADABLE, f"{file} is missing: the model was not completely fetched or logged")
    name = _class_of(recorded, flavour)
    return _xgboost(file, name, recorded) if flavour == "xgboost" else _lightgbm(file, name, recorded)


def _class_of(recorded: Recorded, flavour: str) -> str:
    return str(recorded.flavors[flavour].get("model_class") or _CLASSES[flavour])


def _plain(value: Value) -> Any:
    if isinstance(value, Table):
        return value.frame()
    return value.value if isinstance(value, Opaque) else value


def _xgboost(file: Path, name: str, recorded: Recorded) -> Boosted:
    import xgboost

    module, _, short = name.rpartition(".")
    model = getattr(import_module(module), short)()
    model.load_model(str(file))
    number = threads.count()
    if isinstance(model, xgboost.Booster):
        model.set_param({"nthread": number})
        return _booster(model, number, recorded.signature)
    model.n_jobs = number
    model.get_booster().set_param({"nthread": number})
    known = _params(model.predict)

    def ask(data: Any, **params: Any) -> Any:
        return model.predict(data, **{"validate_features": True, **params})

    return Boosted(ask, model.predict, known, recorded.signature)


def _booster(model: Any, number: int, signature: Signature) -> Boosted:
    import xgboost

    def ask(data: Any, **params: Any) -> Any:
        return model.predict(xgboost.DMatrix(data, nthread=number), **{"validate_features": True, **params})

    def ask_matrix(matrix: Array) -> Any:
        with np.errstate(over="ignore"):
            single = matrix.astype(np.float32, copy=False)
        if not probing.is_finite(single) and np.isinf(single).any():
            # It would take infinity, which a DMatrix refuses.
            return ask(probing.frame_of(names, matrix))
        return model.inplace_predict(single)

    names = tuple(str(one.name) for one in signature.columns)
    if model.feature_names is not None and tuple(model.feature_names) != names:
        # The way of a DataFrame tells the sender so.
        return Boosted(ask, ask, _params(model.predict), signature)
    return Boosted(ask, ask_matrix, _params(model.predict), signature)


def _lightgbm(file: Path, name: str, recorded: Recorded) -> Boosted:
    import lightgbm

    if name == _CLASSES["lightgbm"]:
        # Of a file that ends before its last line LightGBM ends the process.
        objects.whole(file, b"\npandas_categorical:")
        model = lightgbm.Booster(model_file=str(file), params={"num_threads": threads.count(), "verbose": -1})
        return Boosted(model.predict, model.predict, frozenset(), recorded.signature)
    flavour = recorded.flavors["lightgbm"]
    model = objects.read(file, str(flavour.get("serialization_format") or "cloudpickle"), flavour)
    parts.limit_threads(model, threads.count())
    quick = Boosted(model.predict, _ask_booster(model, threads.count()), frozenset(), recorded.signature)
    return quick if quick.takes_matrix else Boosted(model.predict, model.predict, frozenset(), recorded.signature)


def _ask_booster(model: Any, number: int) -> Ask:
    """What LightGBM's estimators do with a matrix after scikit-learn has looked at it, which takes 95 % of the time."""
    if callable(model.objective) or any(name.startswith("pred") for name in model.get_params()):
        return cast("Ask", model.predict)
    predict, classes = model.booster_.predict, getattr(model, "classes_", None)

    def ask(matrix: Array) -> Any:
        outputs = predict(matrix, num_threads=number)
        if classes is None:
            return outputs
        scores = outputs if outputs.ndim > 1 else np.stack((1.0 - outputs, outputs), axis=1)
        return classes.take(scores.argmax(axis=1))

    return ask


def _params(predict: Any) -> frozenset[str]:
    return frozenset(inspect.signature(predict).parameters) - {"self", "data", "X"}
