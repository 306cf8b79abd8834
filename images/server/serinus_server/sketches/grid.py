"""The sketches of many columns of numbers at once: what arrives is sorted, counted and added in a few numpy calls."""

from typing import Any, Final

import numpy as np

from serinus_server.sketches import keys
from serinus_server.sketches.keys import Keys
from serinus_server.sketches.numeric import Numbers

type Matrix = np.ndarray[Any, np.dtype[np.float64]]
type Longs = np.ndarray[Any, np.dtype[np.int64]]

_KEY: Final = (1 << keys.SIGNED) - 1
_MAGNITUDE: Final = (1 << keys.MAGNITUDE) - 1
_ZERO, _MISSING, _ABOVE, _BELOW = range(4)


class Grid:
    """Columns by number, and more at any time. An entry's key is its column and, below, its raw key at its level.

    All entries of all columns are one sorted array, so that adding costs no step of Python per column or value.
    """

    def __init__(self) -> None:
        self._keys: Keys = np.empty(0, np.int32)
        self._counts: Longs = np.empty(0, np.int64)
        self._levels: Keys = np.empty(0, np.int32)
        self._specials: Longs = np.empty((0, 4), np.int64)

    def add(self, rows: Matrix, columns: Longs) -> None:
        """Rows of numbers; of each of their columns the number that it has here."""
        self._grow(int(columns.max(initial=-1)) + 1)
        # A row of memory for each column: sorting many short ones is quicker than sorting one long one.
        table = keys.raw(np.ascontiguousarray(rows.T))
        table.sort(axis=1)
        table += (columns << keys.SIGNED).astype(np.int32)[:, None]
        order = np.argsort(columns) if np.any(columns[1:] < columns[:-1]) else slice(None)
        self._merge(*self._leveled(*self._finite(*_counted(table[order].ravel()))))

    def sketch(self, column: int) -> Numbers:
        """The sketch of one column."""
        if column >= len(self._levels):
            return Numbers()
        start, end = np.searchsorted(self._keys, [column << keys.SIGNED, (column + 1) << keys.SIGNED])
        level = int(self._levels[column])
        mine = keys.signed(self._keys[start:end] & _KEY, level)
        order = np.argsort(mine)
        buckets = dict(zip(mine[order].tolist(), self._counts[start:end][order].tolist(), strict=True))
        zero, missing, above, below = self._specials[column].tolist()
        return Numbers(level, buckets, zero, missing, above, below)

    def _grow(self, columns: int) -> None:
        if (more := columns - len(self._levels)) > 0:
            self._levels = np.concatenate([self._levels, np.zeros(more, np.int32)])
            self._specials = np.concatenate([self._specials, np.zeros((more, 4), np.int64)])

    def _finite(self, entries: Keys, counts: Longs) -> tuple[Keys, Longs]:
        """The entries without zeros, infinities and NaN, which are counted apart."""
        size = entries & _MAGNITUDE
        special = (size < keys.TINY) | (size >= keys.INFINITE)
        if not special.any():
            return entries, counts
        sizes, negative = size[special], (entries[special] & _KEY) <= _MAGNITUDE
        infinite = np.where(negative, _BELOW, _ABOVE)
        kind = np.where(sizes < keys.TINY, _ZERO, np.where(sizes > keys.INFINITE, _MISSING, infinite))
        np.add.at(self._specials, (entries[special] >> keys.SIGNED, kind), counts[special])
        return entries[~special], counts[~special]

    def _leveled(self, entries: Keys, counts: Longs) -> tuple[Keys, Longs]:
        """The entries at the levels of their columns; they stay sorted."""
        if not len(entries) or not self._levels.any():
            return entries, counts
        column = entries >> keys.SIGNED
        return _summed((column << keys.SIGNED) | ((entries & _KEY) >> self._levels[column]), counts)

    def _merge(self, entries: Keys, counts: Longs) -> None:
        at = np.searchsorted(self._keys, entries)
        known = np.zeros(len(entries), np.bool_)
        inside = at < len(self._keys)
        known[inside] = self._keys[at[inside]] == entries[inside]
        self._counts[at[known]] += counts[known]
        if not known.all():
            self._keys = np.insert(self._keys, at[~known], entries[~known])
            self._counts = np.insert(self._counts, at[~known], counts[~known])
            self._bound()

    def _bound(self) -> None:
        """Columns with too many entries go up a level, until none has."""
        while len(full := self._full()):
            self._levels[full] += 1
            shift = np.zeros_like(self._levels)
            shift[full] = 1
            column = self._keys >> keys.SIGNED
            coarser = (column << keys.SIGNED) | ((self._keys & _KEY) >> shift[column])
            self._keys, self._counts = _summed(coarser, self._counts)

    def _full(self) -> Longs:
        sizes = np.bincount(self._keys >> keys.SIGNED, minlength=len(self._levels))
        return np.flatnonzero((sizes > keys.LARGEST) & (self._levels < keys.COARSEST))


def _counted(ordered: Keys) -> tuple[Keys, Longs]:
    """Each of the sorted keys once, and how often it is there."""
    starts = _starts(ordered)
    return ordered[starts], np.diff(starts, append=len(ordered))


def _summed(ordered: Keys, counts: Longs) -> tuple[Keys, Longs]:
    """Each of the sorted keys once, and the sum of its counts."""
    starts = _starts(ordered)
    return ordered[starts], np.add.reduceat(counts, starts)


def _starts(ordered: Keys) -> Longs:
    new = np.empty(len(ordered), np.bool_)
    new[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return np.flatnonzero(new)
