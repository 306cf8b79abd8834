"""Load a model by the shortest way that answers as `mlflow.pyfunc` does."""

import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from serinus_server import problems, shown, threads
from serinus_server.batcher import Predictor
from serinus_server.mlmodel import Recorded, canonical
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
_BOOSTED: Final = {"xgboost", "lightgbm"}
# What is imported by another name than it is installed by.
_PACKAGES: Final = {"sklearn": "scikit-learn", "PIL": "pillow", "cv2": "opencv-python", "yaml": "pyyaml"}
_REBUILD: Final = "server.environment: Model rebuilds the packages that it was logged with"


@dataclass(frozen=True)
class Model:
    """A model that can be asked; its flavour is that of the way that was chosen."""

    flavour: str
    predictor: Predictor
    seconds: float

    @property
    def joins(self) -> bool:
        """Whether rows of several requests are known to come out the same when they are predicted together."""
        return self.predictor.joins

    def predict(self, value: Value, params: dict[str, Any] | None) -> Any:
        """The outputs, as `mlflow.pyfunc` would return them."""
        return self.predictor.predict(value, params)


def load(path: Path, recorded: Recorded, *, way: str = "auto") -> Model:
    """The model in this folder. `way` is auto, direct or pyfunc. Raises a ModelProblem that says what to do."""
    began = time.perf_counter()
    flavour = _flavour(recorded, way)
    threads.limit()
    try:
        predictor = _predictor(flavour, path, recorded)
    except (ModelProblem, MemoryError):
        raise
    except ModuleNotFoundError as error:
        raise ModelProblem(problems.PACKAGE_MISSING, _missing(error, recorded)) from error
    except Exception as error:
        raise ModelProblem(problems.UNREADABLE, _broken(error, flavour)) from error
    return Model(flavour, predictor, time.perf_counter() - began)


def _flavour(recorded: Recorded, way: str) -> str:
    """The way to load it."""
    direct = _DIRECT.get(recorded.loader_module, "")
    is_known = direct in recorded.flavors and not recorded.pyfunc.get("config")
    if is_known and direct in _BOOSTED:
        from serinus_server.flavours import boosted

        is_known = boosted.is_known(recorded, direct)
    if way == "pyfunc" or (way == "auto" and not is_known):
        return "pyfunc"
    if not is_known:
        raise ModelProblem(
            problems.SETTINGS,
            f"MODEL_WAY=direct, but the model is made for {recorded.loader_module}: leave it at auto",
        )
    return direct


def _predictor(flavour: str, path: Path, recorded: Recorded) -> Predictor:
    """Import what this flavour needs, and nothing else."""
    if flavour == "pyfunc":
        from serinus_server.flavours.pyfunc import load as load_pyfunc

        return load_pyfunc(path)
    if code := recorded.pyfunc.get("code"):
        # Modules that were logged with the model, found before others of the same name.
        sys.path.insert(0, str(path / str(code)))
    if flavour == "sklearn":
        from serinus_server.flavours.estimator import load as load_estimator

        return load_estimator(path, recorded)
    if flavour == "onnx":
        from serinus_server.flavours.graph import load as load_graph

        return load_graph(path, recorded)
    from serinus_server.flavours.boosted import load as load_boosted

    return load_boosted(path, recorded, flavour)


def _missing(error: ModuleNotFoundError, recorded: Recorded) -> str:
    module = (error.name or str(error)).partition(".")[0]
    package = _PACKAGES.get(module, module)
    if canonical(package) in recorded.requirements or error.name is None:
        return (
            f"the model needs the package {package}, which this image does not have: set server.environment: Model, "
            "or serve it with an image that has it"
        )
    return (
        f"the model needs the module {module}, which is neither in this image nor among the packages that it was "
        "logged with: log it with code_paths if the module is your own, or name its package in pip_requirements"
    )


def _broken(error: Exception, flavour: str) -> str:
    # The first line: others are hints of libraries for those who call them.
    said = shown.text(f"{type(error).__name__}: {str(error).partition('\n')[0]}")
    if isinstance(error, AttributeError) and "get attribute" in str(error):
        return (
            f"the model has a class or function that is not where it was when it was logged ({said}): "
            "log it with code_paths, or with cloudpickle from a module that is installed here"
        )
    if isinstance(error, FileNotFoundError):
        return f"a file of the model is missing ({said}): it was not completely fetched or logged"
    return (
        f"the model cannot be loaded as {flavour} ({said}): its file was cut off, or it was logged with other "
        f"versions, and then {_REBUILD}"
    )
