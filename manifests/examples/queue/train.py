"""Predict how diabetes goes on: plain code, which knows nothing of queues."""

import os

import mlflow
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split

features, labels = load_diabetes(return_X_y=True, as_frame=True)
train_x, test_x, train_y, test_y = train_test_split(features, labels, random_state=7)

with mlflow.start_run():
    model = Ridge(alpha=float(os.environ["PARAM_STRENGTH"])).fit(train_x, train_y)
    mlflow.log_metric("val_r2", model.score(test_x, test_y))
    mlflow.sklearn.log_model(model, name="model", input_example=test_x.head(3))
