"""How good predictions were, as sums that can be added up across pods."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from serinus_server.sketches.tables import table
from serinus_server.values import Array, Table

BINS: Final = 10

type Sums = list[tuple[Mapping[str, object], float]]


class Scores:
    """Sums over rows whose truth is known.

    Text, integers and booleans are classes: right or wrong. Floats are numbers, with an error; if they lie between 0
    and 1 and the truth is 0 or 1, they are probabilities, too. Several columns that sum to 1 are the probabilities of
    classes: the most probable one is right or wrong, and its probability calibrated or not.
    """

    def __init__(self, classes: Sequence[Any] = ()) -> None:
        """The classes that columns of probabilities are of; if they are not given, the columns' names or numbers."""
        self._classes = [_class(one) for one in classes]
        self._judged = self._right = 0
        self._measured = 0
        self._absolute = self._squared = self._bias = 0.0
        self._forecast = 0
        self._brier = 0.0
        self._bins = np.zeros((3, BINS))

    def add(self, outputs: Any, truths: Sequence[Any]) -> bool:
        """The truths of these outputs' rows; False, and nothing is counted, if they do not belong together."""
        predicted = table(outputs)
        if predicted is None or predicted.rows != len(truths):
            return False
        columns = _columns(predicted)
        if len(columns) > 1:
            return self._probabilities(predicted.names, columns, truths)
        if columns and columns[0].dtype.kind == "f":
            return self._numbers(columns[0], truths)
        return bool(columns) and self._labels(columns[0], truths)

    def sums(self) -> Iterator[tuple[str, str, Sums]]:
        """Counters: the name, what it is, and its values by labels."""
        yield "classes", "Rows whose class was judged.", [({}, self._judged)]
        yield "classes_right", "Rows whose class was right.", [({}, self._right)]
        yield "numbers", "Rows whose number was judged.", [({}, self._measured)]
        yield "absolute_error", "Sum of the absolute errors.", [({}, self._absolute)]
        yield "squared_error", "Sum of the squared errors.", [({}, self._squared)]
        yield "probabilities", "Rows whose probability was judged.", [({}, self._forecast)]
        yield "brier", "Sum of the Brier scores.", [({}, self._brier)]
        for at, (name, meaning) in enumerate(
            (
                ("reliability_rows", "Rows by predicted probability."),
                ("reliability_probability", "Sum of the predicted probabilities."),
                ("reliability_hits", "Rows of those for which it came true."),
            )
        ):
            yield name, meaning, [({"bin": f"{one / BINS:.1f}"}, float(self._bins[at, one])) for one in range(BINS)]

    def means(self) -> Iterator[tuple[str, str, float]]:
        """Gauges, of what was judged at all."""
        if self._judged:
            yield "accuracy", "Share of the classes that were right.", self._right / self._judged
        if self._measured:
            yield "mean_absolute_error", "Of the numbers judged.", self._absolute / self._measured
            yield "root_mean_squared_error", "Of the numbers judged.", math.sqrt(self._squared / self._measured)
            yield "bias", "Prediction less truth, in the mean.", self._bias / self._measured
        if self._forecast:
            yield "brier_score", "Of the probabilities judged.", self._brier / self._forecast

    def _labels(self, predicted: Array, truths: Sequence[Any]) -> bool:
        self._judged += len(truths)
        self._right += sum(_class(one) == _class(truth) for one, truth in zip(predicted.tolist(), truths, strict=True))
        return True

    def _numbers(self, predicted: Array, truths: Sequence[Any]) -> bool:
        if not all(isinstance(truth, (int, float)) and _is_finite(truth) for truth in truths):
            return False
        guesses, actual = predicted.astype(np.float64), np.array(truths, np.float64)
        if not np.isfinite(guesses).all():
            return False
        errors = guesses - actual
        self._measured += len(truths)
        self._absolute += float(np.abs(errors).sum())
        self._squared += float((errors**2).sum())
        self._bias += float(errors.sum())
        if ((guesses >= 0) & (guesses <= 1)).all() and np.isin(actual, (0, 1)).all():
            self._calibrate(guesses, actual, errors**2)
        return True

    def _probabilities(self, names: Sequence[str], columns: Sequence[Array], truths: Sequence[Any]) -> bool:
        classes = self._classes if len(self._classes) == len(columns) else [_class(name) for name in names]
        if any(one.dtype.kind != "f" for one in columns) or any(_class(truth) not in classes for truth in truths):
            return False
        matrix = np.column_stack(columns).astype(np.float64)
        if not np.allclose(matrix.sum(axis=1), 1, atol=1e-3):
            return False
        true = np.zeros_like(matrix)
        true[np.arange(len(truths)), [classes.index(_class(truth)) for truth in truths]] = 1
        best = matrix.argmax(axis=1)
        hits = true[np.arange(len(truths)), best]
        self._judged += len(truths)
        self._right += int(hits.sum())
        self._calibrate(matrix.max(axis=1), hits, ((matrix - true) ** 2).sum(axis=1))
        return True

    def _calibrate(self, probabilities: Array, hits: Array, scores: Array) -> None:
        self._forecast += len(scores)
        self._brier += float(scores.sum())
        bins = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
        for at, weights in enumerate((np.ones_like(hits), probabilities, hits)):
            self._bins[at] += np.bincount(bins, weights, BINS)


def _columns(predicted: Table) -> Sequence[Array]:
    return predicted.arrays if predicted.matrix is None else list(predicted.matrix.T)


def _class(label: Any) -> str:
    """The label as text: 1, 1.0, true and "1" are one class, because JSON and the model may differ in the type."""
    if isinstance(label, (bool, np.bool_)):
        return str(int(label))
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)


def _is_finite(truth: float) -> bool:
    try:
        return math.isfinite(truth)
    except OverflowError:
        return False
