"""Two models' outputs for the same rows, side by side."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from serinus_server.sketches.tables import NUMBERS, table
from serinus_server.values import Array, Table


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many rows there are, in how many all outputs agree, and by how much the numbers of each differ at most."""

    rows: int
    agreed: int
    # Of rows with numbers on both sides; empty for labels.
    differences: tuple[float, ...]


def compare(theirs: Any, ours: Any, absolute: float, relative: float) -> Comparison | None:
    """The comparison; None if they are of different shape, so that there is nothing to put side by side."""
    one, other = table(theirs), table(ours)
    if one is None or other is None or one.rows != other.rows or len(one.names) != len(other.names):
        return None
    agree = np.ones(one.rows, np.bool_)
    widest: Array | None = None
    for mine, yours in zip(_columns(one), _columns(other), strict=True):
        if mine.dtype.kind in NUMBERS and yours.dtype.kind in NUMBERS:
            difference = _difference(mine, yours)
            agree &= difference <= absolute + relative * np.abs(np.nan_to_num(mine.astype(np.float64)))
            widest = difference if widest is None else np.maximum(widest, difference)
        else:
            agree &= np.array([_same(a, b) for a, b in zip(mine.tolist(), yours.tolist(), strict=True)], np.bool_)
    return Comparison(one.rows, int(agree.sum()), () if widest is None else tuple(widest.tolist()))


def _difference(mine: Array, yours: Array) -> Array:
    """0 where both are NaN or the same infinity; infinite where only one is."""
    one, other = mine.astype(np.float64), yours.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(one - other)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    return np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))


def _same(one: Any, other: Any) -> bool:
    """Labels agree that are equal, or both missing."""
    missing = one is None or one != one  # noqa: PLR0124 (NaN)
    if missing:
        return bool(other is None or other != other)  # noqa: PLR0124
    return bool(one == other)


def _columns(side: Table) -> list[Array]:
    return list(side.arrays) if side.matrix is None else list(side.matrix.T)
