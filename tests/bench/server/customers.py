"""The model of the pandas pipeline, as MLflow keeps it: the code beside the pipeline that was trained."""

from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class Customers(PythonModel):
    """Whether a customer stays."""

    def load_context(self, context: Any) -> None:  # noqa: ANN401 (mlflow has no types here)
        """Load the pipeline that belongs to this version."""
        self.pipeline = joblib.load(context.artifacts["pipeline"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> np.ndarray:  # noqa: ANN401, ARG002
        """A label for each row."""
        return np.asarray(self.pipeline.predict(model_input))


set_model(Customers())
