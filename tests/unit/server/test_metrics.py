"""What the server counts, and that Prometheus' own parsers read it."""

import math
import re
from typing import Any

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain

from serinus_server.exposition import Family, labels
from serinus_server.histogram import COARSE_SECONDS, FINE_SECONDS, Histogram
from serinus_server.metrics import MOST_COLUMNS, Metrics, outcome

OPEN = "application/openmetrics-text; version=1.0.0"
# As `promtool check metrics` has it: base units, and no type in a name.
NOT_BASE_UNITS = "_(ms|millis|us|ns|minutes|hours|days|percent|kb|mb|kilobytes|megabytes|sec|secs)(_|$)"


@pytest.fixture
def metrics() -> Metrics:
    """The metrics of a server that has answered a little."""
    metrics = Metrics(clock=lambda: 1_767_268_800.0)
    metrics.model(name='churn"\\\n', version="7", revision="abc", flavour="sklearn")
    metrics.answered("mlflow", 200, 0.0031, 1)
    metrics.answered("mlflow", 400, 0.0001, 3)
    metrics.answered("grpc", 13, 0.2, 1)
    metrics.batched(rows=16, requests=4, waited=0.001, took=0.0005)
    return metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = metrics.expose()[0].decode()
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for fam in plain(text) for one in fam.samples}


def value(metrics: Metrics, name: str, **pairs: str) -> float:
    return samples(metrics)[f"serinus_server_{name}", tuple(sorted(pairs.items()))]


def test_requests_are_counted_by_protocol_code_and_outcome(metrics: Metrics) -> None:
    assert value(metrics, "requests_total", protocol="mlflow", code="200", outcome="ok") == 1
    assert value(metrics, "requests_total", protocol="mlflow", code="400", outcome="refused") == 1
    assert value(metrics, "requests_total", protocol="grpc", code="13", outcome="failed") == 1
    assert value(metrics, "rows_total", protocol="mlflow", code="400", outcome="refused") == 3


def test_the_first_failure_is_seen_as_an_increase() -> None:
    assert value(Metrics(), "requests_total", protocol="mlflow", code="500", outcome="failed") == 0


def test_what_was_refused_does_not_make_the_server_look_fast(metrics: Metrics) -> None:
    assert value(metrics, "request_seconds_count", protocol="mlflow") == 1
    assert value(metrics, "request_seconds_bucket", protocol="mlflow", le="0.003") == 0
    assert value(metrics, "request_seconds_bucket", protocol="mlflow", le="0.00325") == 1
    assert value(metrics, "request_seconds_sum", protocol="grpc") == pytest.approx(0.2)


def test_a_protocol_that_nobody_uses_has_no_buckets(metrics: Metrics) -> None:
    assert not any(("protocol", "v2") in pairs for name, pairs in samples(metrics) if name.endswith("_bucket"))


@pytest.mark.parametrize(
    ("code", "meant"),
    [(200, "ok"), (0, "ok"), (3, "refused"), (8, "refused"), (429, "refused"), (503, "failed"), (4, "failed")],
)
def test_whose_fault_an_answer_is(code: int, meant: str) -> None:
    assert outcome(code) == meant


def test_violations_are_bounded(metrics: Metrics) -> None:
    for column in range(MOST_COLUMNS + 50):
        metrics.violated(f"column {column}")
    metrics.violated("column 0")
    assert value(metrics, "schema_violations_total", column="column 0") == 2
    assert value(metrics, "schema_violations_total", column="other") == 50


def test_batches_have_their_sizes_and_times(metrics: Metrics) -> None:
    assert value(metrics, "batch_rows_bucket", le="16.0") == 1
    assert value(metrics, "batch_requests_sum") == 4
    assert value(metrics, "prediction_seconds_sum") == 0.0005


def test_the_deepest_queue_since_the_last_scrape_is_told(metrics: Metrics) -> None:
    metrics.queue(7)
    metrics.queue(2)
    assert samples(metrics)["serinus_server_queue_depth_max", ()] == 7
    metrics.queue(9)
    metrics.queue(3)
    found = samples(metrics)
    assert found["serinus_server_queue_depth_max", ()] == 9
    assert found["serinus_server_queue_depth", ()] == 3


def test_attributes_are_exposed(metrics: Metrics) -> None:
    metrics.rejected += 2
    metrics.draining = True
    metrics.in_flight = 3
    assert value(metrics, "rejected_total") == 2
    assert value(metrics, "draining") == 1
    assert value(metrics, "requests_in_flight") == 3
    assert value(metrics, "resident_memory_bytes") > 1e6


def test_a_name_cannot_break_out_of_its_label(metrics: Metrics) -> None:
    info = [pairs for name, pairs in samples(metrics) if name == "serinus_server_model_info"]
    assert dict(info[0])["name"] == 'churn"\\\n'


def test_both_forms_are_understood_and_say_the_same(metrics: Metrics) -> None:
    classic = [one for family in plain(metrics.expose()[0].decode()) for one in family.samples]
    body, form = metrics.expose(OPEN)
    assert form.startswith("application/openmetrics-text")
    families = open_metrics(body.decode())  # type: ignore[no-untyped-call]
    modern = [one for family in families for one in family.samples]
    moving = {"serinus_server_cpu_seconds_total", "serinus_server_resident_memory_bytes"}
    assert [(one.name, one.labels) for one in classic] == [(one.name, one.labels) for one in modern]
    assert [one.value for one in classic if one.name not in moving] == [
        one.value for one in modern if one.name not in moving
    ]


def test_names_have_our_prefix_and_base_units(metrics: Metrics) -> None:
    for family in plain(metrics.expose()[0].decode()):
        assert family.name.startswith("serinus_server_")
        assert not re.search(NOT_BASE_UNITS, family.name)
        assert family.documentation


def test_others_are_shown_too(metrics: Metrics) -> None:
    metrics.also(lambda: [Family("serinus_server_more", "gauge", "More.", [("", labels(type_="x"), math.inf)])])
    assert value(metrics, "more", type="x") == math.inf


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("scale", [0.002, 0.02, 0.5])
def test_a_quantile_is_as_well_known_as_it_is_said(share: float, scale: float) -> None:
    seconds = np.random.default_rng(1).gamma(4.0, scale / 4, 5000)
    histogram = Histogram(FINE_SECONDS)
    for one in seconds:
        histogram.add(float(one))
    true = float(np.quantile(seconds, share, method="inverted_cdf"))
    allowed = 0.00025 if true < 0.004 else 0.001 if true < 0.1 else 0.1 * true
    assert 0 <= histogram.quantile(share) - true <= allowed * 1.001


def test_bounds_ascend() -> None:
    for bounds in (FINE_SECONDS, COARSE_SECONDS):
        assert list(bounds) == sorted(set(bounds))


def test_an_empty_histogram_has_no_quantile() -> None:
    empty: Any = Histogram(FINE_SECONDS)
    assert empty.quantile(0.99) == 0
