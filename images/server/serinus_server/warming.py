"""Before anybody is served: the model predicts its own logged example, and shows whether its rows may be joined."""

import logging
from typing import Any, Final, Protocol

import numpy as np

from serinus_server import problems, values
from serinus_server.flavours import Model
from serinus_server.mlmodel import Recorded
from serinus_server.problems import ModelProblem, RequestProblem
from serinus_server.values import Array, Call, Table, Value

log = logging.getLogger(__name__)

# So often before the first request: what is slow the first time, and the lane learns how quick it is.
_TIMES: Final = 3
_LEAST_TO_COMPARE: Final = 2


class Decodes(Protocol):
    """What reads requests of MLflow's protocol."""

    def decode(self, body: bytes, content_type: str) -> Call:
        """Raises a RequestProblem."""

    def encode(self, outputs: Any) -> bytes:
        """The answer's body."""


def example(recorded: Recorded) -> bytes:
    """The request that was logged with the model as its example; empty if there is none."""
    file = recorded.example.serving_input
    return file.read_bytes() if file is not None else b""


def warm(model: Model, scoring: Decodes, body: bytes) -> Call | None:
    """A first prediction. A model that fails its own example is not served: raises a ModelProblem."""
    if not body:
        log.warning("the model has no input example: its first prediction will be a user's")
        return None
    try:
        call = scoring.decode(body, "application/json")
    except RequestProblem as problem:
        raise ModelProblem(
            problems.PREDICTION,
            f"the logged input example does not fit the logged signature: {problem.message}; log the model again",
        ) from problem
    for _ in range(_TIMES):
        _predict(model, scoring, call)
    return call


def _predict(model: Model, scoring: Decodes, call: Call) -> None:
    try:
        scoring.encode(model.predict(call.value, call.params))
    except Exception as error:
        raise ModelProblem(
            problems.PREDICTION,
            f"the model fails on its own input example: {type(error).__name__}: {error}; "
            "does it run with the packages of this image? server.environment: Model rebuilds its own",
        ) from error


def joins(model: Model, call: Call | None) -> bool:
    """Whether rows that are predicted together come out as they do alone: tried, on the rows of the example.

    Models of flavours that are known to be so need no trial. For any other there must be two rows that differ.
    """
    if model.joins:
        return True
    if call is None or call.key is None or call.rows < _LEAST_TO_COMPARE:
        return False
    try:
        return _is_by_row(model, call)
    except Exception:  # noqa: BLE001 (whatever it is, then it is not by row)
        return False


def _is_by_row(model: Model, call: Call) -> bool:
    alone = [model.predict(_row(call.value, at), call.params) for at in range(call.rows)]
    backwards = [*reversed(range(call.rows)), 0]
    together = model.predict(values.join([_row(call.value, at) for at in backwards]), call.params)
    parts = values.split(together, [1] * len(backwards))
    return parts is not None and all(
        _equal(alone[at], part) for at, part in zip(backwards, parts, strict=True)
    ) and not all(_equal(alone[0], one) for one in alone)  # fmt: skip


def _row(value: Value, at: int) -> Value:
    if isinstance(value, Table):
        matrix = None if value.matrix is None else value.matrix[at : at + 1]
        return Table(value.names, 1, matrix, tuple(one[at : at + 1] for one in value.arrays))
    if isinstance(value, dict):
        return {name: one[at : at + 1] for name, one in value.items()}
    if isinstance(value, np.ndarray):
        return value[at : at + 1]
    raise TypeError(f"rows of {type(value).__name__} cannot be told apart")


def _equal(one: Any, other: Any) -> bool:
    first, second = _array(one), _array(other)
    if first.shape != second.shape:
        return False
    is_number = first.dtype.kind == "f" and second.dtype.kind == "f"
    return bool(np.array_equal(first, second, equal_nan=is_number))


def _array(value: Any) -> Array:
    return np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value)
