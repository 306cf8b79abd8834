"""The operator's own metrics, as Prometheus reads them."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serinus import __version__

OUTCOMES = ("ok", "retried", "refused", "failed")

# A pass over a settled resource takes a millisecond or less; a request to MLflow may take until its timeout.
_PASS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class PrometheusMeter:
    """A Meter with a registry of its own: what a library registers elsewhere does not get in.

    The counters of these kinds begin at 0, so that the first failure is seen as an increase.
    """

    def __init__(self, kinds: Iterable[str] = ()) -> None:
        # For the whole process, but nothing else in it has metrics: a second series for each, which nobody reads.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        self._passes = Counter(
            "serinus_reconciles", "Passes over a resource, by how they ended.", ["kind", "outcome"], registry=registry
        )
        self._pass_seconds = Histogram(
            "serinus_reconcile_seconds",
            "How long a pass over a resource took.",
            ["kind"],
            buckets=_PASS_SECONDS,
            registry=registry,
        )
        self._requests = Counter(
            "serinus_requests",
            "Requests to kubernetes, mlflow and pods, by how they ended.",
            ["service", "operation", "outcome"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "serinus_request_seconds",
            "How long a request took.",
            ["service"],
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        Info("serinus_build", "The version that runs.", registry=registry).info({"version": __version__})
        ProcessCollector(registry=registry)
        self._begin(kinds)

    def reconciled(self, kind: str, outcome: str, seconds: float) -> None:
        """One pass over one resource."""
        self._passes.labels(kind, outcome).inc()
        self._pass_seconds.labels(kind).observe(seconds)

    def called(self, service: str, operation: str, outcome: str, seconds: float) -> None:
        """One request."""
        self._requests.labels(service, operation, outcome).inc()
        self._request_seconds.labels(service).observe(seconds)

    def watch(
        self,
        *,
        queue_depth: Callable[[], int],
        queue_oldest: Callable[[], float],
        resources: Callable[[], Mapping[str, int]],
        leader: Callable[[], bool],
    ) -> None:
        """From now on each scrape asks these, which must answer at once. To be called once."""
        self._gauge("serinus_queue_depth", "Resources that wait for a pass.", queue_depth)
        self._gauge("serinus_queue_oldest_seconds", "How long the oldest of them has waited.", queue_oldest)
        self._gauge("serinus_leader", "Whether this replica is the one that works.", lambda: float(leader()))
        self._registry.register(_Resources(resources))

    def expose(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics, in the best form of those that an Accept header names, and the type of that form."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def _begin(self, kinds: Iterable[str]) -> None:
        for kind in kinds:
            self._pass_seconds.labels(kind)
            for outcome in OUTCOMES:
                self._passes.labels(kind, outcome)

    def _gauge(self, name: str, meaning: str, ask: Callable[[], float]) -> None:
        Gauge(name, meaning, registry=self._registry).set_function(ask)


class _Resources(Collector):
    """How many resources there are, of each kind."""

    def __init__(self, ask: Callable[[], Mapping[str, int]]) -> None:
        self._ask = ask

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily("serinus_resources", "Resources that the operator looks after.", labels=["kind"])
        for kind, count in self._ask().items():
            family.add_metric([kind], count)
        yield family
