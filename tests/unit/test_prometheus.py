"""The operator's metrics: what they count, what they are called, and that a scrape sees the state of that moment."""

import re
from collections.abc import Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain

from serinus import __version__, ports
from serinus.adapters.prometheus import OUTCOMES, PrometheusMeter

KINDS = ("TrainingJob", "ModelDeployment")
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
# As `promtool check metrics` has it: no abbreviations, base units only.
NOT_BASE_UNITS = "_(ms|millis|milliseconds|us|ns|minutes|hours|days|percent|kb|mb|kilobytes|megabytes|sec|secs)(_|$)"
TYPES_IN_NAMES = "(gauge|counter|histogram|summary)"


class State:
    """What the gauges show."""

    depth = 0
    oldest = 0.0
    leads = False
    resources: dict[str, int]


@pytest.fixture
def state() -> State:
    """The state before anything happens."""
    state = State()
    state.resources = {"TrainingJob": 0}
    return state


@pytest.fixture
def meter(state: State) -> PrometheusMeter:
    """A meter that watches the state."""
    meter = PrometheusMeter(KINDS)
    meter.watch(
        queue_depth=lambda: state.depth,
        queue_oldest=lambda: state.oldest,
        resources=lambda: state.resources,
        leader=lambda: state.leads,
    )
    return meter


def families(meter: PrometheusMeter) -> list[Metric]:
    """What a scrape gets, read as Prometheus would."""
    text, _ = meter.expose()
    return list(plain(text.decode()))


def value(meter: PrometheusMeter, sample: str, **labels: str) -> float | None:
    """One number of a scrape."""
    found = (one for family in families(meter) for one in family.samples)
    return next((float(one.value) for one in found if one.name == sample and one.labels == labels), None)


def test_it_is_a_meter(meter: PrometheusMeter) -> None:
    def use(port: ports.Meter) -> None:
        port.reconciled("TrainingJob", "ok", 0.01)
        port.called("kubernetes", "get", "ok", 0.01)

    use(meter)


def test_passes_are_counted_and_timed(meter: PrometheusMeter) -> None:
    for seconds in (0.002, 0.03):
        meter.reconciled("TrainingJob", "ok", seconds)
    meter.reconciled("TrainingJob", "failed", 100)
    assert value(meter, "serinus_reconciles_total", kind="TrainingJob", outcome="ok") == 2
    assert value(meter, "serinus_reconciles_total", kind="TrainingJob", outcome="failed") == 1
    assert value(meter, "serinus_reconcile_seconds_count", kind="TrainingJob") == 3
    assert value(meter, "serinus_reconcile_seconds_sum", kind="TrainingJob") == pytest.approx(100.032)
    assert value(meter, "serinus_reconcile_seconds_bucket", kind="TrainingJob", le="0.0025") == 1
    assert value(meter, "serinus_reconcile_seconds_bucket", kind="TrainingJob", le="60.0") == 2


def test_requests_are_counted_and_timed(meter: PrometheusMeter) -> None:
    meter.called("mlflow", "get_run", "timeout", 10)
    assert value(meter, "serinus_requests_total", service="mlflow", operation="get_run", outcome="timeout") == 1
    assert value(meter, "serinus_request_seconds_sum", service="mlflow") == 10


def test_counters_begin_at_zero_so_that_the_first_failure_is_an_increase(meter: PrometheusMeter) -> None:
    begun = [value(meter, "serinus_reconciles_total", kind=kind, outcome=one) for kind in KINDS for one in OUTCOMES]
    assert begun == [0] * 8


def test_a_scrape_sees_the_state_of_its_moment(meter: PrometheusMeter, state: State) -> None:
    assert value(meter, "serinus_leader") == 0
    state.depth, state.oldest, state.leads, state.resources = 3, 1.5, True, {"TrainingJob": 7, "ModelDeployment": 2}
    assert value(meter, "serinus_queue_depth") == 3
    assert value(meter, "serinus_queue_oldest_seconds") == 1.5
    assert value(meter, "serinus_leader") == 1
    assert value(meter, "serinus_resources", kind="TrainingJob") == 7
    assert value(meter, "serinus_resources", kind="ModelDeployment") == 2


def test_the_version_and_the_process_are_there(meter: PrometheusMeter) -> None:
    assert value(meter, "serinus_build_info", version=__version__) == 1
    resident = value(meter, "process_resident_memory_bytes")
    assert resident is not None
    assert resident > 1e6


def test_two_meters_share_nothing() -> None:
    one, other = PrometheusMeter(), PrometheusMeter()
    one.reconciled("TrainingJob", "ok", 1)
    assert value(other, "serinus_reconciles_total", kind="TrainingJob", outcome="ok") is None


def test_a_scraper_gets_the_form_that_it_asks_for(meter: PrometheusMeter) -> None:
    text, content_type = meter.expose(OPEN_METRICS)
    assert content_type.startswith("application/openmetrics-text")
    parsed = open_metrics(text.decode())  # type: ignore[no-untyped-call]
    assert {"serinus_reconciles", "serinus_build"} <= {family.name for family in parsed}
    assert meter.expose("text/html")[1].startswith("text/plain")


def used(meter: PrometheusMeter) -> Iterator[Metric]:
    """Our own metrics, each with a sample."""
    meter.reconciled("TrainingJob", "ok", 1)
    meter.called("kubernetes", "apply", "ok", 1)
    yield from (family for family in families(meter) if family.name.startswith("serinus_"))


def test_names_follow_the_conventions(meter: PrometheusMeter) -> None:
    for family in used(meter):
        assert re.fullmatch("[a-z]+(_[a-z]+)*", family.name)
        assert not re.search(NOT_BASE_UNITS, family.name)
        assert not re.search(TYPES_IN_NAMES, family.name)
        assert family.documentation.endswith("."), family.name
        assert all(sample.name.endswith("_total") == (family.type == "counter") for sample in family.samples)
        assert not any(sample.name.endswith("_created") for sample in family.samples)
        assert all(re.fullmatch("[a-z]+", label) for sample in family.samples for label in sample.labels)


def test_these_are_all(meter: PrometheusMeter) -> None:
    assert {family.name for family in used(meter)} == {
        "serinus_reconciles",
        "serinus_reconcile_seconds",
        "serinus_requests",
        "serinus_request_seconds",
        "serinus_queue_depth",
        "serinus_queue_oldest_seconds",
        "serinus_resources",
        "serinus_leader",
        "serinus_build_info",
    }
