"""Train a classifier, log it to MLflow and register it: plain code that knows nothing of Kubernetes.

Runs anywhere: MLFLOW_TRACKING_URI says where the results go.
"""

import mlflow
from mlflow import MlflowClient
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MODEL = "quickstart"
PARAMETERS = {"C": 1.0, "max_iter": 500, "random_state": 7}

features, labels = load_breast_cancer(return_X_y=True, as_frame=True)
train_x, test_x, train_y, test_y = train_test_split(features, labels, test_size=0.25, stratify=labels, random_state=7)

mlflow.set_experiment(MODEL)
with mlflow.start_run() as run:
    mlflow.log_params(PARAMETERS)
    model = make_pipeline(StandardScaler(), LogisticRegression(**PARAMETERS)).fit(train_x, train_y)

    predicted = model.predict(test_x)
    metrics = {
        "val_accuracy": accuracy_score(test_y, predicted),
        "val_f1": f1_score(test_y, predicted),
        "val_log_loss": log_loss(test_y, model.predict_proba(test_x)),
    }
    mlflow.log_metrics(metrics)
    logged = mlflow.sklearn.log_model(
        model, name="model", input_example=test_x.head(3), registered_model_name=MODEL
    )

version = logged.registered_model_version
MlflowClient().set_registered_model_alias(MODEL, "challenger", version)
print(f"models:/{MODEL}@challenger is version {version} of run {run.info.run_id}: {metrics}")
