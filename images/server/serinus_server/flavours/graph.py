"""ONNX: the runtime's session, fed as MLflow feeds it, and for numbers without pandas.

MLflow answers a data frame with a data frame, each output flattened into a column. Here it is the same records as a
list, which is written as the same JSON; tensors are answered with a dict of arrays, here as there.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from serinus_server import problems, threads
from serinus_server.flavours import probing, rowwise
from serinus_server.mlmodel import Recorded
from serinus_server.problems import ModelProblem
from serinus_server.signature import Signature
from serinus_server.values import Array, Opaque, Table, Value

log = logging.getLogger(__name__)

_CPU: Final = "CPUExecutionProvider"
_PROVIDERS: Final = ["CUDAExecutionProvider", _CPU]
_SINGLE: Final = "tensor(float)"


class Graph:
    """A session; a table is its only input, or has one column for each."""

    def __init__(self, session: Any, signature: Signature) -> None:
        self.session = session
        self._inputs = {one.name: one.type for one in session.get_inputs()}
        self._outputs = [one.name for one in session.get_outputs()]
        self._first, self._type = next(iter(self._inputs.items()))
        self.joins = rowwise.is_by_row(self, _made_up(signature), {})

    def predict(self, value: Value, params: dict[str, Any] | None) -> Any:  # noqa: ARG002 (MLflow has none for it)
        """The outputs: records for rows of columns, a dict of arrays for tensors."""
        if isinstance(value, Table):
            return self._records(self._of_table(value))
        data = value.value if isinstance(value, Opaque) else value
        if hasattr(data, "iloc"):
            return self._records(self._of_frame(data))
        if isinstance(data, np.ndarray):
            self._needs_one_input("an array")
            data = {self._first: data}
        if not isinstance(data, dict):
            raise TypeError(f"an ONNX model takes columns, an array, or named arrays, and not {type(data).__name__}")
        return dict(zip(self._outputs, self._run(data), strict=True))

    def _of_table(self, table: Table) -> dict[str, Array]:
        matrix = probing.matrix_of(table)
        if matrix is None or len(self._inputs) > 1:
            return self._of_frame(table.frame())
        return {self._first: matrix}

    def _of_frame(self, frame: Any) -> dict[str, Array]:
        if len(self._inputs) > 1:
            return {name: frame[name].to_numpy() for name in self._inputs}
        return {self._first: frame.to_numpy()}

    def _needs_one_input(self, given: str) -> None:
        if len(self._inputs) > 1:
            raise ValueError(f"{given} cannot be given to a model of several inputs: name {', '.join(self._inputs)}")

    def _run(self, feed: Mapping[str, Array]) -> list[Any]:
        with np.errstate(over="ignore"):
            cast = {name: self._cast(name, one) for name, one in feed.items()}
        return list(self.session.run(self._outputs, cast))

    def _cast(self, name: str, array: Array) -> Array:
        is_double = self._inputs.get(name) == _SINGLE and array.dtype == np.float64
        return array.astype(np.float32) if is_double else array

    def _records(self, feed: Mapping[str, Array]) -> list[dict[str, Any]]:
        columns = [np.asarray(one).reshape(-1).tolist() for one in self._run(feed)]
        if len({len(one) for one in columns}) > 1:
            raise ValueError(
                f"the outputs {', '.join(self._outputs)} have {', '.join(str(len(one)) for one in columns)} values, "
                "and cannot be columns of one table: send tensors, or convert the model without zipmap=False"
            )
        return [dict(zip(self._outputs, row, strict=True)) for row in zip(*columns, strict=True)]


def load(path: Path, recorded: Recorded) -> Graph:
    """The session of a model of MLflow's flavour onnx."""
    if recorded.predict_fn != "predict":
        raise ModelProblem(
            problems.UNREADABLE, f"an ONNX model has no {recorded.predict_fn}: log it without predict_fn"
        )
    flavour = recorded.flavors["onnx"]
    file = path / str(recorded.pyfunc.get("data") or flavour["data"])
    return Graph(_session(file, flavour), recorded.signature)


def _session(file: Path, flavour: Mapping[str, Any]) -> Any:
    import onnxruntime

    options = _options(flavour.get("onnx_session_options") or {})
    wanted = _providers(flavour.get("providers"), onnxruntime.get_available_providers())
    try:
        return onnxruntime.InferenceSession(str(file), sess_options=options, providers=wanted)
    except Exception as error:
        if wanted == [_CPU]:
            raise
        log.warning("the model runs on the CPU: %s", " ".join(str(error).split()))
        return onnxruntime.InferenceSession(str(file), sess_options=options, providers=[_CPU])


def _providers(recorded: Any, available: list[str]) -> list[Any]:
    """Those of the recorded that this build has; a provider with options is a pair."""
    named = [recorded] if isinstance(recorded, str) else recorded or _PROVIDERS
    usable = [tuple(one) if isinstance(one, list) else one for one in named if _name(one) in available]
    missing = {str(_name(one)) for one in named} - set(available) - set(_PROVIDERS)
    if missing:
        log.warning("this image has no %s, which the model was logged for", ", ".join(sorted(missing)))
    return usable or [_CPU]


def _name(provider: Any) -> Any:
    return provider[0] if isinstance(provider, (list, tuple)) and provider else provider


def _options(recorded: Mapping[str, Any]) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # As many as the pod may use, and none that waits by running in circles.
    options.intra_op_num_threads = recorded.get("intra_op_num_threads") or threads.count()
    options.inter_op_num_threads = recorded.get("inter_op_num_threads") or 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    modes = {
        "SEQUENTIAL": onnxruntime.ExecutionMode.ORT_SEQUENTIAL,
        "PARALLEL": onnxruntime.ExecutionMode.ORT_PARALLEL,
    }
    mode = modes.get(str(recorded.get("execution_mode") or "").upper())
    if mode is not None:
        options.execution_mode = mode
    if level := recorded.get("graph_optimization_level"):
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel(level)
    for key, value in (recorded.get("extra_session_config") or {}).items():
        options.add_session_config_entry(str(key), str(value))
    return options


def _made_up(signature: Signature) -> Value | None:
    """Rows that differ, to try whether the graph takes each by itself; None if they cannot be made up."""
    rows = probing.ordinary(signature)
    if rows is None or signature.inputs is None:
        return rows
    if signature.is_tabular:
        return Table(tuple(str(one.name) for one in signature.columns), len(rows), rows)
    name = signature.tensors[0].name
    return rows if name is None else {name: rows}
