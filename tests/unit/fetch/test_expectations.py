"""What a table must meet: each expectation that does not hold is told, with what was found instead."""

import gzip
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus_fetch import tables
from serinus_fetch.expectations import judge
from serinus_fetch.failures import Permanent
from serinus_fetch.order import Column, Expectation

type Columns = Mapping[str, Any]


def _parquet(folder: Path, columns: Columns) -> Path:
    path = folder / "t.parquet"
    pq.write_table(pa.table(dict(columns)), path, row_group_size=2)
    return path


def _csv(folder: Path, columns: Columns) -> Path:
    path = folder / "t.csv"
    arrow_csv.write_csv(pa.table(dict(columns)), path)
    return path


def _json_lines(folder: Path, columns: Columns) -> Path:
    path = folder / "t.jsonl"
    rows = zip(*columns.values(), strict=True)
    path.write_text("".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows))
    return path


FORMATS = [_parquet, _csv, _json_lines]
PEOPLE: Columns = {"age": [1, -5, None, 212], "plan": ["free", "pro", "gold", None], "fee": [1.5, None, 2.0, -1.0]}


def _broken(path: Path, min_rows: int = 0, /, **columns: Column) -> list[tuple[str, str, str]]:
    verdict = judge("train", [(path.name, path)], Expectation(min_rows, columns))
    assert all(one.input == "train" for one in verdict.broken)
    return [(one.column, one.expected, one.found) for one in verdict.broken]


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize(
    ("name", "column", "expected", "found"),
    [
        ("age", Column(nullable=False), "no missing values", "1 of 4 rows are null"),
        ("age", Column(type="int", min=0), "no value below 0", "1 of 4 rows are below, the least is -5"),
        ("age", Column(type="int", max=130.5), "no value above 130.5", "1 of 4 rows are above, the greatest is 212"),
        ("fee", Column(min=0), "no value below 0", "1 of 4 rows are below, the least is -1"),
        (
            "plan",
            Column(one_of=("free", "pro")),
            "one of free, pro",
            "1 of 4 rows are of another value, such as 'gold'",
        ),
        ("age", Column(one_of=(1, -5)), "one of 1, -5", "1 of 4 rows are of another value, such as 212"),
        ("height", Column(), "a column of this name", "no column of this name"),
    ],
)
def test_broken_expectation_is_told(  # noqa: PLR0913, PLR0917
    name: str, column: Column, expected: str, found: str, write: Callable[[Path, Columns], Path], tmp_path: Path
) -> None:
    columns = {name: column}
    told = _broken(write(tmp_path, PEOPLE), **columns)
    assert [(where, what, how.replace("'212'", "212")) for where, what, how in told] == [(name, expected, found)]


@pytest.mark.parametrize("write", FORMATS)
def test_what_holds_is_not_told(write: Callable[[Path, Columns], Path], tmp_path: Path) -> None:
    columns = {
        "age": Column(type="int", min=-5, max=212),
        "plan": Column(type="string", one_of=("free", "pro", "gold")),
        "fee": Column(type="float", one_of=("1.5", 2, -1)),
    }
    assert _broken(write(tmp_path, PEOPLE), 4, **columns) == []


@pytest.mark.parametrize("write", FORMATS)
def test_all_is_told_at_once(write: Callable[[Path, Columns], Path], tmp_path: Path) -> None:
    told = _broken(write(tmp_path, PEOPLE), 5, age=Column(type="int", min=0, max=9, nullable=False), x=Column())
    assert [one[:2] for one in told] == [
        ("", "at least 5 rows"),
        ("age", "no missing values"),
        ("age", "no value below 0"),
        ("age", "no value above 9"),
        ("x", "a column of this name"),
    ]


