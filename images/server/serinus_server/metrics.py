"""What the server counts of its own work, for /metrics.

Everything here is called from the event loop's thread and nowhere else: an increment is not atomic. A request costs one
call of `answered`, a batch one of `batched`; everything else is computed by the scrape.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, Literal

from serinus_server import exposition
from serinus_server.exposition import Family, Line, counter, gauge, labels
from serinus_server.histogram import COARSE_SECONDS, FINE_SECONDS, SIZES, Histogram

# mlflow, v2 or grpc; http for what was refused before it was known. Never anything that a client chooses.
type Protocol = str
type Outcome = Literal["ok", "refused", "failed"]

# A signature may have thousands of columns, and what clients send may have any name.
MOST_COLUMNS: Final = 100
OTHER: Final = "other"

_STATM: Final = Path("/proc/self/statm")
_HTTP_LEAST, _REFUSED_LEAST, _FAILED_LEAST = 100, 400, 500
# CANCELLED, INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, RESOURCE_EXHAUSTED, FAILED_PRECONDITION,
# OUT_OF_RANGE, UNIMPLEMENTED and UNAUTHENTICATED; the others are the server's fault.
_GRPC_REFUSED: Final = frozenset({1, 3, 5, 6, 7, 8, 9, 11, 12, 16})


def outcome(code: int) -> Outcome:
    """Whose fault an answer is: nobody's, the client's or the server's. A code below 100 is one of gRPC."""
    if code < _HTTP_LEAST:
        return "ok" if code == 0 else "refused" if code in _GRPC_REFUSED else "failed"
    return "ok" if code < _REFUSED_LEAST else "refused" if code < _FAILED_LEAST else "failed"


class _Answers:
    """The answers of one protocol with one code. Time is kept only of those that say something about the model."""

    __slots__ = ("count", "protocol", "rows", "seconds", "text")

    def __init__(self, protocol: Protocol, code: int, seconds: Histogram | None) -> None:
        self.count = 0
        self.rows = 0
        self.protocol = protocol
        self.seconds = seconds
        self.text = labels(protocol=protocol, code=code, outcome=outcome(code))


