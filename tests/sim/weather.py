"""Which faults happen, and how often: drawn anew for each seed, most of them off, so that each gets its turn alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Self


class Fault(StrEnum):
    """What can go wrong with one request."""

    CONFLICT = "409"
    THROTTLED = "429"
    ERROR = "500"
    FORBIDDEN = "403"
    LOST_REQUEST = "timeout, nothing done"
    LOST_ANSWER = "timeout, but done"
    LATE = "timeout, done later"
    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    SLOW = "slow"


READS = (Fault.THROTTLED, Fault.ERROR, Fault.LOST_REQUEST, Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.SLOW)
WRITES = (*READS, Fault.CONFLICT, Fault.FORBIDDEN, Fault.LOST_ANSWER, Fault.LATE)
REGISTRY = (*READS, Fault.LOST_ANSWER)
# Rare, or nothing else would ever happen.
_RARE = {Fault.FORBIDDEN: 0.2, Fault.CRASH_BEFORE: 0.3, Fault.CRASH_AFTER: 0.3, Fault.LATE: 0.5}


@dataclass(frozen=True)
class Weather:
    """Probabilities for each occasion, and times in seconds. The calm has none of it."""

    faults: Mapping[Fault, float] = field(default_factory=dict)
    # of the watches
    lag: float = 0.5
    doubled: float = 0.0
    skipped: float = 0.0
    disconnected: float = 0.0
    stale_list: float = 0.0
    # of the cluster
    flapping: float = 0.0
    pod_lost: float = 0.0
    slow_pods: float = 3.0
    # of training
    training_fails: float = 0.0
    disrupted: float = 0.0
    unschedulable: float = 0.0
    pull_fails: float = 0.0
    fetch_fails: float = 0.0
    taken_back: float = 0.0
    # of everything: times between two
    outage_every: float = 0.0
    crash_every: float = 0.0
    clock_jump_every: float = 0.0
    # of people
    action_every: float = 20.0
    squatting: float = 0.0

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """The weather of one seed."""
        return cls(
            faults={fault: _maybe(random, 0.12 * _RARE.get(fault, 1.0)) for fault in Fault},
            lag=random.choice((0.05, 0.5, 3.0, 15.0)),
            doubled=_maybe(random, 0.3),
            skipped=_maybe(random, 0.8),
            disconnected=_maybe(random, 0.1),
            stale_list=_maybe(random, 0.5),
            flapping=_maybe(random, 0.5),
            pod_lost=_maybe(random, 0.3),
            slow_pods=random.choice((0.5, 3.0, 20.0)),
            training_fails=_maybe(random, 0.7),
            disrupted=_maybe(random, 0.9),
            unschedulable=_maybe(random, 0.5),
            pull_fails=_maybe(random, 0.5),
            fetch_fails=_maybe(random, 0.6),
            taken_back=_maybe(random, 0.6),
            outage_every=_seldom(random, 100.0),
            crash_every=_seldom(random, 40.0),
            clock_jump_every=_seldom(random, 100.0),
            action_every=random.choice((2.0, 10.0, 40.0)),
            squatting=_maybe(random, 0.1),
        )


def _maybe(random: Random, most: float) -> float:
    return random.uniform(0.0, most) if random.random() < 0.5 else 0.0


def _seldom(random: Random, least: float) -> float:
    return random.uniform(least, 5 * least) if random.random() < 0.5 else 0.0
