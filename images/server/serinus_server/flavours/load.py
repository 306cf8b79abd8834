"""Load a model by the shortest way that answers as `mlflow.pyfunc` does."""

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from serinus_server import problems
from serinus_server.batcher import Predictor
from serinus_server.mlmodel import Recorded
from serinus_server.problems import ModelProblem
from serinus_server.values import Value

log = logging.getLogger(__name__)

# The modules that pyfunc would load these flavours with; a model that names another one has its own ways.
_DIRECT: Final = {
    "mlflow.sklearn": "sklearn",
    "mlflow.xgboost": "xgboost",
    "mlflow.lightgbm": "lightgbm",
    "mlflow.onnx": "onnx",
}


@dataclass(frozen=True)
class Model:
    """A model that can be asked; its flavour is that of the way that was chosen."""

    flavour: str
    predictor: Predictor
    seconds: float

    @property
    def joins(self) -> bool:
        """Whether rows of several requests may be predicted together."""
        return self.predictor.joins

    def predict(self, value: Value, params: dict[str, Any] | None) -> Any:
        """The outputs, as `mlflow.pyfunc` would return them."""
        return self.predictor.predict(value, params)


def load(path: Path, recorded: Recorded, *, way: str = "auto") -> Model:
    """The model in this folder. `way` is auto, direct or pyfunc. Raises a ModelProblem that says what to do."""
    began = time.perf_counter()
    flavour = _flavour(recorded, way)
    try:
        predictor = _predictor(flavour, path, recorded)
    except ModelProblem:
        raise
    except ModuleNotFoundError as error:
        raise ModelProblem(problems.PACKAGE_MISSING, _missing(error)) from error
    except MemoryError:
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise ModelProblem(
            problems.UNREADABLE,
            f"the model cannot be loaded as {flavour}: {text}; was it logged with other versions? "
            "server.environment: Model rebuilds the packages that it was logged with",
        ) from error
    return Model(flavour, predictor, time.perf_counter() - began)


def _flavour(recorded: Recorded, way: str) -> str:
    """The way to load it."""
    direct = _DIRECT.get(recorded.loader_module, "")
    is_plain = direct in recorded.flavors and not recorded.pyfunc.get("code")
    if way == "pyfunc" or (way == "auto" and not (is_plain and not recorded.is_signature_from_type_hint)):
        return "pyfunc"
    if not is_plain:
        raise ModelProblem(
            problems.SETTINGS,
            f"MODEL_WAY=direct, but the model is made for {recorded.loader_module}: leave it at auto",
        )
    return direct


def _predictor(flavour: str, path: Path, recorded: Recorded) -> Predictor:
    """Import what this flavour needs, and nothing else."""
    if flavour == "sklearn":
        from serinus_server.flavours.estimator import load as load_estimator

        return load_estimator(path, recorded)
    if flavour in {"xgboost", "lightgbm"}:
        from serinus_server.flavours.boosted import load as load_boosted

        return load_boosted(path, recorded, flavour)
    if flavour == "onnx":
        from serinus_server.flavours.graph import load as load_graph

        return load_graph(path, recorded)
    from serinus_server.flavours.pyfunc import load as load_pyfunc

    return load_pyfunc(path, recorded)


def _missing(error: ModuleNotFoundError) -> str:
    name = (error.name or str(error)).partition(".")[0]
    return (
        f"the model needs the package {name}, which this image does not have: set server.environment: Model, "
        "or serve it with an image that has it"
    )


def may_unpickle() -> None:
    """MLflow's switch against models that could run anything while they are loaded, whatever their format."""
    if os.environ.get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true").lower() not in {"true", "1"}:
        raise ModelProblem(
            problems.SETTINGS,
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION is off, and loading this model may run code: "
            "allow it for models that you trust, or serve one in the ONNX format",
        )
