"""How differently two sketches are distributed, as one number: the population stability index."""

import math
from collections.abc import Iterable, Sequence
from typing import Final

from serinus_server.sketches import keys
from serinus_server.sketches.categories import Categories
from serinus_server.sketches.merging import Sketch
from serinus_server.sketches.numeric import Numbers

BINS: Final = 10
# What is added to each count, so that a bin that is empty on one side weighs much and not infinitely much.
_PRIOR: Final = 0.5

type Counts = tuple[float, float]


def psi(one: Sketch, other: Sketch, bins: int = BINS) -> float:
    """Σ (p - q) ln(p / q), the same in both directions; NaN if either is empty, infinite if they are of two kinds.

    Numbers are put into about so many bins, each with an equal part of what both have together; what is missing is a
    bin of its own. Of two samples of one distribution about (bins - 1) (1/n + 1/m) is to be expected; by custom 0.1
    is a small shift, and 0.25 a large one.
    """
    if not one.total or not other.total:
        return math.nan
    if isinstance(one, Numbers) and isinstance(other, Numbers):
        return _index([*_equal(_numbers(one, other), bins), (one.missing, other.missing)])
    if isinstance(one, Categories) and isinstance(other, Categories):
        return _index(_categories(one, other))
    return math.inf


def _numbers(one: Numbers, other: Numbers) -> Sequence[Counts]:
    """The counts of both by bucket, in the order of the numbers."""
    level = max(one.level, other.level)
    mine, theirs = one.at(level).buckets, other.at(level).buckets
    both = sorted(mine.keys() | theirs.keys(), key=lambda key: keys.middle(key, level))
    counts = [(float(mine.get(key, 0)), float(theirs.get(key, 0))) for key in both]
    negative = sum(key < 0 for key in both)
    counts.insert(negative, (one.zero, other.zero))
    return [(one.below, other.below), *counts, (one.above, other.above)]


def _equal(counts: Sequence[Counts], bins: int) -> Iterable[Counts]:
    """Neighbours together until they hold their part of the whole, counting each side as half of it."""
    sizes = [max(sum(side), 1) for side in zip(*counts, strict=True)]
    mine = theirs = 0.0
    for one, other in counts:
        mine, theirs = mine + one, theirs + other
        # A little less than a bin's part: it shall not take in its neighbour for a rounding error.
        if (mine / sizes[0] + theirs / sizes[1]) / 2 >= 1 / bins - 1e-9:
            yield mine, theirs
            mine = theirs = 0.0
    yield mine, theirs


def _categories(one: Categories, other: Categories) -> Iterable[Counts]:
    """By category; one that a side may have counted under `other` is put there on both sides."""
    names = one.counts.keys() | other.counts.keys()
    rest = (float(one.other), float(other.other))
    for name in sorted(names):
        mine, theirs = one.counts.get(name, 0), other.counts.get(name, 0)
        if (one.other and not mine) or (other.other and not theirs):
            rest = (rest[0] + mine, rest[1] + theirs)
        else:
            yield mine, theirs
    yield rest
    yield one.missing, other.missing


def _index(counts: Iterable[Counts]) -> float:
    """Bins that are empty on both sides say nothing, and are no bins."""
    used = [(mine + _PRIOR, theirs + _PRIOR) for mine, theirs in counts if mine or theirs]
    sizes = [sum(side) for side in zip(*used, strict=True)]
    shares = ((mine / sizes[0], theirs / sizes[1]) for mine, theirs in used)
    return math.fsum((p - q) * math.log(p / q) for p, q in shares)
