"""Pods: what they count."""

from dataclasses import dataclass
from datetime import datetime

from serinus.asks.base import Ask, Pairs


@dataclass(frozen=True)
class PodAddress:
    """A pod, and where it answers."""

    name: str
    ip: str


@dataclass(frozen=True)
class Sample:
    """One number that a pod counts or measures, in Prometheus terms."""

    name: str
    labels: Pairs
    value: float


@dataclass(frozen=True)
class PodSamples:
    """What one pod said of itself, and when; no samples and a trouble if it did not answer."""

    pod: str
    at: datetime
    samples: tuple[Sample, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, kw_only=True)
class Scrape(Ask[tuple[PodSamples, ...]]):
    """What each of these pods counts, of the metrics whose names begin with `prefix`."""

    pods: tuple[PodAddress, ...]
    port: int
    path: str = "/metrics"
    prefix: str = ""