class Metrics:
    """All of them. The plain attributes are counted up or set by whoever knows."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._started = clock()
        self._model: dict[str, str] = {}
        self._answers: dict[tuple[Protocol, int], _Answers] = {}
        self._seconds: dict[Protocol, Histogram] = {}
        self._violations: dict[str, int] = {}
        # Of the signature, if there is one: names that clients make up are no labels.
        self.columns: frozenset[str] | None = None
        self._batch_rows = Histogram(SIZES)
        self._batch_requests = Histogram(SIZES)
        self._waited = Histogram(COARSE_SECONDS)
        self._took = Histogram(COARSE_SECONDS)
        self._depth = 0
        self._deepest = 0
        self._others: list[Callable[[], Iterable[Family]]] = []
        # Gauges.
        self.load_seconds = 0.0
        self.in_flight = 0
        self.ready = False
        self.draining = False
        # Counters.
        self.rejected = 0
        self.timeouts = 0
        self.disconnects = 0
        self.prediction_errors = 0
        self._begin()

    def model(self, *, name: str, version: str, revision: str, flavour: str) -> None:
        """What is served: the labels of the info metric."""
        self._model = {"name": name, "version": version, "revision": revision, "flavour": flavour}

    def answered(self, protocol: Protocol, code: int, seconds: float, rows: int) -> None:
        """One request was answered. The code is of HTTP, or of gRPC for that protocol; rows are those it asked for."""
        answers = self._answers.get((protocol, code)) or self._new(protocol, code)
        answers.count += 1
        answers.rows += rows
        if answers.seconds is not None:
            answers.seconds.add(seconds)

    def batched(self, rows: int, requests: int, waited: float, took: float) -> None:
        """One batch was predicted: how long its oldest request had waited for it, and how long the model took."""
        self._batch_rows.add(rows)
        self._batch_requests.add(requests)
        self._waited.add(waited)
        self._took.add(took)

    def violated(self, column: str) -> None:
        """A request broke the signature in this column; `other` is the hundredth, and what the signature has not."""
        if column not in self._violations and (len(self._violations) >= MOST_COLUMNS or not self._has(column)):
            column = OTHER
        self._violations[column] = self._violations.get(column, 0) + 1

    def _has(self, column: str) -> bool:
        return self.columns is None or column in self.columns

    def queue(self, depth: int) -> None:
        """So many requests wait for a batch."""
        self._depth = depth
        if depth > self._deepest:  # noqa: PLR1730 (max() costs four times as much, on every request)
            self._deepest = depth

    def also(self, families: Callable[[], Iterable[Family]]) -> None:
        """From now on a scrape shows these, too."""
        self._others.append(families)

    def expose(self, accept: str = "") -> tuple[bytes, str]:
        """The body of /metrics, in the best form that the Accept header names, and the type of that form."""
        return exposition.expose(self.families(), accept)

    def quantile(self, share: float, protocol: Protocol = "mlflow") -> float:
        """The latency that this share of the answers stayed below; see FINE_SECONDS for how well it is known."""
        return self._seconds[protocol].quantile(share) if protocol in self._seconds else 0.0

    def families(self) -> Iterator[Family]:
        """Everything, as of now."""
        yield from self._of_requests()
        yield from self._of_batches()
        yield from self._of_troubles()
        yield from self._of_process()
        for others in self._others:
            yield from others()

    def _begin(self) -> None:
        """Counters of the usual codes begin at 0, so that the first failure is seen as an increase."""
        for code in (200, 500):
            self._new("mlflow", code)
            self._new("v2", code)

    def _new(self, protocol: Protocol, code: int) -> _Answers:
        # An answer that only says no is quick, and would make a server with broken clients look fast.
        counts = outcome(code) != "refused"
        seconds = self._seconds.setdefault(protocol, Histogram(FINE_SECONDS)) if counts else None
        answers = self._answers[protocol, code] = _Answers(protocol, code, seconds)
        return answers

    def _of_requests(self) -> Iterator[Family]:
        answers = self._answers.values()
        yield counter(
            "serinus_server_requests",
            "Requests answered; refused is the client's fault, failed the server's.",
            {one.text: one.count for one in answers},
        )
        yield counter(
            "serinus_server_rows", "Rows of the requests answered, by outcome.", {one.text: one.rows for one in answers}
        )
        yield Family(
            "serinus_server_request_seconds",
            "histogram",
            "From the last byte of a request to its answer; refused requests are left out.",
            self._request_seconds(),
        )

    def _request_seconds(self) -> Iterator[Line]:
        """A protocol that nobody uses has no buckets, but for the first, which is always there."""
        for protocol, seconds in self._seconds.items():
            if protocol == "mlflow" or any(seconds.counts):
                yield from seconds.lines(labels(protocol=protocol))

    def _of_batches(self) -> Iterator[Family]:
        for name, meaning, histogram in (
            ("batch_rows", "Rows in a batch.", self._batch_rows),
            ("batch_requests", "Requests in a batch.", self._batch_requests),
            ("queue_wait_seconds", "How long the oldest request of a batch waited for it.", self._waited),
            ("prediction_seconds", "How long the model took for a batch.", self._took),
        ):
            yield Family(f"serinus_server_{name}", "histogram", meaning, histogram.lines())
        yield gauge("serinus_server_queue_depth", "Requests that wait for a batch.", self._depth)
        yield gauge("serinus_server_queue_depth_max", "The most since the last scrape.", self._deepest)
        self._deepest = self._depth

    def _of_troubles(self) -> Iterator[Family]:
        yield counter(
            "serinus_server_schema_violations",
            "Requests that broke the signature, by the column they broke it in.",
            {labels(column=column): count for column, count in self._violations.items()},
        )
        for name, meaning, value in (
            ("rejected", "Requests turned away because the queue was full.", self.rejected),
            ("timeouts", "Requests that were not answered in time.", self.timeouts),
            ("disconnects", "Requests whose client left before the answer.", self.disconnects),
            ("prediction_errors", "Predictions that the model failed at.", self.prediction_errors),
        ):
            yield counter(f"serinus_server_{name}", meaning, value)

    def _of_process(self) -> Iterator[Family]:
        yield Family("serinus_server_model", "info", "What is served.", [("_info", labels(**self._model), 1)])
        spent = os.times()
        yield counter("serinus_server_cpu_seconds", "Processor time used.", spent.user + spent.system)
        for name, meaning, value in (
            ("start_time_seconds", "When the process started, in seconds since 1970.", self._started),
            ("load_seconds", "How long it took to load the model.", self.load_seconds),
            ("resident_memory_bytes", "Memory of the process.", resident_bytes()),
            ("requests_in_flight", "Requests that are being answered.", self.in_flight),
            ("ready", "Whether it takes requests: 1 or 0.", int(self.ready)),
            ("draining", "Whether it is on its way to its end: 1 or 0.", int(self.draining)),
        ):
            yield gauge(f"serinus_server_{name}", meaning, value)


def resident_bytes() -> int:
    """The memory of this process; 0 where there is no /proc."""
    try:
        return int(_STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
