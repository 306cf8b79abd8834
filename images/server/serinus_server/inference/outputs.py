"""From what a model returned to tensors: an array is one, a data frame or a dict has one for each column or key."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from serinus_server import shown
from serinus_server.inference.tensors import DTYPES
from serinus_server.problems import RequestProblem
from serinus_server.signature import Column, Signature, Tensor
from serinus_server.values import Array

DEFAULT: Final = "predict"
BYTES: Final = "BYTES"
_NAMES: Final[Mapping[np.dtype[Any], str]] = {dtype: name for name, dtype in DTYPES.items() if name != BYTES}
_MATRIX: Final = 2


class Output(NamedTuple):
    """One tensor. Of BYTES the array is of objects: str, bytes, or None."""

    name: str
    datatype: str
    array: Array
    content_type: str = ""


def names_of(signature: Signature) -> tuple[str, ...]:
    """What the outputs are called; a single one without a name is `predict`."""
    given: list[Column | Tensor] = list(signature.outputs or ())
    if len(given) == 1:
        return (str(given[0].name or DEFAULT),)
    return tuple(str(one.name or f"{DEFAULT}-{place}") for place, one in enumerate(given)) or (DEFAULT,)


def read(returned: Any, names: Sequence[str]) -> list[Output]:
    """The tensors of what a model returned. Raises TypeError or ValueError if it has no form in this protocol."""
    if type(returned) is np.ndarray:
        return _arrays(returned, names)
    if isinstance(returned, Mapping):
        return [_output(str(name), one) for name, one in returned.items()]
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(returned, pandas.DataFrame):
        # By place: two columns may have one name.
        return [_output(str(name), returned.iloc[:, place]) for place, name in enumerate(returned.columns)]
    if pandas is not None and isinstance(returned, pandas.Series):
        return [_output(names[0] if len(names) == 1 else str(returned.name or DEFAULT), returned)]
    return _others(returned, names)


def chosen(outputs: list[Output], wanted: Sequence[str]) -> list[Output]:
    """Those that were asked for; all, if none were."""
    if not wanted:
        return outputs
    known = {one.name: one for one in outputs}
    for name in wanted:
        if name not in known:
            raise RequestProblem(400, f"there is no output {shown.name(name)}; there are {shown.names(known)}")
    return [known[name] for name in wanted]


def _arrays(array: Array, names: Sequence[str]) -> list[Output]:
    if len(names) == 1:
        return [_output(names[0], array)]
    if array.ndim == _MATRIX and array.shape[1] == len(names):
        return [_output(name, array[:, place]) for place, name in enumerate(names)]
    return [_output(DEFAULT, array)]


def _others(returned: Any, names: Sequence[str]) -> list[Output]:
    name = names[0] if len(names) == 1 else DEFAULT
    if hasattr(returned, "toarray"):
        return _arrays(returned.toarray(), names)
    is_several = isinstance(returned, (list, tuple)) or hasattr(returned, "__array__")
    return [_output(name, returned if is_several else [returned])]


def _output(name: str, values: Any) -> Output:
    array = _numbers(values)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.ndim == 0:
        array = array.reshape(1)
    datatype = _NAMES.get(array.dtype)
    if datatype is not None:
        return Output(name, datatype, array)
    if array.dtype.kind == "f":
        return Output(name, "FP64", array.astype(np.float64))
    if array.dtype.kind == "M":
        return Output(name, BYTES, _moments(array), "datetime")
    return _objects(name, array)


def _numbers(values: Any) -> Array:
    """The values as numpy has them, or as objects: a list of lists of different lengths is one of lists."""
    dtype = getattr(values, "dtype", None)
    if dtype is not None and not isinstance(dtype, np.dtype):
        # A type of pandas' own: of numbers if none is missing, else of objects.
        return np.asarray(values.to_numpy() if not values.isna().any() else values.astype(object))
    if isinstance(values, (list, tuple)) and any(isinstance(one, (bytes, str, dict)) for one in values):
        return _as_objects(values)
    try:
        array = np.asarray(values)
    except ValueError:
        return _as_objects(values)
    if array.dtype == object and array.size and not {type(one) for one in array.reshape(-1).tolist()} - {bool}:
        return array.astype(np.bool_)
    return array


def _as_objects(values: Sequence[Any]) -> Array:
    return np.fromiter(values, object, len(values))


def _moments(array: Array) -> Array:
    texts: Array = np.datetime_as_string(array).astype(object)
    texts[np.isnat(array)] = None
    return texts


def _objects(name: str, array: Array) -> Output:
    """Texts and bytes as they are; numbers with gaps as numbers; anything else as JSON."""
    values = [_plain(one) for one in array.reshape(-1).tolist()]
    kinds = {type(one) for one in values}
    kind = ""
    if kinds <= {int, float, type(None)} and kinds & {int, float}:
        return Output(name, "FP64", np.array(values, np.float64).reshape(array.shape))
    if kinds <= {str, type(None)}:
        kind = "str"
    elif not kinds <= {bytes, type(None)}:
        kind = "pd_json"
        values = [orjson.dumps(one, default=_json, option=orjson.OPT_SERIALIZE_NUMPY).decode() for one in values]
    return Output(name, BYTES, _as_objects(values).reshape(array.shape), kind)


def _plain(one: Any) -> Any:
    """What pandas and numpy have for missing is None, and their numbers are numbers."""
    if one is None or (type(one) is float and one != one) or type(one).__name__ in {"NAType", "NaTType"}:  # noqa: PLR0124
        return None
    return one.item() if isinstance(one, np.generic) else one


def _json(one: Any) -> Any:
    if isinstance(one, np.ndarray):
        return one.tolist()
    if isinstance(one, bytes):
        return one.decode("latin-1")
    if isinstance(one, (set, frozenset)):
        return sorted(one)
    if hasattr(one, "model_dump"):
        return one.model_dump()
    if hasattr(one, "isoformat"):
        return one.isoformat()
    raise TypeError(f"a value of type {type(one).__name__} has no JSON")
