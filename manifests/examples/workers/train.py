"""Train one model in several pods, with nothing but Python: each learns from its share, and the mean goes on.

All pods have the same MLFLOW_RUN_ID. One of them logs, else they would write over each other's metrics.
"""

import os
import time
from multiprocessing.connection import Client, Listener

import mlflow
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

RANK, WORLD_SIZE = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
FIRST = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
ROUNDS = int(os.environ["PARAM_ROUNDS"])
PATIENCE = 300  # seconds for the others to start
# Who knows the run is one of us.
KEY = os.environ["MLFLOW_RUN_ID"].encode()

features, labels = load_digits(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(features / 16, labels, stratify=labels, random_state=7)
share = slice(RANK, None, WORLD_SIZE)
model = SGDClassifier(loss="log_loss", random_state=RANK)


def learn(weights):
    """One pass over the own share, beginning with what all have learned so far."""
    if weights is not None:
        model.coef_, model.intercept_ = weights
    model.partial_fit(train_x[share], train_y[share], classes=range(10))
    return model.coef_, model.intercept_


def lead():
    """Rank 0: collect, average, tell everybody, and log."""
    with Listener(("", FIRST[1]), authkey=KEY, backlog=WORLD_SIZE) as listener:
        others = [listener.accept() for _ in range(WORLD_SIZE - 1)]
    print(f"all {WORLD_SIZE} are here")
    weights = None
    with mlflow.start_run():
        for done in range(1, ROUNDS + 1):
            learned = [learn(weights), *(other.recv() for other in others)]
            weights = model.coef_, model.intercept_ = [np.mean(parts, axis=0) for parts in zip(*learned, strict=True)]
            for other in others:
                other.send(weights)
            mlflow.log_metric("val_accuracy", model.score(test_x, test_y), step=done)
            mlflow.log_metric("progress", done / ROUNDS, step=done)
        mlflow.sklearn.log_model(model, name="model", input_example=test_x[:3])


def follow():
    """Any other rank: learn, report, and go on with the mean."""
    with connection() as first:
        weights = None
        for _ in range(ROUNDS):
            first.send(learn(weights))
            weights = first.recv()


def connection():
    """Rank 0 may start later than we do, and its name is not known before that."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return Client(FIRST, authkey=KEY)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(1)


lead() if RANK == 0 else follow()
