"""Nested lists, value by value: only for messages, when something in them is wrong."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

_DEEPEST: Final = 64
_MOST: Final = 10_000_000


def first_unfit(data: Any, read: Callable[[Sequence[Any]], object]) -> tuple[int, Any] | None:
    """The first value that cannot be read, and its place; None if each can be, so that the nesting is at fault."""
    values = list(islice(_values(data), _MOST))
    low, high = 0, len(values)
    if _fits(values, read):
        return None
    while high - low > 1:
        # By halves: a million good values before it are no attack.
        middle = (low + high) // 2
        low, high = (middle, high) if _fits(values[low:middle], read) else (low, middle)
    return low, values[low]


def _fits(values: Sequence[Any], read: Callable[[Sequence[Any]], object]) -> bool:
    try:
        read(values)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _values(data: Any, depth: int = 0) -> Iterator[Any]:
    for one in data:
        if type(one) is list and depth < _DEEPEST:
            yield from _values(one, depth + 1)
        elif type(one) is not list:
            yield one
