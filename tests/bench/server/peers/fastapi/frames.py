"""A scikit-learn pipeline on a pandas frame behind FastAPI, as one writes it by hand: customers in, predictions out."""

import os

import joblib  # type: ignore[import-untyped]
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = joblib.load(os.environ["BENCH_MODEL"])


class Customer(BaseModel):
    """One row."""

    age: int
    income: float
    balance: float
    visits: int
    country: str
    plan: str
    device: str


class Request(BaseModel):
    """What is asked."""

    rows: list[Customer]


class Answer(BaseModel):
    """What is answered, a prediction for each row."""

    predictions: list[int]


@app.post("/predict")
def predict(request: Request) -> Answer:
    """Predict."""
    frame = pd.DataFrame([row.model_dump() for row in request.rows])
    return Answer(predictions=model.predict(frame).tolist())
