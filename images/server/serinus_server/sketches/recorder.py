"""Watches the batches of a server: keeps them until there are enough to be counted at one go, and counts those.

Keeping costs less than a microsecond a batch; counting some 20 to 100 ns a number. So that it never takes more than a
few percent of a core, it has a budget of numbers a second; beyond it only one row in two, three, … is counted.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from serinus_server.exposition import Family, Line, counter, labels
from serinus_server.sketches import keys
from serinus_server.sketches.categories import Categories
from serinus_server.sketches.columns import Columns
from serinus_server.sketches.document import Document
from serinus_server.sketches.merging import Sketch
from serinus_server.sketches.numeric import Numbers
from serinus_server.sketches.tables import weight

# Numbers that are counted together: enough that numpy's calls cost nothing, and half a millisecond in all.
CHUNK: Final = 12_288
# What is kept at most while only some of it will be counted.
MOST_CHUNKS: Final = 8
# Numbers a second: 3 % of a core, at 100 ns where other work has emptied the caches, and as much as 50,000 rows of
# four columns and an output.
BUDGET: Final = 250_000.0
# What of the outputs is shown in /metrics, so that it stays below some hundred lines.
SHOWN_COLUMNS: Final = 4
SHOWN_BUCKETS: Final = 160
SHOWN_CATEGORIES: Final = 64


class Sketches:
    """The sketches of one server's inputs and outputs. For one thread."""

    def __init__(
        self,
        model: Mapping[str, str] | None = None,
        *,
        budget: float = BUDGET,
        chunk: int = CHUNK,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._model = dict(model or {})
        self._inputs = Columns()
        self._outputs = Columns()
        self._pending: list[tuple[Any, Any]] = []
        self._weight = 0
        self._chunk = self._full = chunk
        self._budget = budget
        self._clock = clock
        # What may still be counted now; as much as a second gives to begin with, and never more.
        self._left = budget
        self._folded = clock()
        self._spent = 0.0
        self._failed = 0

    def observe(self, value: Any, outputs: Any) -> None:
        """A batch was predicted: these inputs gave these outputs. Neither may be changed any more."""
        self._pending.append((value, outputs))
        self._weight += weight(value) + weight(outputs) + 1
        if self._weight >= self._full:
            self.fold()

    def fold(self) -> None:
        """Count what was kept. What cannot be counted is no reason to fail: its rows are missing in `sampled`."""
        started, pending, size = self._clock(), self._pending, self._weight
        self._pending, self._weight = [], 0
        stride = self._stride(size, started)
        for side, values in ((self._inputs, [one[0] for one in pending]), (self._outputs, [one[1] for one in pending])):
            try:
                side.add(values, stride)
            except Exception:  # noqa: BLE001 (a model may give anything, and the answer must not fail for it)
                self._failed += 1
        self._spent += self._clock() - started

    def document(self) -> Document:
        """Everything so far: what /sketches answers with."""
        self.fold()
        return Document(self._model, self._inputs.side(), self._outputs.side())

    def families(self) -> Iterator[Family]:
        """For /metrics: the outputs, coarsely, and how much of everything was counted.

        A bucket of numbers holds those from `low` to `high`; the bounds of all pods and versions are cut out of the
        same powers of two, so that of two buckets either one holds the other or they have nothing in common.
        """
        self.fold()
        shown = self._outputs.sketches(SHOWN_COLUMNS)
        yield Family("serinus_server_output_values", "counter", "Predictions, by what they were.", _lines(shown))
        sides = {labels(side="inputs"): self._inputs, labels(side="outputs"): self._outputs}
        seen = {text: side.seen for text, side in sides.items()}
        yield counter("serinus_server_sketch_seen_rows", "Rows that came by.", seen)
        sampled = {text: side.sampled for text, side in sides.items()}
        yield counter("serinus_server_sketch_sampled_rows", "Rows of those that were counted.", sampled)
        yield counter("serinus_server_sketch_errors", "Times that what came by could not be counted.", self._failed)
        yield counter("serinus_server_sketch_seconds", "Time that counting them took.", self._spent)

    def _stride(self, size: int, now: float) -> int:
        """Of how many rows the budget allows one."""
        self._left = min(self._left + (now - self._folded) * self._budget, self._budget)
        self._folded = now
        # One value may be larger than the whole budget of a second.
        allowed = max(min(self._left, self._chunk * 4), self._chunk / 64)
        stride = max(-(-size // int(allowed)), 1)
        self._left -= size / stride
        # Where only some rows are counted, so many more are waited for that counting them is as worthwhile.
        self._full = self._chunk * min(stride, MOST_CHUNKS)
        return stride


def _lines(outputs: Mapping[str, Sketch]) -> Iterator[Line]:
    for name, sketch in islice(outputs.items(), SHOWN_COLUMNS):
        for text, count in _counts(name, sketch):
            if count:
                yield "_total", text, count


def _counts(name: str, sketch: Sketch) -> Iterator[tuple[str, int]]:
    yield labels(output=name, kind="missing"), sketch.missing
    if isinstance(sketch, Numbers):
        yield from _numbers(name, sketch.within(SHOWN_BUCKETS))
    else:
        yield from _categories(name, sketch.within(SHOWN_CATEGORIES))


def _numbers(name: str, sketch: Numbers) -> Iterator[tuple[str, int]]:
    yield labels(output=name, kind="below"), sketch.below
    yield labels(output=name, kind="above"), sketch.above
    yield labels(output=name, kind="number", low=0.0, high=0.0), sketch.zero
    for one, count in sketch.buckets.items():
        low, high = keys.bounds(one, sketch.level)
        yield labels(output=name, kind="number", low=low, high=high), count


def _categories(name: str, sketch: Categories) -> Iterator[tuple[str, int]]:
    yield labels(output=name, kind="other"), sketch.other
    for value, count in sketch.counts.items():
        yield labels(output=name, kind="category", value=value), count
