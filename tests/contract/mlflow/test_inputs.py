"""What a run has read: logged once, and in the form that MLflow's own client loads and its UI shows."""

import json
from typing import Any

import pytest

from serinus.asks import Absent, Dataset, LogInputs, ReadRun, TroubleKind
from tests.contract.mlflow.desk import Desk
from tests.contract.mlflow.rest import Rest

pytestmark = pytest.mark.local

SHA256 = "0123456789abcdef" * 4
TABLE = Dataset("train", "s3://lake/churn/train.parquet", SHA256, 1000)


def _logged(mlflow: Rest, run_id: str) -> dict[str, Any]:
    """The datasets of a run by name; each must be there once, and as an input of training."""
    found = mlflow.get("runs/get", run_id=run_id)["run"].get("inputs", {}).get("dataset_inputs", [])
    assert all(one["tags"] == [{"key": "mlflow.data.context", "value": "training"}] for one in found)
    datasets = {one["dataset"]["name"]: one["dataset"] for one in found}
    assert len(datasets) == len(found)
    return datasets


def test_inputs_are_logged_once_with_where_they_are_from(mlflow: Rest, desk: Desk, name: str) -> None:
    run_id = mlflow.run(mlflow.experiment(name))
    inputs = (
        TABLE,
        Dataset("labels é", "https://me:secret@data.example/labels.csv?v=3", "f" * 64),
        Dataset("words", "pvc://data/words.txt", "e" * 64),
    )
    order = LogInputs(server=desk.server, run_id=run_id, inputs=inputs)
    assert desk.ask(order) == desk.ask(ReadRun(server=desk.server, run_id=run_id))
    logged = _logged(mlflow, run_id)
    assert {name: one["digest"] for name, one in logged.items()} == {one.name: one.sha256[:36] for one in inputs}
    assert {name: one["source_type"] for name, one in logged.items()} == {
        "train": "s3",
        "labels é": "http",
        "words": "serinus",
    }
    assert json.loads(logged["train"]["profile"]) == {"num_rows": 1000, "sha256": SHA256}
    assert json.loads(logged["words"]["profile"]) == {"sha256": "e" * 64}
    assert json.loads(logged["words"]["source"]) == {"uri": "pvc://data/words.txt"}
    web = "https://data.example/labels.csv?v=3"
    assert json.loads(logged["labels é"]["source"]) == {"uri": web, "url": web}


def test_what_is_logged_is_not_logged_again_and_what_is_missing_is_added(mlflow: Rest, desk: Desk, name: str) -> None:
    run_id = mlflow.run(mlflow.experiment(name))
    desk.ask(LogInputs(server=desk.server, run_id=run_id, inputs=(TABLE,)))
    desk.meter.calls.clear()
    desk.ask(LogInputs(server=desk.server, run_id=run_id, inputs=(TABLE,)))
    assert desk.meter.operations() == {"runs/get": 1}
    other = Dataset("train", TABLE.uri, "a" * 64)
    desk.ask(LogInputs(server=desk.server, run_id=run_id, inputs=(TABLE, other)))
    found = mlflow.get("runs/get", run_id=run_id)["run"]["inputs"]["dataset_inputs"]
    assert sorted(one["dataset"]["digest"] for one in found) == [SHA256[:36], "a" * 36]


def test_a_dataset_of_another_run_of_the_experiment_is_an_input_of_this_one_too(
    mlflow: Rest, desk: Desk, name: str
) -> None:
    experiment = mlflow.experiment(name)
    for run_id in (mlflow.run(experiment), mlflow.run(experiment)):
        desk.ask(LogInputs(server=desk.server, run_id=run_id, inputs=(TABLE,)))
        assert _logged(mlflow, run_id).keys() == {"train"}


def test_a_run_that_is_gone_is_absent(mlflow: Rest, desk: Desk, name: str) -> None:
    deleted = mlflow.run(mlflow.experiment(name))
    mlflow.post("runs/delete", run_id=deleted)
    for run_id, what in ((deleted, f"run '{deleted}' (it is deleted)"), ("0" * 32, f"run '{'0' * 32}'")):
        assert desk.ask(LogInputs(server=desk.server, run_id=run_id, inputs=(TABLE,))) == Absent(what)


def test_what_mlflow_refuses_is_refused_with_its_words(mlflow: Rest, desk: Desk, name: str) -> None:
    run_id = mlflow.run(mlflow.experiment(name))
    long = Dataset("n" * 501, TABLE.uri, SHA256)
    trouble = desk.trouble(LogInputs(server=desk.server, run_id=run_id, inputs=(long,)))
    assert trouble.kind == TroubleKind.REFUSED
    assert "exceeds the maximum length of 500" in trouble.message
