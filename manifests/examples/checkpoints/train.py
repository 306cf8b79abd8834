"""Train epoch by epoch, and keep what was reached after each: plain code that goes on where an earlier attempt stopped.

Each attempt has a run of its own in MLflow, below a common one. Only what the last one logged is judged.
"""

import argparse
import os
from pathlib import Path

import joblib
import mlflow
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

CHECKPOINT = Path("/checkpoints/model.joblib")
EPOCHS = int(os.environ["PARAM_EPOCHS"])


def save(epoch, model):
    """Whole or not at all: a pod may be killed at any moment, while it writes too."""
    half = CHECKPOINT.with_suffix(".half")
    joblib.dump((epoch, model), half)
    half.rename(CHECKPOINT)


arguments = argparse.ArgumentParser()
arguments.add_argument("--attempt", type=int, required=True)
attempt = arguments.parse_args().attempt

features, labels = load_digits(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(features / 16, labels, stratify=labels, random_state=7)

done, model = joblib.load(CHECKPOINT) if CHECKPOINT.exists() else (0, SGDClassifier(loss="log_loss", random_state=7))
print(f"attempt {attempt} begins after epoch {done}")

with mlflow.start_run():
    for epoch in range(done + 1, EPOCHS + 1):
        model.partial_fit(train_x, train_y, classes=range(10))
        mlflow.log_metric("val_accuracy", model.score(test_x, test_y), step=epoch)
        mlflow.log_metric("progress", epoch / EPOCHS, step=epoch)
        save(epoch, model)
        if attempt == 1 and epoch == EPOCHS // 2:
            raise SystemExit(f"epoch {epoch} is done, and this attempt fails on purpose")
    mlflow.sklearn.log_model(model, name="model", input_example=test_x[:3])
