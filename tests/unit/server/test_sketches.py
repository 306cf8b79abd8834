"""The sketches as a server keeps them: from tables, tensors and whatever a model answers with."""

import math
import time
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families as plain

from serinus_server import exposition
from serinus_server.sketches import Categories, Numbers, Side, Sketches, merge
from serinus_server.sketches import document as documents
from serinus_server.sketches.columns import MOST_COLUMNS
from serinus_server.values import Opaque, Table

type Anything = Any


def objects(*cells: Anything) -> np.ndarray[Any, Any]:
    array = np.empty(len(cells), object)
    array[:] = cells
    return array


def outputs_of(*values: Anything) -> Side:
    sketches = Sketches()
    for value in values:
        sketches.observe(np.zeros((1, 1)), value)
    return sketches.document().outputs


def counts(side: Side) -> dict[str, int]:
    return {name: one.total for name, one in side.columns.items()}


def test_a_table_of_one_dtype_is_sketched_by_column() -> None:
    sketches = Sketches()
    sketches.observe(Table(("a", "b"), 2, np.array([[1.0, math.nan], [2.0, 4.0]])), np.array([0, 1]))
    inputs = sketches.document().inputs
    assert counts(inputs) == {"a": 2, "b": 2}
    assert inputs.columns["b"].missing == 1
    assert (inputs.seen, inputs.sampled) == (2, 2)


def test_a_matrix_of_text_and_names_that_are_numbers_are_sketched_as_well() -> None:
    sketches = Sketches()
    names: Anything = (0, 1)
    sketches.observe(Table(names, 1, objects("a", "b").reshape(1, 2)), np.array([1]))
    sketches.observe(Table(names, 1, np.array([[1.0, 2.0]])), np.array([1]))
    assert counts(sketches.document().inputs) == {"0": 1, "0 (text)": 1, "1": 1, "1 (text)": 1}
    assert len(documents.parse(sketches.document().json()).inputs.columns) == 4


def test_a_table_of_several_dtypes_is_sketched_by_column() -> None:
    when = np.array(["2026-01-01", "NaT"], "datetime64[ns]")
    arrays = (objects("Bonn", None), np.array([True, False]), when, np.array([3, 4], np.int32))
    sketches = Sketches()
    sketches.observe(Table(("city", "new", "when", "n"), 2, None, arrays), np.array([0.5, 0.5]))
    columns = sketches.document().inputs.columns
    assert columns["city"] == Categories({"Bonn": 1}, missing=1)
    assert columns["new"].total == 2
    assert isinstance(columns["when"], Numbers)
    assert columns["when"].missing == 1
    assert columns["when"].quantile(1) == pytest.approx(1_767_225_600, rel=0.004)
    assert columns["n"].total == 2


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        (np.array([1, 0, 2]), {"0": 3}),
        (np.array([0.5], np.float32), {"0": 1}),
        (np.array(["a", "b"]), {"0": 2}),
        (objects("a", None, math.nan, pd.NA), {"0": 4}),
        (np.array([[0.1, 0.9], [0.4, 0.6]]), {"0": 2, "1": 2}),
        (np.zeros((2, 2, 3)), {str(at): 2 for at in range(6)}),
        (np.zeros((2, 100, 100)), {"mean": 2, "min": 2, "max": 2}),
        (pd.DataFrame({"label": ["a"], "p": [0.7]}), {"label": 1, "p": 1}),
        (pd.Series([1.5, 2.5]), {"0": 2}),
        ([1, 2], {"0": 2}),
        (["a", "b"], {"0": 2}),
        ({"x": np.zeros(2), "y": np.zeros((2, 2))}, {"x": 2, "y[0]": 2, "y[1]": 2}),
        (Opaque(pd.DataFrame({"a": [1]})), {"a": 1}),
        (objects([1], {"a": 2}), {"0": 2}),
        (np.zeros((0, 3)), {}),
        (np.float64(3), {}),
        (None, {}),
        ("text", {}),
        ([[1], [2, 3]], {}),
        (np.zeros(2, np.complex128), {"0": 2}),
        (Opaque({"a": "b"}), {}),
    ],
)
def test_outputs_of_all_kinds(outputs: Anything, told: dict[str, int]) -> None:
    assert {name: total for name, total in counts(outputs_of(outputs)).items() if total} == told


def test_what_fails_to_be_counted_fails_nothing_else() -> None:
    class Broken:
        def to_numpy(self) -> None:
            raise RuntimeError("no")

    assert counts(outputs_of(np.array([1.0]), Broken(), np.array([1.0]))) == {"0": 1}


def test_parts_of_a_server_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(3)
    tables = [Table(("a", "b"), 50, rng.lognormal(0, 3, (50, 2))) for _ in range(40)]
    outputs = [objects(*rng.choice(["x", "y"], 50).tolist()) for _ in range(40)]
    whole, pods = Sketches(chunk=2000), [Sketches(chunk=1000), Sketches(chunk=10**6)]
    for at, (table, output) in enumerate(zip(tables, outputs, strict=True)):
        whole.observe(table, output)
        pods[at % 2].observe(table, output)
    together = pods[0].document().plus(pods[1].document())
    assert together == whole.document()


