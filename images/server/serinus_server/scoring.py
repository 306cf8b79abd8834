"""MLflow's scoring protocol: a request's body to what is predicted, and outputs to an answer's body.

Requests for named columns of single values, and for tensors of numbers, are read and checked here, without pandas and
without MLflow; anything else is left to MLflow's own functions. What comes out is what `mlflow models serve` would
have handed to the model, with these exceptions.

Refused here with 400, where MLflow answers 500 or goes on with something else than what was sent:

- integers and floats beyond the range of `integer` or `long` in data frames (pandas wraps them around);
- `instances` of objects with different keys (MLflow shifts the values of one row into another if the counts agree);
- strings with half of a surrogate pair, JSON nested too deeply to be read, integers of more than 4300 digits;
- an empty list in the place of a number in `inputs` (pandas makes NaN of it if there is nothing else);
- an `index` of another length than the rows (pandas repeats a single row for each);
- `data` or `columns` of `dataframe_split` that are no list (pandas repeats a single value for each of an index);
- lists in a param that wants a list of single values;
- what would be many times its size in memory, such as an index for rows that are not there (see `room`).

Taken here, where MLflow refuses:

- tensors that the signature does not know and that are no arrays, since they are ignored either way;
- integers up to 1024 below the least of 64 bits, which are taken for the least.

The index of a data frame that counts from 0 is a RangeIndex here, and has been a list of the same numbers there.
"""

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Final

import numpy as np

from serinus_server import outputs, reading, schema, shown, tensors
from serinus_server.columns import Elsewhere, is_text
from serinus_server.mlflow_way import MlflowWay
from serinus_server.mlmodel import Recorded
from serinus_server.outputs import error_body
from serinus_server.params import Params
from serinus_server.problems import RequestProblem, Slow
from serinus_server.schema import Tabular
from serinus_server.signature import Signature
from serinus_server.tensors import Tensors
from serinus_server.values import Call, Opaque, Table, Value, key_of

__all__ = ["Scoring", "call_of", "error_body"]

_FORMATS: Final = ("dataframe_split", "dataframe_records", "instances", "inputs")
# Chats, completions and embeddings come without one of the formats around them.
_CHATS: Final = frozenset({"messages", "prompt", "input"})


class Scoring:
    """The protocol for one model. Nothing here waits, and nothing is kept from one request for another."""

    encode = staticmethod(outputs.encode)

    def __init__(self, recorded: Recorded, *, may_take_long: bool = True) -> None:
        """With `may_take_long` off, `decode` raises Slow rather than do what takes MLflow and pandas to do."""
        self._may_take_long = may_take_long
        signature = recorded.signature
        fast = None if recorded.is_signature_from_type_hint or recorded.is_type_hint_from_example else _fast(signature)
        self._forms = _forms(fast) if fast is not None else {}
        self._params = Params(signature.params)
        self._mlflow = MlflowWay(recorded.path, signature)
        self._joins = _joins(signature)

    @property
    def needs_mlflow(self) -> bool:
        """Whether ordinary requests go through MLflow's own functions."""
        return not self._forms

    def warm(self) -> None:
        """Import at the start what ordinary requests need."""
        if self.needs_mlflow:
            self._mlflow.warm()

    def decode(self, body: bytes, content_type: str) -> Call:
        """The request, checked; raises a RequestProblem for what a client did wrong, and Slow, nothing else."""
        kind = reading.media_type(content_type)
        if kind == reading.JSON and self._forms:
            try:
                return self._quickly(reading.quickly(body))
            except Elsewhere:
                pass
        if not self._may_take_long:
            raise Slow(partial(self._slowly, body, kind))
        return self._slowly(body, kind)

    def encoder(self, call: Call) -> Callable[[Any], bytes]:
        """How the answer to this call is written: a chat's has no `predictions` around it."""
        is_bare = isinstance(call.value, Opaque) and call.value.bare
        return outputs.bare if is_bare else outputs.encode

    def _quickly(self, content: dict[str, Any]) -> Call:
        given = [name for name in _FORMATS if name in content]
        if not _CHATS.isdisjoint(content):
            raise Elsewhere
        if len(given) != 1:
            wanted = f"the body must have exactly one of {', '.join(_FORMATS)}"
            raise RequestProblem(400, f"{wanted}; it has {shown.names(content)}")
        value = self._forms[given[0]](content[given[0]])
        params, key = self._params.enforce(content.get("params"))
        return call_of(value, params, key, joins=self._joins)

    def _slowly(self, body: bytes, kind: str) -> Call:
        value, params = self._mlflow.decode(body, kind)
        return call_of(value, params, None if params is None else repr(sorted(params.items())), joins=self._joins)


def call_of(value: Value, params: dict[str, Any] | None = None, params_key: Hashable = None, *, joins: bool) -> Call:
    """The call of a value that is checked; it has a key if it may be predicted together with others."""
    if isinstance(value, Table):
        return Call(value, value.rows, params, (_table_key(value), params_key) if value.rows else None)
    if isinstance(value, Opaque):
        return Call(value, _rows(value.value), params)
    counts = {len(one) if one.ndim else 0 for one in (value.values() if isinstance(value, dict) else (value,))}
    if not joins or len(counts) != 1 or counts == {0}:
        return Call(value, _rows(value), params)
    return Call(value, counts.pop(), params, (key_of(value), params_key))


def _table_key(table: Table) -> Hashable:
    """Of columns of objects also whether they are strings to pandas: then it has another type for the whole column."""
    if table.matrix is not None:
        return table.names
    return key_of(table), tuple(is_text(one) for one in table.arrays if one.dtype == object)


def _rows(value: Any) -> int:
    """How many rows there are in whatever a model takes; one if it does not say."""
    if isinstance(value, dict):
        arrays = [one for one in value.values() if isinstance(one, np.ndarray) and one.ndim]
        return len(arrays[0]) if arrays else 1
    if isinstance(value, (str, bytes)) or getattr(value, "ndim", 1) == 0 or not hasattr(value, "__len__"):
        return 1
    return len(value)


def _fast(signature: Signature) -> Tabular | Tensors | None:
    if signature.is_tabular and schema.can_decode(signature.columns):
        return Tabular(signature.columns)
    if signature.tensors and tensors.can_decode(signature.tensors):
        return Tensors(signature.tensors)
    return None


def _forms(fast: Tabular | Tensors) -> dict[str, Callable[[Any], Value]]:
    return dict(zip(_FORMATS, (fast.split, fast.records, fast.instances, fast.inputs), strict=True))


def _joins(signature: Signature) -> bool:
    """Whether every tensor has its rows along its first axis."""
    return all(one.shape[:1] == (-1,) for one in signature.tensors)
