"""What the repository holds as churn/train.py: plain code that takes its parameters as arguments.

It runs anywhere; MLFLOW_TRACKING_URI says where the results go.
"""

import argparse

import mlflow
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

arguments = argparse.ArgumentParser()
arguments.add_argument("--strength", type=float, default=1.0)
strength = arguments.parse_args().strength

features, labels = load_breast_cancer(return_X_y=True, as_frame=True)
train_x, test_x, train_y, test_y = train_test_split(features, labels, stratify=labels, random_state=7)

with mlflow.start_run():
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength)).fit(train_x, train_y)
    mlflow.log_metric("val_f1", f1_score(test_y, model.predict(test_x)))
    mlflow.sklearn.log_model(model, name="model", input_example=test_x.head(3))
