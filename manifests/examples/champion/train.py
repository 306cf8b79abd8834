"""Read digits: plain code that gets its parameters in three ways."""

import argparse
import json
import os
from pathlib import Path

import mlflow
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

arguments = argparse.ArgumentParser()
arguments.add_argument("--strength", type=float, required=True)
strength = arguments.parse_args().strength
gamma = float(os.environ["PARAM_GAMMA"])
kernel = json.loads(Path("/serinus/parameters.json").read_text())["kernel"]

features, labels = load_digits(return_X_y=True, as_frame=True)
train_x, test_x, train_y, test_y = train_test_split(features, labels, stratify=labels, random_state=7)

# The parameters are logged already: the operator did it when it opened the run.
with mlflow.start_run():
    model = SVC(C=strength, gamma=gamma, kernel=kernel).fit(train_x, train_y)
    accuracy = model.score(test_x, test_y)
    mlflow.log_metric("val_accuracy", accuracy)
    mlflow.log_metric("overfit", model.score(train_x, train_y) - accuracy)
    mlflow.sklearn.log_model(model, name="model", input_example=test_x.head(3))
