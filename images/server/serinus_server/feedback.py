"""What was true in the end, joined with what was predicted: accuracy, error and calibration while a model serves.

Predictions are remembered for a while, by request id; a label that comes later than that finds nothing. The first label
for a request counts; another one is told so and changes nothing, because counters only go up.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

from serinus_server.exposition import Family, Line, counter, gauge, labels
from serinus_server.problems import RequestProblem
from serinus_server.scores import Scores

# About 0.2 to 0.4 kB for each.
ROWS: Final = 50_000
SECONDS: Final = 3600.0
# A body's most items.
MOST: Final = 10_000
# What is remembered is forgotten by the sixteenth: cheap to do, and no pause is noticed.
_PARTS: Final = 16

# In place of outputs that have been judged.
_JUDGED: Final = object()


class Feedback:
    """The recent predictions of one model version, and how good they turned out to be. For the event loop's thread."""

    def __init__(
        self,
        version: str = "",
        *,
        rows: int = ROWS,
        seconds: float = SECONDS,
        classes: tuple[Any, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """At most so many rows for at most so long; `classes` are those that columns of probabilities are of."""
        self._version = version
        self._part_rows, self._part_seconds = max(rows // _PARTS, 1), seconds / _PARTS
        self._clock = clock
        # The newest last; one more than there are parts, because the newest is not full.
        self._parts: deque[dict[str, Any]] = deque([{}])
        self._begun: deque[float] = deque([clock()])
        self._newest = self._parts[-1]
        self._room = self._part_rows
        self._until = self._begun[-1] + self._part_seconds
        self._scores = Scores(classes)
        self._results = dict.fromkeys(("joined", "unknown", "repeated", "mismatched"), 0)

    def remember(self, request_id: str, outputs: Any, rows: int) -> None:
        """This was answered to that request."""
        # A request of more rows than are remembered at all would only push out others.
        if rows > self._part_rows:
            return
        self._room -= rows
        if self._room < 0 or self._clock() >= self._until:
            self._next()
            self._room -= rows
        self._newest[request_id] = outputs

    def submit(self, body: Any) -> list[dict[str, str]]:
        """The answer to POST /feedback, one result for each item, in their order; RequestProblem 400 if it is none.

        An item is {"request_id": …, "label": …} or, for several rows, {"request_id": …, "labels": […]}. A result's
        `status` is joined, unknown (never seen, or forgotten), repeated or mismatched (not one label for each row).
        """
        items = body if isinstance(body, list) else [body]
        if len(items) > MOST:
            raise _bad(f"{len(items)} items are more than {MOST}; send them in parts")
        checked = [_item(at, one) for at, one in enumerate(items)]
        self._expire()
        return [self._judge(request_id, truths) for request_id, truths in checked]

    def families(self) -> Iterator[Family]:
        """For /metrics."""
        self._expire()
        yield counter(
            "serinus_server_feedback",
            "Labels that came, by whether there was a prediction to join them with.",
            {labels(version=self._version, result=name): count for name, count in self._results.items()},
        )
        held = sum(map(len, self._parts))
        yield gauge("serinus_server_feedback_remembered_requests", "Requests that a label may still come for.", held)
        for name, meaning, sums in self._scores.sums():
            text = {labels(version=self._version, **pairs): value for pairs, value in sums}
            yield counter(f"serinus_server_feedback_{name}", meaning, text)
        for name, meaning, value in self._scores.means():
            lines: list[Line] = [("", labels(version=self._version), value)]
            yield Family(f"serinus_server_feedback_{name}", "gauge", meaning, lines)

    def _judge(self, request_id: str, truths: list[Any]) -> dict[str, str]:
        status = self._status(request_id, truths)
        self._results[status] += 1
        return {"request_id": request_id, "status": status}

    def _status(self, request_id: str, truths: list[Any]) -> str:
        part = next((one for one in reversed(self._parts) if request_id in one), None)
        if part is None:
            return "unknown"
        if part[request_id] is _JUDGED:
            return "repeated"
        if not self._scores.add(part[request_id], truths):
            return "mismatched"
        part[request_id] = _JUDGED
        return "joined"

    def _next(self) -> None:
        """The newest part is full, or has been filled for long enough."""
        self._newest = {}
        self._parts.append(self._newest)
        self._begun.append(self._clock())
        self._room, self._until = self._part_rows, self._begun[-1] + self._part_seconds
        self._expire()
        if len(self._parts) > _PARTS:
            self._forget()

    def _expire(self) -> None:
        """Forget the parts whose youngest is too old: as old as the beginning of the part after it."""
        oldest = self._clock() - self._part_seconds * _PARTS
        while len(self._parts) > 1 and self._begun[1] < oldest:
            self._forget()
        if len(self._parts) == 1 and self._begun[0] + self._part_seconds < oldest:
            self._newest.clear()

    def _forget(self) -> None:
        self._parts.popleft()
        self._begun.popleft()


def _item(at: int, item: Any) -> tuple[str, list[Any]]:
    if not isinstance(item, Mapping):
        raise _bad(f"item {at} is not an object with a request_id and a label, but {type(item).__name__}")
    request_id = item.get("request_id")
    if not isinstance(request_id, str) or not request_id:
        raise _bad(f"item {at} has no request_id: it is the X-Request-Id that came with the answer")
    if ("label" in item) == ("labels" in item):
        raise _bad(f"item {at} needs either label, or labels: a list with one for each row")
    truths = item["labels"] if "labels" in item else [item["label"]]
    if not isinstance(truths, list):
        raise _bad(f"labels of item {at} is no list; for one row it is label")
    if not all(isinstance(one, (str, int, float)) for one in truths):
        raise _bad(f"item {at} has a label that is neither text nor a number nor a boolean")
    return request_id, truths


def _bad(message: str) -> RequestProblem:
    return RequestProblem(HTTPStatus.BAD_REQUEST, message)
