"""The signature of a model, as MLmodel has it: what goes in, what comes out, and the params beside it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

SCALARS: Final = frozenset({"boolean", "integer", "long", "float", "double", "string", "binary", "datetime"})
# A column without a name, as arrays without column names have.
type Name = str | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `type` is MLflow's word for it, and `spec` all that was recorded."""

    name: Name
    type: str
    required: bool
    spec: Mapping[str, Any]

    @property
    def is_scalar(self) -> bool:
        """Whether a cell is one value, and not an array, object or map."""
        return self.type in SCALARS


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor; -1 in its shape is any number, and the first axis is that of the rows."""

    name: Name
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of inference; `shape` is None for a single value."""

    name: str
    type: str
    default: Any
    shape: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Signature:
    """Columns or tensors, never both; None where nothing was recorded, and then anything goes in."""

    inputs: tuple[Column, ...] | tuple[Tensor, ...] | None = None
    outputs: tuple[Column, ...] | tuple[Tensor, ...] | None = None
    params: tuple[Param, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """The input columns; empty if the inputs are tensors or unknown."""
        return tuple(one for one in self.inputs or () if isinstance(one, Column))

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The input tensors; empty if the inputs are columns or unknown."""
        return tuple(one for one in self.inputs or () if isinstance(one, Tensor))

    @property
    def is_tabular(self) -> bool:
        """Whether every input is a named column of single values: what can be checked without MLflow's own code."""
        return bool(self.columns) and all(one.is_scalar and one.name is not None for one in self.columns)


def parse(recorded: Mapping[str, Any] | None) -> Signature:
    """The signature that MLmodel has under `signature`; each of its parts is JSON in a string."""
    if not recorded:
        return Signature()
    params = json.loads(recorded.get("params") or "[]")
    return Signature(_specs(recorded.get("inputs")), _specs(recorded.get("outputs")), tuple(map(_param, params)))


def _specs(text: str | None) -> tuple[Column, ...] | tuple[Tensor, ...] | None:
    if not text:
        return None
    specs = json.loads(text)
    if specs and all(one.get("type") == "tensor" for one in specs):
        return tuple(map(_tensor, specs))
    return tuple(map(_column, specs))


def _column(spec: Mapping[str, Any]) -> Column:
    return Column(spec.get("name"), str(spec["type"]), bool(spec.get("required", True)), spec)


def _tensor(spec: Mapping[str, Any]) -> Tensor:
    inner = spec["tensor-spec"]
    return Tensor(spec.get("name"), np.dtype(inner["dtype"]), tuple(inner["shape"]))


def _param(spec: Mapping[str, Any]) -> Param:
    shape = spec.get("shape")
    return Param(str(spec["name"]), str(spec["type"]), spec.get("default"), None if shape is None else tuple(shape))
