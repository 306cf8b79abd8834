"""The sketch of a column of numbers, as a value. Booleans are 0 and 1, times are seconds since 1970."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from serinus_server.sketches import keys

KIND: Final = "number"


@dataclass(frozen=True, slots=True)
class Numbers:
    """Counts by bucket. Beyond 1024 buckets each two neighbours become one: `level` says how often that was.

    Which level it is depends only on which numbers there were, never on their order or on how they were divided among
    pods. So merging is exact: the sketch of the parts is that of the whole.
    """

    level: int = 0
    # By signed key (see `keys`), in the order of the numbers.
    buckets: Mapping[int, int] = field(default_factory=dict)
    zero: int = 0
    missing: int = 0
    # Infinite, and negatively so.
    above: int = 0
    below: int = 0

    @property
    def count(self) -> int:
        """The numbers, without those missing."""
        return sum(self.buckets.values()) + self.zero + self.above + self.below

    @property
    def total(self) -> int:
        """The cells, with those missing."""
        return self.count + self.missing

    @property
    def error(self) -> float:
        """What a quantile may be off by, in relation to itself."""
        return keys.error(self.level)

    def quantile(self, share: float) -> float:
        """The number that this share of the numbers is not above, within `error` of the true one; NaN of nothing."""
        wanted, running = max(share * self.count, 1), 0
        for value, count in self.in_order():
            running += count
            if running >= wanted:
                return value
        return math.nan

    def in_order(self) -> Iterable[tuple[float, int]]:
        """The middle of each bucket and its count, from the smallest number to the largest."""
        yield from ((value, count) for value, count in ((-math.inf, self.below),) if count)
        yield from ((keys.middle(one, self.level), count) for one, count in self.buckets.items() if one < 0)
        yield from ((value, count) for value, count in ((0.0, self.zero),) if count)
        yield from ((keys.middle(one, self.level), count) for one, count in self.buckets.items() if one > 0)
        yield from ((value, count) for value, count in ((math.inf, self.above),) if count)

    def at(self, level: int) -> "Numbers":
        """The same, not finer than this level."""
        if level <= self.level:
            return self
        buckets: dict[int, int] = {}
        for one, count in self.buckets.items():
            coarse = keys.coarser(one, level - self.level)
            buckets[coarse] = buckets.get(coarse, 0) + count
        return Numbers(level, buckets, self.zero, self.missing, self.above, self.below)

    def within(self, most: int) -> "Numbers":
        """The same, as fine as so many buckets allow."""
        fit = self
        while len(fit.buckets) > most and fit.level < keys.COARSEST:
            fit = fit.at(fit.level + 1)
        return fit

    def plus(self, other: "Numbers") -> "Numbers":
        """Both together."""
        level = max(self.level, other.level)
        mine, theirs = self.at(level).buckets, other.at(level).buckets
        buckets = {one: mine.get(one, 0) + theirs.get(one, 0) for one in sorted(mine.keys() | theirs.keys())}
        both = Numbers(
            level,
            buckets,
            self.zero + other.zero,
            self.missing + other.missing,
            self.above + other.above,
            self.below + other.below,
        )
        return both.within(keys.LARGEST)

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "kind": KIND,
            "level": self.level,
            "relative_error": self.error,
            "missing": self.missing,
            "zero": self.zero,
            "above": self.above,
            "below": self.below,
            "buckets": [[one, count] for one, count in self.buckets.items()],
        }


def parse(document: Mapping[str, Any]) -> Numbers:
    """The sketch of `Numbers.document`."""
    buckets = {int(one): int(count) for one, count in document["buckets"]}
    parts = (int(document[name]) for name in ("zero", "missing", "above", "below"))
    return Numbers(int(document["level"]), buckets, *parts)
