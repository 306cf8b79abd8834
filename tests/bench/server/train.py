"""Make the models that are served: `python -m tests.bench.server.train FOLDER`.

Each gets a folder with `mlflow` (as MLflow saves it), `model.joblib` (the same for who serves scikit-learn by hand) and
`sample.json`: rows to ask for, and what the model itself predicts for them.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_iris, make_classification
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

ROWS = 800
SEED = 7
TRUSTED = ["sklearn.tree._tree.Tree"]
CODE = Path(__file__).with_name("customers.py")
CHOICES = {
    "country": ["de", "fr", "jp", "br", "us", "ke"],
    "plan": ["free", "basic", "plus", "team"],
    "device": ["phone", "tablet", "laptop"],
}


def main(folder: Path) -> None:
    """Make them all."""
    for name, make in MODELS.items():
        own = folder / name
        own.mkdir(parents=True)
        _keep_sample(own, make(own))


def _keep_sample(folder: Path, asked: pd.DataFrame) -> None:
    """What is asked for, and what MLflow itself answers for it."""
    predicted = mlflow.pyfunc.load_model(str(folder / "mlflow")).predict(asked)
    found = {
        "columns": list(asked.columns),
        "kinds": [_kind(asked[name]) for name in asked.columns],
        "rows": [list(row) for row in asked.astype(object).itertuples(index=False)],
        "predictions": np.asarray(predicted).tolist(),
    }
    (folder / "sample.json").write_text(json.dumps(found))


def _kind(column: pd.Series) -> str:
    return {"i": "long", "f": "double"}.get(column.dtype.kind, "string")


def _logistic_regression(folder: Path) -> pd.DataFrame:
    known = load_iris(as_frame=True)
    return _numeric(folder, lambda: LogisticRegression(max_iter=1000), known.data, known.target, decimals=1)


def _random_forest(folder: Path) -> pd.DataFrame:
    known = load_breast_cancer(as_frame=True)
    make = lambda: RandomForestClassifier(n_estimators=100, random_state=SEED)  # noqa: E731 (given on twice)
    return _numeric(folder, make, known.data, known.target, decimals=4)


def _gradient_boosting(folder: Path) -> pd.DataFrame:
    inputs, labels = make_classification(2000, 50, n_informative=20, random_state=SEED)
    frame = pd.DataFrame(inputs.round(6), columns=[f"feature_{index}" for index in range(50)])
    return _numeric(folder, lambda: GradientBoostingClassifier(random_state=SEED), frame, labels, decimals=6)


def _numeric(
    folder: Path,
    make: Callable[[], Any],
    known: pd.DataFrame,
    labels: Any,  # noqa: ANN401 (scikit-learn has no types here)
    *,
    decimals: int,
) -> pd.DataFrame:
    """Train twice: with the names of the columns for MLflow, and without for those who ask with arrays.

    Else scikit-learn would make the others pay for a warning with each prediction.
    """
    model = make().fit(known, labels)
    joblib.dump(make().fit(known.to_numpy(), labels), folder / "model.joblib")
    mlflow.sklearn.save_model(
        model,
        folder / "mlflow",
        signature=infer_signature(known, model.predict(known)),
        input_example=known.head(2),
        skops_trusted_types=TRUSTED,
    )
    return _asked(known, decimals)


def _asked(known: pd.DataFrame, decimals: int) -> pd.DataFrame:
    """Rows as those known, moved a little, so that no two are the same."""
    chance = np.random.default_rng(SEED)
    drawn = known.sample(ROWS, replace=True, random_state=SEED).reset_index(drop=True)
    moved = drawn + chance.normal(scale=0.1, size=drawn.shape) * known.std().to_numpy()
    return moved.clip(known.min(), known.max(), axis="columns").round(decimals)


def _pandas_pipeline(folder: Path) -> pd.DataFrame:
    known = _customers(4000, SEED)
    labels = ((known.balance / known.income + (known.plan != "free") + known.visits / 40) > 1).astype(int)
    numbers = [name for name in known.columns if name not in CHOICES]
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), numbers), ("words", OneHotEncoder(handle_unknown="ignore"), list(CHOICES))]
    )
    pipeline = Pipeline([("columns", columns), ("model", LogisticRegression(max_iter=1000))]).fit(known, labels)
    joblib.dump(pipeline, folder / "model.joblib")
    mlflow.pyfunc.save_model(
        folder / "mlflow",
        python_model=str(CODE),
        artifacts={"pipeline": str(folder / "model.joblib")},
        signature=infer_signature(known, pipeline.predict(known)),
        input_example=known.head(2),
    )
    return _customers(ROWS, SEED + 1)


def _customers(number: int, seed: int) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    numbers: Mapping[str, Any] = {
        "age": chance.integers(18, 90, number),
        "income": chance.lognormal(10, 0.4, number).round(2),
        "balance": chance.lognormal(8, 1, number).round(2),
        "visits": chance.integers(0, 60, number),
    }
    return pd.DataFrame({**numbers, **{name: chance.choice(words, number) for name, words in CHOICES.items()}})


MODELS: Mapping[str, Callable[[Path], pd.DataFrame]] = {
    "logistic-regression": _logistic_regression,
    "random-forest": _random_forest,
    "gradient-boosting": _gradient_boosting,
    "pandas-pipeline": _pandas_pipeline,
}

if __name__ == "__main__":
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    main(Path(sys.argv[1]))
