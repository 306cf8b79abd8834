"""scikit-learn without a detour: the estimator itself, and for numbers a matrix instead of a DataFrame.

A DataFrame costs more than a small model does. It makes no difference to most estimators, and it does to those that
choose columns by name or look at their types: so both ways are tried when the model is loaded, and the matrix is used
only if the outputs are the same to the last bit.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from serinus_server import problems, threads
from serinus_server.flavours import frugal, objects, parts, probing, shortcuts
from serinus_server.flavours.shortcuts import Shortcut
from serinus_server.mlmodel import Recorded
from serinus_server.problems import ModelProblem
from serinus_server.signature import Signature
from serinus_server.values import Array, Opaque, Table, Value


class Estimator:
    """A fitted estimator, or a pipeline of them."""

    def __init__(self, estimator: Any, method: str, signature: Signature) -> None:
        self.estimator = estimator
        self.joins = parts.are_by_row(estimator)
        self._predict: probing.Way = getattr(estimator, method)
        self.takes_matrix = self._takes_matrix(signature)
        rows = probing.matrices(signature, getattr(estimator, "n_features_in_", None))
        self._width = rows[0].shape[1] if rows else 0
        self.shortcut = self._shortcut(method, rows, is_table=signature.is_tabular)

    def predict(self, value: Value, params: dict[str, Any] | None) -> Any:  # noqa: ARG002 (MLflow has none for it)
        """What the estimator says."""
        if isinstance(value, Table):
            matrix = probing.matrix_of(value) if self.takes_matrix else None
            return self._predict(value.frame()) if matrix is None else self._of_matrix(_as_frames_are(matrix))
        if type(value) is np.ndarray:
            return self._of_matrix(value)
        return self._predict(value.value if isinstance(value, Opaque) else value)

    def _of_matrix(self, matrix: Array) -> Any:
        if self.shortcut is not None and self._is_plain(matrix):
            outputs = self.shortcut(matrix)
            if outputs is not None:
                return outputs
        return self._predict(matrix)

    def _is_plain(self, matrix: Array) -> bool:
        """Whether the estimator would find nothing to say against it."""
        is_known = matrix.dtype == np.float64 and matrix.ndim == 2 and matrix.shape[1] == self._width  # noqa: PLR2004
        # A sum that overflows is of numbers that the estimator may take; it only takes longer.
        return is_known and len(matrix) > 0 and probing.is_finite(matrix)

    def _takes_matrix(self, signature: Signature) -> bool:
        fitted = getattr(self.estimator, "feature_names_in_", None)
        if fitted is not None and tuple(fitted) != tuple(one.name for one in signature.columns):
            # Told to the sender, as pyfunc does; a matrix would be taken as it comes.
            return False
        return probing.takes_matrix(signature, self._predict, lambda matrix: self._predict(_as_frames_are(matrix)))

    def _shortcut(self, method: str, rows: list[Array], *, is_table: bool) -> Shortcut | None:
        rows = [_as_frames_are(one) for one in rows] if is_table else rows
        if not rows or rows[0].dtype != np.float64 or (is_table and not self.takes_matrix):
            return None
        try:
            self.shortcut = shortcuts.of(self.estimator, method)
        except Exception:  # noqa: BLE001 (an estimator of another version has other parts: it is asked itself)
            return None
        if self.shortcut is None or not probing.agree(self._predict, self._of_matrix, [(one, one) for one in rows]):
            return None
        return self.shortcut


def _as_frames_are(matrix: Array) -> Array:
    """Column by column in memory, as the values of a DataFrame are: sums of products differ in the last bit."""
    return np.asfortranarray(matrix)


def load(path: Path, recorded: Recorded) -> Estimator:
    """The estimator of a model of MLflow's flavour sklearn."""
    flavour = recorded.flavors["sklearn"]
    name = recorded.pyfunc.get("data") or recorded.pyfunc.get("model_path") or flavour["pickled_model"]
    file, form = path / str(name), str(flavour.get("serialization_format") or "pickle")
    with warnings.catch_warnings(), frugal.importing(recorded.signature, file):
        # That versions differ is told by `versions`, once and in words.
        warnings.simplefilter("ignore")
        estimator = objects.read(file, form, flavour)
    if not hasattr(estimator, recorded.predict_fn):
        raise ModelProblem(
            problems.UNREADABLE,
            f"{type(estimator).__name__} has no {recorded.predict_fn}, which MLmodel names as its predict_fn: "
            "log an estimator that can predict, or another pyfunc_predict_fn",
        )
    parts.limit_threads(estimator, threads.count())
    # Said for every batch of a matrix; what the names are for has been checked against the signature by then.
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    return Estimator(estimator, recorded.predict_fn, recorded.signature)