NOW = datetime(2026, 2, 28, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "types"),
    [
        ([1, 2], {"int", "float"}),
        ([1.5, 2.0], {"float"}),
        (["a", "b"], {"string"}),
        ([True, False], {"bool"}),
        ([NOW, NOW], {"datetime"}),
        ([NOW.date()], {"datetime"}),
        (pa.array(["a", "b"]).dictionary_encode(), {"string"}),
        (pa.array([1, 2], pa.uint8()), {"int", "float"}),
        (pa.array([None, None]), {"int", "float", "string", "bool", "datetime"}),
    ],
)
def test_type_of_parquet_is_what_it_declares(values: object, types: set[str], tmp_path: Path) -> None:
    path = _parquet(tmp_path, {"x": values})
    fit = {name for name in ("int", "float", "string", "bool", "datetime") if not _broken(path, x=Column(type=name))}
    assert fit == types


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("7", {"int", "float"}),
        ("007", {"int", "float"}),
        ("+7", {"int", "float"}),
        (" 7 ", {"int", "float"}),
        ("99999999999999999999", {"int", "float"}),
        ("1", {"int", "float", "bool"}),
        ("7.0", {"float"}),
        ("-1e-3", {"float"}),
        ("inf", {"float"}),
        ("7,5", set()),
        ("0x7", set()),
        ("TRUE", {"bool"}),
        ("yes", set()),
        ("2026-02-28", {"datetime"}),
        ("2026-02-28 10:00", {"datetime"}),
        ("2026-02-28T10:00:00.123Z", {"datetime"}),
        ("2026-02-28T10:00:00+01:00", {"datetime"}),
        ("2026-02-30", set()),
        ("28.02.2026", set()),
    ],
)
def test_type_of_csv_is_what_every_value_reads_as(text: str, types: set[str], tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f'x\n"{text}"\n')
    fit = {name for name in ("int", "float", "string", "bool", "datetime") if not _broken(path, x=Column(type=name))}
    assert fit == types | {"string"}


@pytest.mark.parametrize(
    ("value", "types"),
    [
        (7, {"int", "float"}),
        (2**70, {"int", "float"}),
        (7.0, {"float"}),
        (True, {"bool"}),
        ("7", {"string"}),
        ("2026-02-28", {"string", "datetime"}),
        ([1], set()),
        ({"a": 1}, set()),
    ],
)
def test_type_of_json_is_that_of_its_value(value: object, types: set[str], tmp_path: Path) -> None:
    path = _json_lines(tmp_path, {"x": [value]})
    fit = {name for name in ("int", "float", "string", "bool", "datetime") if not _broken(path, x=Column(type=name))}
    assert fit == types


def test_wrong_type_is_told_with_an_example(tmp_path: Path) -> None:
    column = Column(type="int")
    assert _broken(_parquet(tmp_path, {"x": ["a", None]}), x=column) == [
        ("x", "type int", "1 of 2 rows are of another type, the column is string")
    ]
    assert _broken(_csv(tmp_path, {"x": ["1", "a", "b"]}), x=column) == [
        ("x", "type int", "2 of 3 rows are of another type, such as 'a'")
    ]
    assert _broken(_json_lines(tmp_path, {"x": [1, "a", 1.5]}), x=column) == [
        ("x", "type int", "2 of 3 rows are of another type, such as 'a'")
    ]


def test_bounds_without_a_type_are_about_numbers(tmp_path: Path) -> None:
    assert _broken(_csv(tmp_path, {"x": ["1", "a", "-2"]}), x=Column(min=0)) == [
        ("x", "numbers", "1 of 3 rows are of another type, such as 'a'"),
        ("x", "no value below 0", "1 of 3 rows are below, the least is -2"),
    ]


def test_nan_is_missing(tmp_path: Path) -> None:
    path = _parquet(tmp_path, {"x": [1.0, float("nan"), -1.0]})
    assert _broken(path, x=Column(type="float", min=0, nullable=False)) == [
        ("x", "no missing values", "1 of 3 rows are null"),
        ("x", "no value below 0", "1 of 3 rows are below, the least is -1"),
    ]


@pytest.mark.parametrize("write", FORMATS[:2])
def test_table_without_rows(write: Callable[[Path, Columns], Path], tmp_path: Path) -> None:
    path = write(tmp_path, {"x": pa.array([], pa.int64())})
    assert _broken(path, 1, x=Column(type="int", min=0, nullable=False)) == [("", "at least 1 rows", "0 rows")]


@pytest.mark.parametrize("write", FORMATS[:2])
def test_column_that_is_there_twice(write: Callable[[Path, Columns], Path], tmp_path: Path) -> None:
    path = write(tmp_path, {"x": [1], "y": [2]})
    if path.suffix == ".csv":
        path.write_text("x,x,y\n1,-2,3\n")
    else:
        pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([-2]), pa.array([3])], ["x", "x", "y"]), path)
    assert _broken(path, x=Column(min=0), y=Column(max=2)) == [
        ("x", "one column of this name", "2 columns of this name"),
        ("y", "no value above 2", "1 of 1 rows are above, the greatest is 3"),
    ]


