"""When each object reached what, seen by watches: polling thousands would be what is measured."""

import contextlib
import json
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import Any

from tests.bench.api import Api

IDLE_SECONDS, PAUSE_SECONDS = 30.0, 0.5

type Milestones = Callable[[Mapping[str, Any]], Iterable[str]]


@dataclass
class Record:
    """Milestone → name → the moment at which it was first seen there. What another object made has that one's name."""

    moments: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    over: bool = False

    def see(self, name: str, milestones: Iterable[str]) -> None:
        """Note what an object has reached by now."""
        now = time.monotonic()
        for milestone in milestones:
            self.moments[milestone].setdefault(name, now)

    def names(self, milestone: str) -> list[str]:
        """Who has reached it."""
        return list(self.moments[milestone])

    def steps(self) -> int:
        """How many milestones were reached in all."""
        return sum(map(len, list(self.moments.values())))

    def since(self, start: float, milestone: str) -> list[float]:
        """After how many seconds each reached it, the first one first."""
        return sorted(moment - start for moment in self.moments[milestone].values())

    def between(self, first: str, then: str) -> list[float]:
        """How many seconds it took each from one to the other, the fastest first."""
        ends = self.moments[then]
        return sorted(ends[name] - moment for name, moment in self.moments[first].items() if name in ends)


@contextmanager
def watching(api: Api, kinds: Mapping[str, Milestones]) -> Iterator[Record]:
    """The record of all objects under these paths of the API, kept as long as the context is open."""
    record = Record()
    for path, milestones in kinds.items():
        first = _open(api, path)
        threading.Thread(target=_follow, args=(api, path, milestones, record, first), daemon=True).start()
    try:
        yield record
    finally:
        record.over = True


def _open(api: Api, path: str) -> HTTPResponse:
    """A watch, which begins with all that is there."""
    address = f"{api.server}{path}?watch=1"
    opened: HTTPResponse = urllib.request.urlopen(address, timeout=IDLE_SECONDS, context=api.tls())  # noqa: S310 (our own)
    return opened


def _follow(api: Api, path: str, milestones: Milestones, record: Record, lines: HTTPResponse) -> None:
    """The API server ends a watch now and then, and one that is quiet for long is given up: there is a next."""
    while not record.over:
        # In the end the server goes away under the watch.
        with contextlib.suppress(OSError, HTTPException), lines:
            for line in lines:
                seen = json.loads(line)["object"]
                record.see(_name(seen["metadata"]), milestones(seen))
        time.sleep(PAUSE_SECONDS)
        with contextlib.suppress(OSError, HTTPException):
            lines = _open(api, path)


def _name(metadata: Mapping[str, Any]) -> str:
    owners = metadata.get("ownerReferences") or [metadata]
    return str(owners[0]["name"])
