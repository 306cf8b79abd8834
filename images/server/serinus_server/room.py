"""How much a request may grow when it is read: what is small on the wire must not fill the memory.

A data frame has a place for each value that is missing, and numpy as much room for every text as the longest takes. So
`[{}, {}, {}, …]` for a thousand columns, or one long text among many short ones, would be hundreds of times their size.
"""

from collections.abc import Iterable
from typing import Any, Final

from serinus_server.problems import RequestProblem

# Below these a request is never too sparse: they cost some megabytes.
FREE_VALUES: Final = 1_000_000
_FREE_CHARACTERS: Final = 4_000_000
_TIMES: Final = 8
# MLflow takes a tenth of a millisecond for each column that it does not know.
MOST_COLUMNS: Final = 5_000


def check(rows: int, columns: int, given: int) -> None:
    """Raises a RequestProblem if nearly all values of so many rows and columns are missing, and they are many."""
    values = rows * columns
    if values > FREE_VALUES and values > _TIMES * given:
        words = f"{rows} rows of {columns} columns have {values} values, and the request gives {given} of them"
        raise RequestProblem(400, f"{words}: send fewer rows at a time, or null where a value is missing")


def check_rows(rows: list[Any], columns: int) -> None:
    """The same for rows that are lists or objects, and may lack some of their values."""
    if len(rows) * columns > FREE_VALUES:
        check(len(rows), columns, _values(rows))


def check_columns(columns: int, known: float) -> None:
    """Raises a RequestProblem for thousands of columns more than the signature has."""
    if columns > known + MOST_COLUMNS:
        words = f"the request has {columns} columns, and the model's signature {known:g}"
        raise RequestProblem(400, f"{words}: at most {MOST_COLUMNS} more are ignored; leave out what it does not know")


def check_frame(content: dict[str, Any], known: float) -> None:
    """Of the content of a body, whatever in it becomes a data frame or an array of text."""
    split = content.get("dataframe_split")
    if isinstance(split, dict):
        names, rows, index = (_listed(split.get(name)) for name in ("columns", "data", "index"))
        check_columns(len(names), known)
        widest = max((len(row) for row in rows if isinstance(row, (list, dict))), default=1)
        check_columns(widest, known)
        check(max(len(rows), len(index)), max(len(names), widest), _values(rows) + len(index))
    for name in ("dataframe_records", "instances", "inputs"):
        rows = _listed(content.get(name))
        if any(isinstance(row, dict) for row in rows):
            columns = len({key for row in rows if isinstance(row, dict) for key in row})
            check_columns(columns, known)
            check(len(rows), columns, _values(rows))
        elif isinstance(content.get(name), dict):
            check_columns(len(content[name]), known)
        if name != "dataframe_records":
            _check_text(content.get(name))


def check_csv(text: str, known: float) -> None:
    """Of a table in text: its first line says how many columns there are."""
    first = text.partition("\n")[0].count(",") + 1
    check_columns(first, known)
    check(text.count("\n") + 1, first, text.count(",") + text.count("\n") + 1)


def _listed(given: Any) -> list[Any]:
    return given if isinstance(given, list) else list(given.values()) if isinstance(given, dict) else []


def _values(rows: Iterable[Any]) -> int:
    return sum(len(row) if isinstance(row, (list, dict)) else 1 for row in rows)


def _check_text(content: Any) -> None:
    """The longest text, as often as there are values: that is what an array of numpy takes for them."""
    count = longest = total = 0
    left = [content]
    while left:
        one = left.pop()
        if isinstance(one, (list, dict)):
            left.extend(one if isinstance(one, list) else one.values())
            continue
        count += 1
        if isinstance(one, str):
            longest, total = max(longest, len(one)), total + len(one)
    if count * longest > _FREE_CHARACTERS and count * longest > _TIMES * (total + count):
        words = f"one text has {longest} characters, and would be given as much room {count} times"
        raise RequestProblem(400, f"{words}: send such rows one at a time, or as dataframe_split")
