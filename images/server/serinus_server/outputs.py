"""Answers: what a model returned, as the JSON that MLflow's scoring server would have written of it."""

import base64
import datetime as dt
import json
import sys
from typing import Any, Final

import numpy as np
import orjson

from serinus_server.problems import RequestProblem

_BAD_REQUEST: Final = 400
# As MLflow's clients know them.
_CODES: Final = {
    404: "ENDPOINT_NOT_FOUND",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_BEFORE: Final = b'{"predictions":'


def encode(outputs: Any) -> bytes:
    """`{"predictions": …}`. Raises TypeError or ValueError for what has no JSON, as MLflow does."""
    return _BEFORE + bare(outputs) + b"}"


def bare(outputs: Any) -> bytes:
    """The outputs without anything around them, as a chat's answer is."""
    if type(outputs) is np.ndarray:
        return _array(outputs)
    return _slowly(_plain(outputs))


def error_body(problem: RequestProblem) -> bytes:
    """What MLflow's clients show of an answer that is none."""
    if problem.status == _BAD_REQUEST and problem.column:
        code = "INVALID_PARAMETER_VALUE"
    else:
        code = _CODES.get(problem.status, "BAD_REQUEST")
    return json.dumps({"error_code": code, "message": problem.message}).encode()


def _array(array: np.ndarray[Any, Any]) -> bytes:
    kind = array.dtype.kind
    if kind == "f" and array.dtype.itemsize <= 8:  # noqa: PLR2004 - a long double has no JSON
        if not np.isfinite(array).all():
            return _slowly(array.tolist())
        # A float32 is written as the double that it is, as Python has it.
        array = array.astype(np.float64, copy=False)
    elif kind not in "biu":
        return _slowly(array.tolist())
    if array.ndim == 0:
        return orjson.dumps(array.item())
    # In the order and the byte order that the fast writer wants.
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    return orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)


def _slowly(outputs: Any) -> bytes:
    return json.dumps(outputs, default=_default).encode()


def _plain(outputs: Any) -> Any:
    """A data frame is a list of records; what is none stays as it is."""
    if isinstance(outputs, np.ndarray):
        return outputs.tolist()
    # Who has not imported pandas has none of its frames.
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return outputs
    if isinstance(outputs, pandas.Series):
        outputs = pandas.DataFrame(outputs)
    return outputs.to_dict(orient="records") if isinstance(outputs, pandas.DataFrame) else outputs


def _default(value: Any) -> Any:
    """What is inside of the outputs and is no JSON by itself."""
    if isinstance(value, np.ndarray):
        return [_element(one) for one in value.tolist()] if value.dtype == object else value.tolist()
    converted = _element(value)
    if converted is value:
        raise TypeError(f"a value of type {type(value).__name__} has no JSON")
    return converted


def _element(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (bytes, bytearray)):
        return base64.encodebytes(value).decode("ascii")
    # A pandas.Timestamp is a datetime.
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(value, pydantic.BaseModel):
        return value.model_dump()
    return value
