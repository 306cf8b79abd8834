"""Tell wines apart: plain code. mlflow's client finds address and login in the environment; nothing of it is here."""

import mlflow
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

features, labels = load_wine(return_X_y=True, as_frame=True)
train_x, test_x, train_y, test_y = train_test_split(features, labels, stratify=labels, random_state=7)

with mlflow.start_run():
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train_x, train_y)
    mlflow.log_metric("val_accuracy", model.score(test_x, test_y))
    mlflow.sklearn.log_model(model, name="model", input_example=test_x.head(3))
