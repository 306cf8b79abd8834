"""The sketch of a column of categories, as a value."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

KIND: Final = "category"
# With more categories than this, only half as many keep their names.
MOST: Final = 256
KEPT: Final = MOST // 2
LONGEST: Final = 64


@dataclass(frozen=True, slots=True)
class Categories:
    """Counts by category; those of the rarest stand in `other` once there are more than 256.

    Up to there merging is exact. Beyond it `other` and the total still are, and each count is at most too low by what
    is in `other`: a category that is more frequent than that is always named.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    other: int = 0
    missing: int = 0

    @property
    def count(self) -> int:
        """The cells that hold a category."""
        return sum(self.counts.values()) + self.other

    @property
    def total(self) -> int:
        """The cells, with those missing."""
        return self.count + self.missing

    def plus(self, other: "Categories") -> "Categories":
        """Both together."""
        names = self.counts.keys() | other.counts.keys()
        counts = {name: self.counts.get(name, 0) + other.counts.get(name, 0) for name in sorted(names)}
        return Categories(counts, self.other + other.other, self.missing + other.missing).within(MOST, KEPT)

    def within(self, most: int, kept: int | None = None) -> "Categories":
        """The same with at most so many names; if there are more, with only as many as are `kept`."""
        if len(self.counts) <= most:
            return self
        # By name where counts are equal, so that it does not matter who was first.
        ranked = sorted(self.counts.items(), key=lambda one: (-one[1], one[0]))
        named, rest = ranked[: most if kept is None else kept], ranked[most if kept is None else kept :]
        return Categories(dict(sorted(named)), self.other + sum(count for _, count in rest), self.missing)

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"kind": KIND, "missing": self.missing, "other": self.other, "counts": dict(self.counts)}


def parse(document: Mapping[str, Any]) -> Categories:
    """The sketch of `Categories.document`."""
    counts = {str(name): int(count) for name, count in document["counts"].items()}
    return Categories(dict(sorted(counts.items())), int(document["other"]), int(document["missing"]))


def name_of(cell: object) -> str | None:
    """The category of a cell, short enough to be kept; None if there is nothing in it."""
    if isinstance(cell, str):
        # A checksum keeps apart what begins alike.
        short = cell if len(cell) <= LONGEST else f"{cell[:48]}…{zlib.crc32(cell.encode('utf-8', 'replace')):08x}"
        # Half of a pair of surrogates is no text, and no JSON.
        return short if short.isascii() else short.encode("utf-8", "replace").decode()
    if cell is None or type(cell).__name__ in {"NAType", "NaTType"} or cell != cell:  # noqa: PLR0124 (NaN)
        return None
    if isinstance(cell, bool):
        return str(cell).lower()
    return str(cell)[:LONGEST] if isinstance(cell, (int, float)) else f"<{type(cell).__name__}>"
