"""Tables as batches of columns: parquet, csv and json lines, never more of them in memory than a batch."""

import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from serinus_fetch.cells import CSV_MISSING, Cells, of_array, of_texts, of_values

BATCH_ROWS: Final = 1 << 16
JSON_BATCH_ROWS: Final = 1 << 13
# A row must fit into a block. Larger blocks are no faster, and Arrow holds dozens of them.
CSV_BLOCK: Final = 2 << 20

# A column of a batch, once the type is known that its cells should have.
type Typed = Callable[[str | None], Cells]


@dataclass(frozen=True)
class Batch:
    """Some rows: how many, and those of the wanted columns that the file has."""

    rows: int
    columns: Mapping[str, Typed]


@dataclass(frozen=True)
class Table:
    """A file of a table: how often it has a column of a name, and its rows."""

    names: Counter[str]
    batches: Iterator[Batch]


type Reader = Callable[[Path, Sequence[str]], Table]


def reader(name: str) -> Reader | None:
    """What reads a file of this name as a table; None if it is none. Reading raises pyarrow's errors and ValueError."""
    base = PurePosixPath(name.lower())
    if base.name.startswith(("_", ".")):
        return None
    plain = base.with_suffix("") if base.suffix == ".gz" else base
    if plain.suffix in {".parquet", ".pq"} and plain == base:
        return _parquet
    known = {".csv": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines}.get(plain.suffix)
    return partial(known, compression=None if plain == base else "gzip") if known else None


def rows_of_parquet(path: Path) -> int:
    """How many rows a parquet file says that it has."""
    with pq.ParquetFile(path) as file:
        return int(file.metadata.num_rows)


def is_parquet(name: str) -> bool:
    """Whether a file of this name is read as parquet."""
    return reader(name) is _parquet


def _parquet(path: Path, wanted: Sequence[str]) -> Table:
    with pq.ParquetFile(path) as file:
        names = Counter(file.schema_arrow.names)
        rows = int(file.metadata.num_rows)
    unique = [name for name in wanted if names[name] == 1]
    return Table(names, _parquet_batches(path, unique) if unique else iter([Batch(rows, {})]))


def _parquet_batches(path: Path, wanted: Sequence[str]) -> Iterator[Batch]:
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(wanted)):
            yield Batch(batch.num_rows, {name: partial(of_array, batch.column(name)) for name in wanted})


def _csv(path: Path, wanted: Sequence[str], compression: str | None) -> Table:
    with _text(path, compression) as file:
        header = next(csv.reader(file), None)
    if header is None:
        raise ValueError("it is empty: the first line of csv names the columns")
    names = Counter(header)
    places = {name: str(header.index(name)) for name in wanted if names[name] == 1}
    return Table(names, _csv_batches(path, len(header), places, compression))


def _csv_batches(path: Path, width: int, places: Mapping[str, str], compression: str | None) -> Iterator[Batch]:
    """Columns are read by their number, for two may have the same name, and as text, for the first rows may deceive."""
    read = sorted(places.values()) or ["0"]
    options = arrow_csv.ConvertOptions(
        include_columns=read,
        column_types={number: pa.string() for number in read},
        null_values=list(CSV_MISSING),
        strings_can_be_null=True,
    )
    with (
        pa.input_stream(str(path), compression=compression) as stream,
        arrow_csv.open_csv(
            stream,
            read_options=arrow_csv.ReadOptions(
                use_threads=False,
                block_size=CSV_BLOCK,
                column_names=[str(number) for number in range(width)],
                skip_rows_after_names=1,
            ),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=options,
        ) as batches,
    ):
        for batch in batches:
            columns = {name: partial(of_texts, batch.column(number)) for name, number in places.items()}
            yield Batch(batch.num_rows, columns)


def _json_lines(path: Path, wanted: Sequence[str], compression: str | None) -> Table:
    """Which columns there are is only known at the end, so the counts are not whole before the batches are read."""
    names: Counter[str] = Counter()
    return Table(names, _json_batches(path, wanted, compression, names))


def _json_batches(path: Path, wanted: Sequence[str], compression: str | None, names: Counter[str]) -> Iterator[Batch]:
    with _text(path, compression) as file:
        rows = (_row(line, number) for number, line in enumerate(file, 1) if line.strip())
        while batch := list(islice(rows, JSON_BATCH_ROWS)):
            seen = {name for name in wanted if any(name in row for row in batch)}
            names.update(seen - names.keys())
            yield Batch(len(batch), {name: _values(batch, name) for name in wanted})


def _values(rows: Iterable[Mapping[str, Any]], name: str) -> Typed:
    return partial(of_values, [row.get(name) for row in rows])


def _row(line: str, number: int) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ValueError(f"line {number} is no JSON: {error}") from None
    if not isinstance(row, dict):
        raise ValueError(f"line {number} is no JSON object")  # noqa: TRY004 - the file is wrong, not the program
    return row


def _text(path: Path, compression: str | None) -> IO[str]:
    """A file as text, without the mark that some programs begin it with."""
    if compression:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return io.TextIOWrapper(path.open("rb"), encoding="utf-8-sig", newline="")
