"""What a fitted estimator is put together of: pipelines, columns, ensembles, and the functions that they were given."""

from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Any, Final

import numpy as np

# Estimators of these predict each row by itself.
_BY_ROW: Final = ("sklearn.", "xgboost.", "lightgbm.")
# Beyond this many parts nobody looks; an ensemble of trees has one for each.
_MOST: Final = 20_000
_PLAIN: Final = (str, bytes, int, float, bool, complex, np.ndarray, np.generic, type(None))


def are_by_row(estimator: Any) -> bool:
    """Whether rows that are predicted together are known to come out as they do alone."""
    return all(_is_by_row(one) for one in walk(estimator))


def limit_threads(estimator: Any, number: int) -> None:
    """Have no part start a pool of jobs for each call, or more threads than are allowed."""
    for one in walk(estimator):
        if "n_jobs" in getattr(one, "__dict__", {}):
            # Boosters have threads of their own, and by default as many as the node has cores.
            one.n_jobs = 1 if type(one).__module__.startswith("sklearn.") else number


def walk(estimator: Any) -> Iterator[Any]:
    """The estimator, its parts, and functions among them; each once."""
    seen: set[int] = set()
    left = [estimator]
    while left and len(seen) < _MOST:
        one = left.pop()
        if id(one) in seen or isinstance(one, _PLAIN):
            continue
        seen.add(id(one))
        if isinstance(one, (list, tuple, set)):
            left += one
        elif isinstance(one, dict):
            left += one.values()
        elif _is_part(one) or callable(one) or one is estimator:
            yield one
            left += getattr(one, "__dict__", {}).values() if _is_part(one) else ()


def _is_part(one: Any) -> bool:
    return not isinstance(one, type) and any(hasattr(one, name) for name in ("get_params", "predict", "transform"))


def _is_by_row(one: Any) -> bool:
    if _is_part(one):
        return type(one).__module__.startswith(_BY_ROW)
    if isinstance(one, (np.ufunc, type)):
        return True
    module = str(getattr(one, "__module__", ""))
    return not isinstance(one, (FunctionType, MethodType)) or module.startswith(_BY_ROW)
