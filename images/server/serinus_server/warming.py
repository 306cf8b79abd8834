"""Before anybody is served: the model predicts its own logged example, and shows whether its rows may be joined."""

import json
import logging
from typing import Any, Final, Protocol

import numpy as np

from serinus_server import problems, shown
from serinus_server.flavours import Model, rowwise
from serinus_server.mlmodel import Recorded
from serinus_server.problems import ModelProblem, RequestProblem
from serinus_server.signature import Signature, Tensor
from serinus_server.values import Call, Opaque

log = logging.getLogger(__name__)

# So often before the first request: what is slow the first time, and the lane learns how quick it is.
_TIMES: Final = 3
_JSON: Final = "application/json"
_NOTHING: Final = {"boolean": False, "string": "", "datetime": "2020-01-01T00:00:00"}


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


def made_up(signature: Signature) -> bytes:
    """A request of one row of zeros and empty strings; empty if the signature does not say what goes in."""
    if signature.is_tabular:
        columns = [one.name for one in signature.columns]
        row = [_NOTHING.get(one.type, 0) for one in signature.columns]
        return json.dumps({"dataframe_split": {"columns": columns, "data": [row]}}).encode()
    tensors = {one.name: _zeros(one) for one in signature.tensors}
    if not tensors:
        return b""
    return json.dumps({"inputs": tensors.get(None, tensors)}).encode()


def _zeros(tensor: Tensor) -> Any:
    zero: Any = tensor.dtype.type(0) if tensor.dtype.kind in "biuf" else ""
    return np.full([max(one, 1) for one in tensor.shape], zero).tolist()


def warm(model: Model, scoring: Decodes, body: bytes, instead: bytes = b"") -> Call | None:
    """A first prediction. A model that fails its own example is not served: raises a ModelProblem.

    `instead` is what is predicted without an example: that a model fails with what was made up says little of it.
    """
    if not body:
        return _warm_anyhow(model, scoring, instead)
    try:
        call = scoring.decode(body, _JSON)
    except RequestProblem as problem:
        raise ModelProblem(
            problems.PREDICTION,
            f"the logged input example does not fit the logged signature: {problem.message}; log the model again",
        ) from problem
    for _ in range(_TIMES - 1):
        _predict(model, scoring, call)
    _tell_of_length(_predict(model, scoring, call), call)
    return call


def _tell_of_length(outputs: Any, call: Call) -> None:
    """MLflow serves such a model, and so is it here: what it says may be of all rows together."""
    if hasattr(outputs, "__len__") and not isinstance(outputs, (str, bytes, dict)) and len(outputs) != call.rows:
        log.warning("the model predicts %d outputs for the %d rows of its example", len(outputs), call.rows)


def _warm_anyhow(model: Model, scoring: Decodes, body: bytes) -> Call | None:
    log.warning("the model has no input example: log it with one, and it is tried before users are served")
    if not body:
        return None
    try:
        call = scoring.decode(body, _JSON)
        for _ in range(_TIMES):
            scoring.encode(model.predict(call.value, call.params))
    except Exception as error:  # noqa: BLE001 (a model may raise anything)
        log.warning("the model does not predict a row of zeros and empty strings: %s", _said(error))
        return None
    return call


def _predict(model: Model, scoring: Decodes, call: Call) -> Any:
    try:
        outputs = model.predict(call.value, call.params)
    except Exception as error:
        raise ModelProblem(
            problems.PREDICTION,
            f"the model fails on its own input example: {_said(error)}; "
            "does it run with the packages of this image? server.environment: Model rebuilds its own",
        ) from error
    try:
        scoring.encode(outputs)
    except Exception as error:
        raise ModelProblem(
            problems.PREDICTION,
            f"what the model predicts of its own input example cannot be written as JSON: {_said(error)}; "
            "have its predict return numbers, strings, lists of them, an array or a DataFrame",
        ) from error
    return outputs


def _said(error: Exception) -> str:
    return shown.text(f"{type(error).__name__}: {error}")


def joins(model: Model, call: Call | None) -> bool:
    """Whether rows that are predicted together come out as they do alone.

    Models of flavours that are known to be so need no trial. Any other is tried with the rows of the example, of which
    two must come out differently: what cannot be told is not joined.
    """
    if model.joins:
        return True
    if call is None or call.key is None or isinstance(call.value, Opaque):
        return False
    return rowwise.is_by_row(model, call.value, call.params)
