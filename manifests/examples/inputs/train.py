"""Predict who leaves: plain code. It reads a file and calls mlflow; the environment says where and as which run."""

import os

import mlflow
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

NUMBERS = ["months", "monthly_fee", "support_calls"]

customers = pd.read_csv("/data/customers.csv").astype(dict.fromkeys(NUMBERS, float))
features, labels = customers[["plan", *NUMBERS]], customers["churned"]
train_x, test_x, train_y, test_y = train_test_split(features, labels, test_size=0.3, stratify=labels, random_state=7)

with mlflow.start_run():
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["plan"]), (StandardScaler(), NUMBERS))
    model = make_pipeline(columns, LogisticRegression(C=float(os.environ["PARAM_STRENGTH"]))).fit(train_x, train_y)
    mlflow.log_metric("val_auc", roc_auc_score(test_y, model.predict_proba(test_x)[:, 1]))
    mlflow.sklearn.log_model(model, name="model", input_example=test_x.head(3))
