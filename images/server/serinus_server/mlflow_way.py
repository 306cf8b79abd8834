"""What is rare or hard in a request: decoded and checked by MLflow's own functions, imported when first needed."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from io import BytesIO, StringIO
from math import inf, prod
from pathlib import Path
from typing import Any

import numpy as np

from serinus_server import columns, reading, room, schema, shown
from serinus_server.problems import RequestProblem
from serinus_server.signature import Signature
from serinus_server.values import Opaque, Table

type Decoded = tuple[Table | Opaque, dict[str, Any] | None]


class MlflowWay:
    """MLflow's reading of requests for one model, of whose folder it takes the signature."""

    def __init__(self, path: Path, signature: Signature) -> None:
        self._path = path
        self._joins = signature.is_tabular and schema.can_decode(signature.columns)
        self._width = _width(signature)
        self._types = {one.name: columns.DTYPES.get(one.type) for one in signature.columns}

    def warm(self) -> None:
        """Import now what the first request would wait for: a second and 100 MB."""
        self._metadata  # noqa: B018 - it is read for what reading it does

    def decode(self, body: bytes, kind: str) -> Decoded:
        """The value and the params. Raises a RequestProblem for whatever is wrong with them."""
        content = reading.exactly(body) if kind == reading.JSON else {}
        metadata = self._metadata
        try:
            with _silence():
                return self._decoded(metadata, body, kind, content)
        except RequestProblem:
            raise
        # MLflow raises whatever pandas and numpy do. What is read here is the request alone, so it is that.
        except Exception as error:  # noqa: BLE001 - likewise
            raise self._problem(error) from None

    def _decoded(self, metadata: Any, body: bytes, kind: str, content: dict[str, Any]) -> Decoded:
        from mlflow.models.utils import _enforce_params_schema, _enforce_schema

        is_from_type_hint = metadata._is_signature_from_type_hint()  # noqa: SLF001 - as MLflow's own server asks
        if not is_from_type_hint:
            room.check_frame(content, self._width)
        data, params, bare = _read(metadata, body, kind, content, self._width)
        params = _enforce_params_schema(params, metadata.get_params_schema())
        if is_from_type_hint:
            # The model checks it itself, against its types.
            return Opaque(data, enforced=False, bare=bare), params
        known = metadata.get_input_schema()
        if known is not None:
            data = _enforce_schema(data, known)
        from_example = metadata._is_type_hint_from_example()  # noqa: SLF001 - likewise
        if self._joins and not bare and not from_example:
            return self._value(data), params
        # A model with a type hint of its example wants the example's form, which its own `predict` makes.
        return Opaque(data, enforced=not from_example, bare=bare), params

    def _value(self, frame: Any) -> Table | Opaque:
        """A table, where a DataFrame made of it again would be the same."""
        names = tuple(frame.columns)
        arrays = tuple(_array(frame[name]) for name in names)
        is_same = all(
            array is not None and array.dtype == self._types.get(name)
            for name, array in zip(names, arrays, strict=True)
        )
        if not is_same or not len(frame) or list(frame.index) != list(range(len(frame))):
            return Opaque(frame, enforced=True)
        if all(array.dtype == np.float64 for array in arrays if array is not None):
            return Table(names, len(frame), np.column_stack([one for one in arrays if one is not None]))
        return Table(names, len(frame), None, tuple(one for one in arrays if one is not None))

    @cached_property
    def _metadata(self) -> Any:
        with _silence():
            from mlflow.models import Model
            from mlflow.pyfunc import scoring_server  # noqa: F401 - it takes longest

        # They say once for each request what is ignored of it.
        for name in ("mlflow.models.utils", "mlflow.types.utils", "mlflow.pyfunc"):
            logging.getLogger(name).setLevel(logging.ERROR)
        return Model.load(str(self._path))

    def _problem(self, error: Exception) -> RequestProblem:
        message = str(getattr(error, "message", "")) or f"the request cannot be read: {type(error).__name__}: {error}"
        named = [str(name) for name in self._types if name and f"column {name} " in message.replace("'", "")]
        return RequestProblem(400, shown.text(message), column=named[0] if named else "")


def _width(signature: Signature) -> float:
    """How many columns a data frame for it has; a signature that knows of nothing knows of any number."""
    if signature.tensors:
        return sum(abs(prod(one.shape[1:])) for one in signature.tensors)
    return len(signature.columns) or inf


@contextmanager
def _silence() -> Iterator[None]:
    """MLflow warns of its own type hints when it is imported, pandas of dates that it reads one by one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _read(metadata: Any, body: bytes, kind: str, content: dict[str, Any], width: float) -> tuple[Any, Any, bool]:
    from mlflow.pyfunc import scoring_server

    known = metadata.get_input_schema()
    if kind == reading.JSON:
        read: Any = scoring_server._parse_json_data  # noqa: SLF001 - there is no other way in
        parsed = read(content, metadata, known)
        return parsed.data, parsed.params, parsed.is_unified_llm_input
    if kind == reading.CSV:
        return scoring_server.parse_csv_input(StringIO(_text(body, width)), known), None, False
    parquet: Any = scoring_server.parse_parquet_input
    return parquet(BytesIO(body)), None, False


def _text(body: bytes, width: float) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise RequestProblem(400, f"the body is not valid UTF-8 at byte {error.start}") from None
    room.check_csv(text, width)
    return text


def _array(series: Any) -> Any:
    """The column; None if its strings are kept in a way that pandas does not choose by itself."""
    is_string = series.dtype == "string" or series.dtype.name == "str"
    if not is_string and series.dtype != object:
        return series.to_numpy() if isinstance(series.dtype, np.dtype) else None
    array = series.to_numpy(dtype=object)
    return array if columns.is_text(array) == is_string else None
