"""Train a classifier: plain code, which runs anywhere. MLFLOW_TRACKING_URI says where the results go.

Scores three splits of the data, one for each seed, then trains on all of it. The score is their mean.
"""

import os
from statistics import mean

import mlflow
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEEDS = int(os.environ.get("PARAM_SEEDS", "3"))
STRENGTH = float(os.environ.get("PARAM_STRENGTH", "1.0"))

features, labels = load_breast_cancer(return_X_y=True, as_frame=True)


def new_model():
    return make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH))


def score(seed):
    train_x, test_x, train_y, test_y = train_test_split(features, labels, stratify=labels, random_state=seed)
    return f1_score(test_y, new_model().fit(train_x, train_y).predict(test_x))


# Joins the run that the operator has opened: MLFLOW_RUN_ID names it. Once: a second start_run() opens another run.
with mlflow.start_run():
    scores = []
    for done, seed in enumerate(range(SEEDS), start=1):
        scores.append(score(seed))
        mlflow.log_metric("seed_f1", scores[-1], step=done)
        # From 0 to 1: the operator shows it in the status while training goes on.
        mlflow.log_metric("progress", done / SEEDS, step=done)
    mlflow.log_metric("val_f1", mean(scores))
    print(f"val_f1 is {mean(scores):.4f}, the mean of {', '.join(f'{one:.4f}' for one in scores)}")

    # From here on fit() itself logs what it was given, how well it fits, and the model, under the name model.
    mlflow.sklearn.autolog(log_input_examples=True, log_datasets=False)
    new_model().fit(features, labels)
