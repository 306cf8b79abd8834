"""What a model answers here is what it answers in MLflow: alone to the last bit, and together with others."""

import json
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from serinus_server import values
from serinus_server.flavours import rowwise
from serinus_server.flavours.estimator import Estimator
from tests.unit.server import flavour_models as models
from tests.unit.server.flavour_models import Served

# Each of scikit-learn, XGBoost and LightGBM has its own that depend on how a test was called.
pytestmark = pytest.mark.filterwarnings("ignore")

SHORTCUTS = [
    "classifier", "binary", "words", "skops", "pickle", "scaled", "chances", "binary chances", "forest",
    "forest chances", "forest of numbers", "boosting", "boosting of two", "boosting of numbers", "tensor",
]  # fmt: skip
DIRECT = sorted(name for name in models.MODELS if not name.startswith("pyfunc"))


def same(ours: Any, theirs: Any) -> None:
    """To the last bit, and of the same type, but that a frame may be its records."""
    if isinstance(ours, list) and isinstance(theirs, pd.DataFrame):
        assert ours == theirs.to_dict(orient="records")
        return
    assert type(ours) is type(theirs)
    if isinstance(ours, type):
        assert ours is theirs
        return
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for name, one in ours.items():
            same(one, theirs[name])
        return
    left, right = (np.asarray(one.to_numpy() if hasattr(one, "to_numpy") else one) for one in (ours, theirs))
    assert left.dtype == right.dtype
    np.testing.assert_array_equal(left, right)


def ask(served: Served, body: bytes) -> Any:
    call = served.scoring.decode(body, models.JSON)
    return served.ours.predict(call.value, call.params)


@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_a_request_of_many_rows_is_answered_as_by_mlflow(name: str) -> None:
    served = models.served(name)
    body = models.body(models.MODELS[name][1][: models.ROWS])
    ours, theirs = ask(served, body), served.ask_theirs(body)
    same(ours, theirs)
    assert json.loads(served.scoring.encode(ours)) == models.theirs_written(theirs)


@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_a_row_is_answered_as_by_mlflow(name: str) -> None:
    served = models.served(name)
    for body in models.bodies(name, 6):
        same(ask(served, body), served.ask_theirs(body))


@pytest.mark.parametrize("name", sorted(set(models.MODELS) - {"unsigned", "by batch"}))
def test_rows_that_are_joined_come_out_as_they_do_alone(name: str) -> None:
    served = models.served(name)
    calls = [served.scoring.decode(body, models.JSON) for body in models.bodies(name)]
    together = served.ours.predict(values.join([one.value for one in calls]), calls[0].params)
    parts = values.split(together, [1] * len(calls))
    assert parts is not None
    for call, part in zip(calls, parts, strict=True):
        alone = served.ours.predict(call.value, call.params)
        assert rowwise.equal(alone, part)
        assert type(alone) is type(part)


@pytest.mark.parametrize("name", DIRECT)
def test_known_flavours_are_served_without_mlflow_and_joined(name: str) -> None:
    served = models.served(name)
    assert served.ours.flavour in {"sklearn", "xgboost", "lightgbm", "onnx"}
    assert served.ours.joins is (name != "by batch")


@pytest.mark.parametrize("name", SHORTCUTS)
def test_a_shortcut_is_taken(name: str) -> None:
    predictor = models.served(name).ours.predictor
    assert isinstance(predictor, Estimator)
    assert predictor.shortcut is not None


@pytest.mark.parametrize("cell", [None, float("nan"), float("inf"), -float("inf"), 1e39, 1e308])
@pytest.mark.parametrize("name", ["classifier", "scaled", "forest", "boosting", "histograms", "xgboost booster",
                                  "xgboost classifier", "lightgbm classifier", "lightgbm booster"])  # fmt: skip
def test_what_is_missing_or_infinite_is_refused_or_answered_as_by_mlflow(name: str, cell: float | None) -> None:
    served = models.served(name)
    rows = [[1.0, 2.0, 3.0, 4.0], [1.0, cell, 3.0, 4.0]]
    body = json.dumps({"dataframe_split": {"columns": list("abcd"), "data": rows}}).encode()
    ours, theirs = outcome(lambda: ask(served, body)), outcome(lambda: served.ask_theirs(body))
    if isinstance(theirs, ValueError) and type(theirs) is ValueError:
        assert str(ours) == str(theirs)
    same(*((type(one) if isinstance(one, Exception) else one) for one in (ours, theirs)))


def outcome(call: Callable[[], Any]) -> Any:
    """What it returns or raises."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error


def test_params_reach_a_booster_and_unknown_ones_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    served = models.served("xgboost booster")
    content = json.loads(models.body(models.NUMBERS[:5])) | {"params": {"output_margin": True, "other": 2}}
    body = json.dumps(content).encode()
    with caplog.at_level(logging.WARNING, "serinus_server"):
        ours = [ask(served, body), ask(served, body)]
    same(ours[0], served.ask_theirs(body))
    same(ours[1], ours[0])
    assert not np.array_equal(ours[0], ask(served, models.body(models.NUMBERS[:5])))
    assert sum("other" in one.message for one in caplog.records) <= 1


@pytest.mark.parametrize("orient", ["instances", "inputs", "dataframe_records"])
@pytest.mark.parametrize("name", ["classifier", "columns", "onnx of doubles", "xgboost classifier", "unsigned"])
def test_every_format_is_answered_as_by_mlflow(name: str, orient: str) -> None:
    served = models.served(name)
    rows = models.MODELS[name][1][:5]
    content = json.loads(rows.to_json(orient="records", double_precision=15))
    if orient == "inputs":
        content = {column: [row[column] for row in content] for column in content[0]}
    if name == "unsigned" and orient != "dataframe_records":
        content = rows.to_numpy().tolist()
    body = json.dumps({orient: content}).encode()
    ours, theirs = ask(served, body), served.ask_theirs(body)
    same(ours, theirs)
