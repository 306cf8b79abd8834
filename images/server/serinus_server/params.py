"""The params of a request, as MLflow enforces them: known ones converted, unknown ones ignored, missing ones filled."""

from collections.abc import Hashable, Iterable
from typing import Any, Final

import numpy as np

from serinus_server import shown
from serinus_server.columns import Elsewhere, is_moment
from serinus_server.problems import RequestProblem
from serinus_server.signature import Param

# What becomes what without loss, by MLflow's rules: a boolean is no number, and no number is a boolean.
_TAKES: Final[dict[str, tuple[type, ...]]] = {
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "string": (str,),
}
_MAKES: Final[dict[str, type]] = {"boolean": bool, "integer": int, "long": int, "float": float, "double": float}
_LIST: Final = (-1,)
_HUGE: Final = 2.0**63


class Params:
    """What the signature says of params; of a model without them whatever is given is ignored."""

    def __init__(self, params: Iterable[Param]) -> None:
        self._params = tuple(params)
        defaults = _defaults(self._params)
        self._known = defaults is not None
        self._defaults = defaults or {}
        self._key = key_of(self._defaults) if self._params else None

    def enforce(self, given: Any) -> tuple[dict[str, Any] | None, Hashable]:
        """What the model gets, and a key that is equal for equal ones. Raises a RequestProblem."""
        if not self._params:
            return (None, None) if given is None else ({}, "{}")
        if not self._known:
            raise Elsewhere
        if not given and (given is None or given == {}):
            return {name: _own(value) for name, value in self._defaults.items()}, self._key
        if type(given) is not dict:
            raise RequestProblem(400, f"params must be an object of names and values, not {shown.value(given)}")
        enforced = {one.name: self._one(one, given) for one in self._params}
        return enforced, key_of(enforced)

    def _one(self, param: Param, given: dict[str, Any]) -> Any:
        if param.name not in given:
            return _own(self._defaults[param.name])
        return _enforced(param, given[param.name])


def key_of(params: dict[str, Any]) -> Hashable:
    """Equal for equal params in whatever order, and only for those: 1, 1.0 and True are three."""
    return repr(sorted(params.items()))


def _defaults(params: Iterable[Param]) -> dict[str, Any] | None:
    """None if there are params that MLflow's own code must enforce."""
    if not all(_is_known(one) for one in params):
        return None
    try:
        return {one.name: _enforced(one, one.default) for one in params}
    except (Elsewhere, RequestProblem):
        return None


def _is_known(param: Param) -> bool:
    return (param.type in _TAKES or param.type == "datetime") and param.shape in {None, _LIST}


def _own(value: Any) -> Any:
    """A list of defaults is each request's own: a model may write into it."""
    return list(value) if type(value) is list else value


def _enforced(param: Param, value: Any) -> Any:
    if param.shape is None:
        return _single(param, value)
    if type(value) is not list:
        raise _unfit(param, value, f"a list of {param.type}")
    return [_single(param, one) for one in value]


def _single(param: Param, value: Any) -> Any:
    if value is None:
        return None
    if param.type == "datetime":
        return _moment(param, value)
    if type(value) is float and abs(value) >= _HUGE:
        # The fast parser makes floats of integers beyond 64 bits.
        raise Elsewhere
    if type(value) not in _TAKES[param.type]:
        raise _unfit(param, value, param.type)
    return _MAKES.get(param.type, str)(value)


def _moment(param: Param, value: Any) -> Any:
    if type(value) is not str:
        raise _unfit(param, value, "datetime")
    if not is_moment(value):
        raise Elsewhere
    try:
        moment = np.datetime64(value).item()
    except ValueError:
        raise _unfit(param, value, "datetime") from None
    # numpy has a number where datetime has no room: of nanoseconds.
    if isinstance(moment, int):
        raise _unfit(param, value, "datetime")
    return moment


def _unfit(param: Param, value: Any, wanted: str) -> RequestProblem:
    return RequestProblem(400, f"param {shown.name(param.name)} wants {wanted}, and got {shown.value(value)}")
