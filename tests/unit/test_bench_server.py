"""The pure parts of the benchmark of servers: formats, what the generator found, and what is said of it."""

import json
from typing import Any

import pytest

from tests.bench.server import formats, load, report
from tests.bench.server.formats import Sample
from tests.bench.server.load import Order

NUMBERS = Sample(["a", "b"], ["double", "double"], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [0, 1, 0])
MIXED = Sample(["age", "plan"], ["long", "string"], [[31, "free"], [64, "team"]], [0, 1])
GENERATED = {
    "seconds": 2.0,
    "answered": 3001,
    "not_ok": 0,
    "wrong": 0,
    "failed": 0,
    "unfinished": 0,
    "p50_ms": 1.5,
    "p90_ms": 2.0,
    "p99_ms": 4.25,
    "max_ms": 9.0,
    "mean_ms": 1.6,
    "sampled": 3010,
    "cpu": 0.1234,
    "statuses": {"200": 3010},
}


def test_questions_are_different_rows_each_with_its_own_predictions() -> None:
    asked = formats.questions(NUMBERS, formats.frame_split, rows=1, number=2)

    assert [json.loads(one.body)["dataframe_split"]["data"] for one in asked] == [[[1.0, 2.0]], [[3.0, 4.0]]]
    assert [one.predictions for one in asked] == [[0], [1]]


def test_questions_are_no_more_than_the_sample_has_rows_for() -> None:
    assert len(formats.questions(NUMBERS, formats.frame_split, rows=2, number=8)) == 1


def test_a_frame_is_a_tensor_for_each_column() -> None:
    inputs = formats.frame(MIXED, MIXED.rows)["inputs"]

    assert [(one["name"], one["datatype"], one["shape"], one["data"]) for one in inputs] == [
        ("age", "INT64", [2, 1], [31, 64]),
        ("plan", "BYTES", [2, 1], ["free", "team"]),
    ]