def test_columns_are_bounded() -> None:
    sketches = Sketches()
    for first in range(0, 1000, 100):
        names = tuple(f"c{at}" for at in range(first, first + 100))
        sketches.observe(Table(names, 1, np.zeros((1, 100))), np.array(["a"]))
    inputs = sketches.document().inputs
    assert len(inputs.columns) == MOST_COLUMNS
    assert inputs.left_out == 1000 - MOST_COLUMNS


def test_beyond_the_budget_rows_are_sampled_and_it_is_told() -> None:
    now = [0.0]
    sketches = Sketches(budget=1000, chunk=1024, clock=lambda: now[0])
    values = np.arange(1.0, 101.0).reshape(-1, 1)
    for _ in range(200):
        now[0] += 0.01
        sketches.observe(Table(("a",), 100, values), np.zeros(100))
    inputs = sketches.document().inputs
    assert inputs.seen == 20_000
    assert 500 < inputs.sampled < 4000
    assert inputs.columns["a"].total == inputs.sampled
    told = inputs.columns["a"]
    assert isinstance(told, Numbers)
    assert told.quantile(0.5) == pytest.approx(50, rel=0.1)


def test_a_value_that_is_larger_than_any_budget_takes_bounded_time() -> None:
    sketches = Sketches(budget=10_000)
    sketches.observe(Table(tuple(map(str, range(50))), 50_000, np.ones((50_000, 50))), np.zeros(50_000))
    assert sketches.document().inputs.sampled < 1000


@pytest.mark.parametrize(("budget", "most"), [(1e9, 1_200_000), (1000.0, 8_000_000)])
def test_long_texts_are_not_kept(budget: float, most: int) -> None:
    sketches = Sketches(budget=budget)
    for at in range(20):
        sketches.observe(Table(("a",), 1, None, (objects("x" * 1_000_000 + str(at)),)), np.zeros(1))
        assert sum(len(value.arrays[0][0]) for value, _ in sketches._pending) < most  # noqa: SLF001
    told = sketches.document().inputs
    assert all(isinstance(one, Categories) and max(map(len, one.counts)) <= 64 for one in told.columns.values())
    assert told.seen == 20
    # What begins alike is still told apart.
    assert all(isinstance(one, Categories) and len(one.counts) == told.sampled for one in told.columns.values())


def test_text_that_is_no_unicode_does_no_harm() -> None:
    sketches = Sketches()
    sketches.observe(Table(("a\ud800",), 1, None, (objects("b\ud800"),)), objects("\ud800"))
    exposition.expose(sketches.families())
    assert documents.parse(sketches.document().json()).inputs.seen == 1


def test_outputs_are_in_the_metrics_with_their_bounds() -> None:
    sketches = Sketches()
    rng = np.random.default_rng(1)
    sketches.observe(np.zeros((5000, 1)), np.column_stack([rng.normal(size=5000), np.full(5000, -3.0)]))
    text = exposition.expose(sketches.families())[0].decode()
    lines = [
        one for family in plain(text) for one in family.samples if one.name == "serinus_server_output_values_total"
    ]
    assert sum(one.value for one in lines if one.labels["output"] == "0") == 5000
    assert len([one for one in lines if one.labels["output"] == "0"]) <= 162
    (three,) = [one.labels for one in lines if one.labels["output"] == "1"]
    assert float(three["low"]) < -3.0 <= float(three["high"])


def test_labels_are_in_the_metrics_by_name() -> None:
    sketches = Sketches()
    sketches.observe(np.zeros((3, 1)), objects("cat", "dog", None))
    text = exposition.expose(sketches.families())[0].decode()
    assert 'serinus_server_output_values_total{output="0",kind="category",value="cat"} 1' in text
    assert 'serinus_server_output_values_total{output="0",kind="missing"} 1' in text
    assert 'serinus_server_sketch_sampled_rows_total{side="outputs"} 3' in text


def test_the_document_says_whose_it_is() -> None:
    told = orjson.loads(Sketches({"name": "churn", "version": "7"}).document().json())
    assert told["format"] == "serinus.dev/sketches/v1"
    assert told["model"] == {"name": "churn", "version": "7"}


def test_two_servers_of_one_model_give_mergeable_columns() -> None:
    one, other = outputs_of(np.array([1, 0])), outputs_of(np.array([1.0]))
    assert merge(one.columns["0"], other.columns["0"]).total == 3


def test_a_row_costs_little() -> None:
    table, outputs, sketches = (
        Table(tuple("abcd"), 16, np.random.default_rng(1).normal(size=(16, 4))),
        np.zeros(16),
        None,
    )
    sketches = Sketches(budget=1e12)
    started = time.process_time()
    for _ in range(2000):
        sketches.observe(table, outputs)
    # A generous bound, for machines that do other things as well; see the figures in the docs for what it is.
    assert (time.process_time() - started) / 32_000 < 10e-6