def test_csv_as_people_write_it(tmp_path: Path) -> None:
    """A mark at the beginning, a break in a cell, blank lines, names in quotes, a comma in a name."""
    path = tmp_path / "t.csv"
    path.write_bytes(b'\xef\xbb\xbf"a,b",note\r\n7,"one\r\ntwo"\r\n\r\nNA,x\r\n')
    columns = {"a,b": Column(type="int", nullable=False), "note": Column(one_of=("x",))}
    assert _broken(path, 3, **columns) == [
        ("", "at least 3 rows", "2 rows"),
        ("a,b", "no missing values", "1 of 2 rows are null"),
        ("note", "one of x", "1 of 2 rows are of another value, such as 'one\\r\\ntwo'"),
    ]


@pytest.mark.parametrize("write", [_csv, _json_lines])
def test_compressed_table(write: Callable[[Path, Columns], Path], tmp_path: Path) -> None:
    plain = write(tmp_path, PEOPLE)
    path = plain.with_name(f"{plain.name}.gz")
    path.write_bytes(gzip.compress(plain.read_bytes()))
    assert _broken(path, 5) == [("", "at least 5 rows", "4 rows")]


def test_folder_is_one_table(tmp_path: Path) -> None:
    """Of whatever formats; what is no table, or a mark such as _SUCCESS, is left out."""
    paths = [_parquet(tmp_path, {"x": [1, 2]}), _csv(tmp_path, {"x": [3, 400], "y": [1, 1]})]
    files = [(path.name, path) for path in paths] + [("README.md", tmp_path), ("_metadata.parquet", tmp_path)]
    verdict = judge("train", files, Expectation(5, {"x": Column(max=9), "y": Column()}))
    assert verdict.rows == 4
    assert [(one.column, one.found) for one in verdict.broken] == [
        ("", "4 rows"),
        ("x", "1 of 4 rows are above, the greatest is 400"),
        ("y", "none in 1 of the files"),
    ]


def test_more_rows_than_a_batch(tmp_path: Path) -> None:
    rows = tables.BATCH_ROWS + 3
    for path in (
        _parquet(tmp_path, {"x": range(rows)}),
        _csv(tmp_path, {"x": range(rows)}),
        _json_lines(tmp_path, {"x": range(rows)}),
    ):
        assert _broken(path, rows + 1, x=Column(type="int", max=rows - 2)) == [
            ("", f"at least {rows + 1} rows", f"{rows} rows"),
            ("x", f"no value above {rows - 2}", f"1 of {rows} rows are above, the greatest is {rows - 1}"),
        ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.parquet", b""),
        ("t.parquet", b"PAR1 no, not really PAR1"),
        ("t.csv", b""),
        ("t.csv", b"a,b\n1\n"),
        ("t.csv", b"a\n\xff\xfe\n"),
        ("t.csv.gz", b"a\n1\n"),
        ("t.jsonl", b'{"a": 1}\n{"a": \n'),
        ("t.jsonl", b"[1]\n"),
        ("t.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 999)[:-9]),
    ],
)
def test_file_that_cannot_be_read(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(Permanent, match=f"'{name}' cannot be read as a table"):
        judge("train", [(name, path)], Expectation(1, {"a": Column()}))


def test_what_is_no_table_meets_no_expectation(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match=r"it is no table: name a \.parquet"):
        judge("train", [("t.bin", tmp_path / "t.bin")], Expectation(1))


def test_rows_of_parquet_are_counted_without_expectations(tmp_path: Path) -> None:
    parquet, csv = _parquet(tmp_path, PEOPLE), _csv(tmp_path, PEOPLE)
    assert judge("train", [("a.parquet", parquet), ("b.parquet", parquet), ("README", parquet)], None).rows == 8
    assert judge("train", [("t.csv", csv)], None).rows is None
    assert judge("train", [("a.parquet", parquet), ("t.csv", csv)], None).rows is None
    assert judge("train", [("a.parquet", csv)], None).rows is None


numbers = st.one_of(st.none(), st.integers(-(2**31), 2**31))


@given(values=st.lists(numbers, min_size=1), low=st.integers(-5, 5), members=st.sets(st.integers(-3, 3), min_size=1))
def test_formats_agree(
    values: list[int | None], low: int, members: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same table is judged the same, however it is written."""
    column = Column(type="int", min=low, nullable=False, one_of=tuple(members))
    folder = tmp_path_factory.mktemp("agree")
    table = {"id": list(range(len(values))), "x": pa.array(values, pa.int64())}
    lines = {"id": table["id"], "x": values}
    told = [
        _broken(_parquet(folder, table), x=column),
        _broken(_csv(folder, table), x=column),
        _broken(_json_lines(folder, lines), x=column),
    ]
    assert told[0] == told[1] == told[2]
    missing = sum(value is None for value in values)
    assert [found for _, what, found in told[0] if what == "no missing values"] == (
        [f"{missing} of {len(values)} rows are null"] if missing else []
    )
