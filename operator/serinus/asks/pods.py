"""Pods: what they count, and what the cluster has to say of those that are not there."""

from dataclasses import dataclass
from datetime import datetime

from serinus.asks.base import Ask, Pairs
from serinus.objects import Ref


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


@dataclass(frozen=True, kw_only=True)
class ReadWarning(Ask[str]):
    """The newest warning among the events about this very object, in one line; empty without one."""

    ref: Ref
    uid: str
