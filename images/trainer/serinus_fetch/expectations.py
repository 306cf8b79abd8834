"""Judges a table by what is expected of it. Every expectation that does not hold is told."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from serinus_fetch import tables
from serinus_fetch.columns import Tally
from serinus_fetch.failures import Broken, Permanent
from serinus_fetch.log import Progress
from serinus_fetch.order import Expectation

type Files = Sequence[tuple[str, Path]]


@dataclass(frozen=True)
class Verdict:
    """How many rows a table has, where that is known, and what it does not meet."""

    rows: int | None = None
    broken: tuple[Broken, ...] = ()


def judge(name: str, files: Files, expect: Expectation | None) -> Verdict:
    """Read a table and judge it; Permanent if it is none. Without expectations rows are counted, if that is cheap."""
    if expect is None:
        return Verdict(_cheap_rows(files))
    parts = [(part, path) for part, path in files if tables.reader(part)]
    if not parts:
        raise Permanent("it is no table: name a .parquet, .csv(.gz) or .jsonl(.gz), or leave out `expect`")
    judged = _Judged(name, expect)
    for part, path in parts:
        judged.add(part, path)
    return Verdict(judged.rows, tuple(Broken(name, *found) for found in judged.broken()))


def _cheap_rows(files: Files) -> int | None:
    """The rows of parquet, which says so itself; None for anything else, and for what only looks like it."""
    parts = [path for part, path in files if tables.is_parquet(part)]
    if not parts or any(tables.reader(part) and not tables.is_parquet(part) for part, _ in files):
        return None
    try:
        return sum(map(tables.rows_of_parquet, parts))
    except (pa.ArrowException, OSError):
        return None


class _Judged:
    """A table of one or several files, read to its end."""

    def __init__(self, name: str, expect: Expectation) -> None:
        self.rows = 0
        self._progress = Progress(f"input {name}")
        self._expect = expect
        self._tallies = {name: Tally(column) for name, column in expect.columns.items()}
        self._most: Counter[str] = Counter()
        self._without: Counter[str] = Counter()

    def add(self, part: str, path: Path) -> None:
        """One more file."""
        try:
            self._add(part, path)
        except (pa.ArrowException, OSError, ValueError, EOFError) as error:
            raise Permanent(f"{part!r} cannot be read as a table ({error}): correct the file, or its name") from error

    def _add(self, part: str, path: Path) -> None:
        read = tables.reader(part)
        if read is None:
            return
        table = read(path, tuple(self._tallies))
        for batch in table.batches:
            self.rows += batch.rows
            self._progress.tell(f"{self.rows} rows are checked")
            for name, typed in batch.columns.items():
                self._tallies[name].add(typed(self._tallies[name].column.type))
        self._most |= table.names
        self._without.update(name for name in self._tallies if not table.names[name])

    def broken(self) -> Iterator[tuple[str, str, str]]:
        """Column, what was expected, what was found."""
        if self.rows < self._expect.min_rows:
            yield "", f"at least {self._expect.min_rows} rows", f"{self.rows} rows"
        for name, tally in self._tallies.items():
            if self._most[name] > 1:
                yield name, "one column of this name", f"{self._most[name]} columns of this name"
            elif self._without[name]:
                yield name, "a column of this name", self._missing(name)
            if self._most[name] == 1:
                yield from ((name, *found) for found in tally.broken())

    def _missing(self, name: str) -> str:
        return f"none in {self._without[name]} of the files" if self._most[name] else "no column of this name"