def test_numbers_are_one_tensor_and_mixed_types_are_a_frame() -> None:
    (matrix,) = formats.tensor(NUMBERS, NUMBERS.rows)["inputs"]

    assert (matrix["shape"], matrix["data"]) == ([3, 2], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert formats.tensor(MIXED, MIXED.rows) == formats.frame(MIXED, MIXED.rows)


def test_python_applications_get_rows_of_numbers_and_records_of_mixed_types() -> None:
    assert formats.data(NUMBERS, NUMBERS.rows) == {"data": NUMBERS.rows}
    assert formats.rows_of_model(MIXED, MIXED.rows[:1]) == {"rows": [{"age": 31, "plan": "free"}]}


@pytest.mark.parametrize(
    "answer",
    [
        [0, 1],
        {"predictions": [0, 1]},
        {"model_name": "model", "outputs": [{"name": "predict", "shape": [2, 1], "data": [0, 1]}]},
    ],
)
def test_predictions_are_found_in_what_each_server_answers(answer: Any) -> None:  # noqa: ANN401 (any server's)
    assert list(formats.predictions(answer)) == [0, 1]


def test_an_answer_without_predictions_is_shown() -> None:
    with pytest.raises(ValueError, match=r"no predictions in .*out of memory"):
        formats.predictions({"error": "out of memory"})


def test_an_order_is_what_the_generator_reads() -> None:
    order = json.loads(Order("127.0.0.1:1", "/p", ["{}"], [], 32, 4.0, 0.5).text())

    assert order["connections"] == 32
    assert order["headers"] == {"Content-Type": "application/json"}
    assert order["drain_seconds"] == load.DRAIN_SECONDS


def test_the_generator_is_understood() -> None:
    found = load.parse(json.dumps(GENERATED))

    assert (found.requests_s, found.p50_ms, found.p99_ms, found.generator_cpu) == (1500.5, 1.5, 4.25, 0.123)
    assert not found.faults


def test_what_must_not_be_is_said() -> None:
    wrong = {**GENERATED, "not_ok": 3, "statuses": {"200": 9, "503": 3}, "wrong": 1, "failed": 2, "error": "reset"}
    found = load.parse(json.dumps({**wrong, "unfinished": 4}))

    assert found.faults == [
        "3 answers that are no 2xx: {'200': 9, '503': 3}",
        "1 answers that are not what they were before the load",
        "2 connections that failed: reset",
        "4 requests with no answer after 30 s more",
    ]


def test_a_load_without_a_single_answer_is_a_fault() -> None:
    assert load.parse(json.dumps({**GENERATED, "answered": 0})).faults == ["no answer came while it was measured"]


def _run(server: str, rate: float, number: int = 1, **cell: Any) -> dict[str, Any]:  # noqa: ANN401 (figures of a cell)
    figures = {"requests_s": rate, "p50_ms": 1.0, "p99_ms": 1000 / rate, "server_cpu": 1.0, "others_cpu": 0.0}
    return {
        "round": number,
        "model": "iris",
        "server": server,
        "start_s": 1.0 + number,
        "memory_mb": 100.0,
        "cells": {"1x32": {**figures, "generator_cpu": 0.2, "faults": [], **cell}},
    }


def test_a_summary_has_the_median_and_the_spread_of_the_rounds() -> None:
    found = report.summary([_run("serinus", rate, number) for number, rate in enumerate((900.0, 1000.0, 1200.0), 1)])

    assert found["iris"]["serinus"]["cells"]["1x32"]["requests_s"] == {"median": 1000, "min": 900, "max": 1200}
    assert found["iris"]["serinus"]["start_s"] == {"median": 3.0, "min": 2.0, "max": 4.0}


def test_a_round_in_which_a_server_failed_is_a_fault_and_no_figure() -> None:
    runs = [_run("mlflow", 100.0), {"round": 2, "model": "iris", "server": "mlflow", "error": "Wrong: 500"}]

    assert report.summary(runs)["iris"]["mlflow"]["start_s"]["median"] == 2.0
    assert report.faults(runs) == ["round 2, mlflow, iris: Wrong: 500"]


def test_faults_under_load_and_a_busy_generator_are_told() -> None:
    found = report.faults([_run("bentoml", 100.0, faults=["3 answers that are no 2xx"], generator_cpu=0.93)])

    assert found == [
        "round 1, bentoml, iris, 1x32: 3 answers that are no 2xx",
        "round 1, bentoml, iris, 1x32: the generator itself was busy for 93% of the time",
    ]


def test_what_other_work_took_of_the_core_is_told() -> None:
    assert report.others([_run("a", 1.0, others_cpu=share) for share in (0.0, 0.02, 0.4)]) == 0.02
    assert report.others([]) == 0.0


def test_goals_compare_with_mlflow_the_best_of_the_others_and_the_ceiling() -> None:
    rates = {"serinus": 12000.0, "mlflow": 200.0, "fastapi": 1500.0, "bentoml": 500.0, "ceiling": 20000.0}
    found = report.goals(report.summary([_run(server, rate) for server, rate in rates.items()]))["iris"]

    assert (found["times_mlflow"], found["times_best_other"], found["of_ceiling"]) == (60.0, 8.0, 0.6)
    assert found["memory_of_mlflow"] == 1.0
    assert found["slower"] == []


def test_where_another_server_is_faster_is_named() -> None:
    runs = [_run("serinus", 1000.0), _run("fastapi", 1250.0), _run("ceiling", 9000.0), _run("serinus-v2", 2000.0)]

    assert report.goals(report.summary(runs))["iris"]["slower"] == [
        "fastapi 1x32: 1,000 requests/s, theirs 1,250",
        "fastapi 1x32: p99 1.0 ms, theirs 0.8",
    ]


def test_without_our_server_there_are_no_goals() -> None:
    assert report.goals(report.summary([_run("fastapi", 1000.0)])) == {}


def test_a_table_has_a_line_for_each_server_and_a_column_for_each_load() -> None:
    found = report.summary([_run("serinus", 12345.0), _run("mlflow", 0.5)])

    assert report.tables(found, {"serinus": "Serinus", "mlflow": "MLflow"}).splitlines() == [
        "### iris",
        "",
        "| server | 1 row, 32 conn. | memory | first answer |",
        "| --- | --- | --- | --- |",
        "| Serinus | 12,345 (0.1 ms) | 100 MB | 2.00 s |",
        "| MLflow | 0 (2.0 s) | 100 MB | 2.00 s |",
    ]


@pytest.mark.parametrize(("value", "shown"), [(0.04, "0.0 ms"), (3.94, "3.9 ms"), (171.3, "171 ms"), (2345, "2.3 s")])
def test_milliseconds_have_as_many_digits_as_say_something(value: float, shown: str) -> None:
    assert report.milliseconds(value) == shown
