"""A scikit-learn model behind BentoML with its adaptive batching: a matrix in, predictions out."""

import os

import bentoml  # type: ignore[import-not-found]  # only where this runs
import joblib  # type: ignore[import-untyped]
import numpy as np


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Model:
    """The model; a limit on the latency of a batch would make BentoML refuse what waits longer."""

    def __init__(self) -> None:
        self.model = joblib.load(os.environ["BENCH_MODEL"])

    @bentoml.api(batchable=True, max_batch_size=1000, max_latency_ms=60000)  # type: ignore[untyped-decorator]
    def predict(self, data: np.ndarray) -> np.ndarray:
        """Predict."""
        return np.asarray(self.model.predict(data))
