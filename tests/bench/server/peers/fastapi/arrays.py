"""A scikit-learn model behind FastAPI, as one writes it by hand: rows of numbers in, predictions out."""

import os

import joblib  # type: ignore[import-untyped]
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = joblib.load(os.environ["BENCH_MODEL"])


class Request(BaseModel):
    """What is asked."""

    rows: list[list[float]]


class Answer(BaseModel):
    """What is answered, a prediction for each row."""

    predictions: list[int]


@app.post("/predict")
def predict(request: Request) -> Answer:
    """Predict."""
    return Answer(predictions=model.predict(request.rows).tolist())
