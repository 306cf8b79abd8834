"""Values in messages: enough of them to be found, never a whole input."""

import reprlib
from collections.abc import Iterable
from typing import Any, Final

MOST: Final = 300
_NAMES: Final = 10
_KINDS: Final = {
    "NoneType": "null",
    "bool": "a boolean",
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "list": "a list",
    "dict": "an object",
}


def _short() -> reprlib.Repr:
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 40
    short.maxlist = short.maxtuple = short.maxdict = 3
    short.maxlevel = 2
    return short


_SHORT: Final = _short()


def value(got: Any) -> str:
    """The value, shortened, and what it is in JSON's words."""
    if got is None:
        return "null"
    return f"{_SHORT.repr(got)}, {kind(got)}"


def kind(got: Any) -> str:
    """What a value is, in the words of JSON."""
    return _KINDS.get(type(got).__name__, type(got).__name__)


def name(given: object) -> str:
    """A name in quotes, shortened."""
    return _SHORT.repr(given)


def names(given: Iterable[object]) -> str:
    """The first names of many, and how many more there are."""
    every = list(given)
    first = ", ".join(map(name, every[:_NAMES]))
    return f"{first} and {len(every) - _NAMES} more" if len(every) > _NAMES else first or "none"


def text(message: object, most: int = MOST) -> str:
    """What another library said, in one line of bounded length."""
    line = " ".join(str(message)[: 4 * most].split())
    return line if len(line) <= most else f"{line[: most - 3]}..."
