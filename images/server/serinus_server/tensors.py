"""Tensors: requests whose signature is of numbers in arrays, decoded by numpy alone."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Final

import numpy as np

from serinus_server import shown
from serinus_server.columns import Elsewhere
from serinus_server.problems import RequestProblem
from serinus_server.signature import Tensor
from serinus_server.values import Array

type Decoded = Array | dict[str, Array]

_UNFIT: Final = (TypeError, ValueError, OverflowError)


def can_decode(given: Sequence[Tensor]) -> bool:
    """Whether all are of numbers or booleans, and either named each or a single one without a name."""
    names = [one.name for one in given]
    is_named = None not in names and len(set(names)) == len(names)
    return (names == [None] or is_named) and all(one.dtype.kind in "biuf" and one.dtype.itemsize <= 8 for one in given)  # noqa: PLR2004


class Tensors:
    """The tensors of a signature. Data frames of them are MLflow's own business."""

    def __init__(self, given: Sequence[Tensor]) -> None:
        self._tensors = tuple(given)
        self._is_named = self._tensors[0].name is not None

    def inputs(self, content: Any) -> Decoded:
        """`inputs`: an array, or an object of arrays by their names."""
        if not self._is_named:
            return self._unnamed(content)
        if type(content) is list and len(self._tensors) == 1 and not any(type(one) is dict for one in content):
            return {str(self._tensors[0].name): _array(self._tensors[0], content)}
        if type(content) is not dict:
            raise RequestProblem(400, f"the model's signature has {self._words()}: send an object of them")
        return self._named(content)

    def instances(self, content: Any) -> Decoded:
        """`instances`: what `inputs` has, or a list of objects, one for each row."""
        if not self._is_named:
            return self._unnamed(content)
        if type(content) is list and content and type(content[0]) is dict:
            return self._stacked(content)
        arrays = self.inputs(content)
        if type(content) is dict and isinstance(arrays, dict):
            _check_lengths(arrays)
        return arrays

    @staticmethod
    def split(_: Any) -> Decoded:
        """`dataframe_split` of tensors."""
        raise Elsewhere

    @staticmethod
    def records(_: Any) -> Decoded:
        """`dataframe_records` of tensors."""
        raise Elsewhere

    def _words(self) -> str:
        return f"named tensors ({shown.names(one.name for one in self._tensors)})"

    def _unnamed(self, content: Any) -> Array:
        if type(content) is dict or content is None or content == [] or (content and _has_objects(content)):
            raise RequestProblem(400, f"the model's signature is one array without a name, not {shown.kind(content)}")
        return _array(self._tensors[0], content)

    def _named(self, content: dict[str, Any]) -> dict[str, Array]:
        self._check(content)
        return {str(one.name): _array(one, content[str(one.name)]) for one in self._tensors}

    def _stacked(self, rows: list[Any]) -> dict[str, Array]:
        for at, row in enumerate(rows):
            if type(row) is not dict:
                raise RequestProblem(400, f"instances wants objects, and {at}, counted from 0, is {shown.kind(row)}")
            self._check(row)
        return {str(one.name): _array(one, [row[str(one.name)] for row in rows]) for one in self._tensors}

    def _check(self, content: dict[str, Any]) -> None:
        for one in self._tensors:
            if one.name not in content:
                words = f"tensor {shown.name(one.name)} is missing; given: {shown.names(content)}"
                raise RequestProblem(400, words, column=str(one.name))


def _has_objects(content: Any) -> bool:
    return type(content) is list and type(content[0]) is dict


def _array(tensor: Tensor, content: Any) -> Array:
    name = str(tensor.name or "")
    try:
        # Beyond the range of a small float it is infinite, there as here. It costs, so it is not said for doubles.
        with np.errstate(over="ignore") if tensor.dtype.itemsize < 8 else nullcontext():  # noqa: PLR2004
            array = np.array(content, tensor.dtype)
    except _UNFIT as error:
        words = f"{_subject(tensor)} wants {tensor.dtype} of shape {_shape(tensor.shape)}"
        raise RequestProblem(400, f"{words}: {shown.text(error, 120)}", column=name) from None
    if not _has_shape(array.shape, tensor.shape):
        words = f"{_subject(tensor)} wants the shape {_shape(tensor.shape)}, and got {_shape(array.shape)}"
        raise RequestProblem(400, words, column=name)
    return array


def _subject(tensor: Tensor) -> str:
    return f"tensor {shown.name(tensor.name)}" if tensor.name else "the array"


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join('any' if size == -1 else str(size) for size in shape)})"


def _has_shape(got: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(got) == len(wanted) and all(size in {-1, real} for size, real in zip(wanted, got, strict=True))


def _check_lengths(arrays: dict[str, Array]) -> None:
    lengths = {name: len(one) if one.ndim else 0 for name, one in arrays.items()}
    if len(set(lengths.values())) > 1:
        words = ", ".join(f"{shown.name(name)} has {rows}" for name, rows in list(lengths.items())[:10])
        raise RequestProblem(400, f"instances must be as many for all tensors: {words}")
