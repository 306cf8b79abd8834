"""Any flavour, through MLflow's own loader."""

import inspect
import os
import warnings
from pathlib import Path
from typing import Any

from serinus_server.values import Opaque, Table, Value


class PyFunc:
    """A model of `mlflow.pyfunc`; what was checked already is not checked again."""

    # Its rows may depend on each other, for all that is known of it; see `warming`.
    joins = False

    def __init__(self, model: Any) -> None:
        self.model = model
        # The model itself, behind the check of the signature.
        self._direct = getattr(model, "_predict_fn", None)
        self._takes_params = _takes_params(self._direct)

    def predict(self, value: Value, params: dict[str, Any] | None) -> Any:
        """What the model says."""
        if self._direct is None or (isinstance(value, Opaque) and not value.enforced):
            return self.model.predict(_plain(value), params=params)
        if self._takes_params:
            return self._direct(_plain(value), params=params)
        return self._direct(_plain(value))


def load(path: Path) -> PyFunc:
    """The model, as `mlflow.pyfunc.load_model` has it."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Models ask for it to know whether they serve; the scoring server of MLflow sets it likewise.
    os.environ["_MLFLOW_IS_IN_SERVING_ENVIRONMENT"] = "true"
    with warnings.catch_warnings():
        # That versions differ is told by `versions`, once and in words.
        warnings.simplefilter("ignore")
        import mlflow.pyfunc

        return PyFunc(mlflow.pyfunc.load_model(str(path), suppress_warnings=True))


def _takes_params(predict: Any) -> bool:
    if predict is None:
        return False
    found = inspect.signature(predict).parameters.get("params")
    return found is not None and found.kind != inspect.Parameter.VAR_KEYWORD


def _plain(value: Value) -> Any:
    if isinstance(value, Table):
        return value.frame()
    return value.value if isinstance(value, Opaque) else value
