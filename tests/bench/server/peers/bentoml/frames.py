"""A scikit-learn pipeline on a pandas frame behind BentoML with its adaptive batching: records in, predictions out.

Not a pandas frame as the argument: BentoML 1.4 does not know pandas 3's frames, and fails to make a batch of them.
"""

import os
from typing import Any

import bentoml  # type: ignore[import-not-found]  # only where this runs
import joblib  # type: ignore[import-untyped]
import numpy as np
import pandas as pd


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Model:
    """The pipeline; a limit on the latency of a batch would make BentoML refuse what waits longer."""

    def __init__(self) -> None:
        self.model = joblib.load(os.environ["BENCH_MODEL"])

    @bentoml.api(batchable=True, max_batch_size=1000, max_latency_ms=60000)  # type: ignore[untyped-decorator]
    def predict(self, data: list[dict[str, Any]]) -> np.ndarray:
        """Predict."""
        return np.asarray(self.model.predict(pd.DataFrame(data)))
