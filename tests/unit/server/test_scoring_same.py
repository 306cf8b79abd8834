"""Whatever a client sends, the model gets what MLflow's own server would have given to it, or both refuse."""

import datetime as dt
import json
import math
import os
import random
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, assume, event, given, settings

from serinus_server.problems import RequestProblem
from serinus_server.scoring import Scoring
from tests.unit.server import scoring_mlflow as both

# The types of columns, and their cells.
type Given = tuple[dict[str, str], dict[str, list[Any]]]

EXAMPLES = int(os.environ.get("SCORING_EXAMPLES", "250"))
# Thousands have been tried; these are for what changes.
RUNS = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
TYPES = ["double", "float", "long", "integer", "boolean", "string", "datetime"]
NAMES = ["a", "b", "c", "d"]
INT32, INT64 = 2**31 - 1, 2**63 - 1

YEARS = dt.datetime.fromisoformat("1700-01-01"), dt.datetime.fromisoformat("2199-01-01")
double = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
moment = st.datetimes(YEARS[0], YEARS[1]).map(lambda one: one.isoformat(timespec="seconds"))
fitting: dict[str, st.SearchStrategy[Any]] = {
    "double": double,
    "float": st.floats(-(2.0**99), 2.0**99, width=32) | st.integers(-(2**53), 2**53),
    "long": st.integers(-INT64, INT64),
    "integer": st.integers(-INT32, INT32),
    "boolean": st.booleans(),
    "string": text,
    "datetime": moment,
}
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1000, 1000),
    st.floats(-1000, 1000),
    st.sampled_from(["", "1", " 2 ", "1.5", "1_0", "x", "nan", "None", "true", "2020-01-01", "é", "a\0"]),
    st.sampled_from([[], [1], ["x"], [[1.5]], {}, {"k": 1}]),
    st.sampled_from([math.nan, math.inf, 1e300, -0.0, INT64, INT64 + 1, -INT64 - 1, 2**53 + 1]),
)


@cache
def models(signature: str, params: str = "") -> tuple[Scoring, both.Theirs]:
    path = both.save(Path(mkdtemp()), {"inputs": signature} | ({"params": params} if params else {}))
    return both.scoring(path), both.Theirs(path)


@st.composite
def tables(draw: st.DrawFn) -> Given:
    """A signature, and rows that fit it or nearly do."""
    names = NAMES[: draw(st.integers(1, 4))]
    types = {name: draw(st.sampled_from(TYPES)) + draw(st.sampled_from(["", "", "?"])) for name in names}
    rows = draw(st.integers(0, 4))
    cells = {
        name: draw(st.lists(_cell(draw, kind.rstrip("?")), min_size=rows, max_size=rows))
        for name, kind in types.items()
    }
    if draw(st.booleans()):
        del cells[draw(st.sampled_from(names))]
    if draw(st.booleans()):
        cells["extra"] = draw(st.lists(odd, min_size=rows, max_size=rows))
    return types, {name: cells[name] for name in draw(st.permutations(list(cells)))}


def _cell(draw: st.DrawFn, kind: str) -> st.SearchStrategy[Any]:
    how = draw(st.integers(0, 5))
    return fitting[kind] | st.none() if how == 0 else fitting[kind] | odd if how == 1 else fitting[kind]


def _is_refused_on_purpose(theirs: both.Seen | str, mine: object) -> bool:
    """Integers that pandas would have wrapped around, a row that it would have repeated: see the module."""
    if isinstance(theirs, str) or not isinstance(mine, RequestProblem):
        return False
    return any(words in mine.message for words in ("wants long", "wants integer", "the index of", "has [], a list"))


def _check(signature: str, body: dict[str, Any], params: str = "") -> None:
    mine, theirs = models(signature, params)
    content = json.dumps(body).encode()
    got, wanted = both.ours(mine, content), theirs(content)
    event("refused" if isinstance(wanted, str) else "taken")
    assume(not _is_refused_on_purpose(wanted, got))
    both.assert_same(wanted, got)


@RUNS
@given(tables(), st.sampled_from(["split", "index", "short"]), st.randoms())
def test_a_split_data_frame(table: Given, how: str, chance: random.Random) -> None:
    types, cells = table
    rows = [list(row) for row in zip(*cells.values(), strict=True)]
    content: dict[str, Any] = {"columns": list(cells), "data": rows}
    if how == "index":
        content["index"] = chance.choice([list(range(len(rows))), [7] * len(rows), ["x"] * len(rows), [1], [None, 2]])
    if how == "short" and rows:
        chance.choice(rows).pop()
    _check(both.columns(**types), {"dataframe_split": content})


@RUNS
@given(tables(), st.randoms())
def test_data_frame_records(table: Given, chance: random.Random) -> None:
    types, cells = table
    rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    if rows and rows[0] and chance.random() < 0.3:
        del (row := chance.choice(rows))[chance.choice(list(row))]
    _check(both.columns(**types), {"dataframe_records": rows})


@RUNS
@given(tables(), st.sampled_from(["inputs", "instances"]), st.sampled_from(["columns", "rows", "single", "list"]))
def test_inputs_and_instances(table: Given, key: str, how: str) -> None:
    types, cells = table
    content: Any = cells
    if how == "rows":
        content = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    elif how == "single":
        content = {name: values[0] if values else None for name, values in cells.items()}
    elif how == "list":
        content = next(iter(cells.values())) if cells else []
    _check(both.columns(**types), {key: content})


DTYPES = ["float64", "float32", "int64", "int32", "uint8", "bool", "float16"]
number = st.one_of(st.integers(-3, 300), st.floats(-100, 100), st.booleans())


def _nested(draw: st.DrawFn, shape: tuple[int, ...], leaf: st.SearchStrategy[Any]) -> object:
    if not shape:
        return draw(leaf)
    size = draw(st.integers(0, 3)) if shape[0] == -1 else shape[0]
    if draw(st.integers(0, 40)) == 0:
        return draw(odd)
    return [_nested(draw, shape[1:], leaf) for _ in range(size)]


@st.composite
def arrays(draw: st.DrawFn) -> tuple[str, Any]:
    """A signature of tensors, and something that fits it or nearly does."""
    shapes = st.sampled_from([(-1,), (-1, 2), (-1, 2, 2), (2, 2), (-1, -1)])
    leaf = number | odd if draw(st.integers(0, 5)) == 0 else number
    names: list[str | None] = [None] if draw(st.booleans()) else list(NAMES[: draw(st.integers(1, 2))])
    given = [(name, draw(st.sampled_from(DTYPES)), draw(shapes)) for name in names]
    contents = {name: _nested(draw, shape, leaf) for name, _, shape in given}
    how = draw(st.integers(0, 5))
    if names == [None] or how == 0:
        return both.tensors(*given), contents[names[0]]
    if how == 1:
        contents["extra"] = draw(odd.filter(lambda one: one != {"k": 1}))
    if how in {2, 3}:
        lists = [one if isinstance(one, list) else [one] for one in contents.values()]
        return both.tensors(*given), [dict(zip(contents, row, strict=True)) for row in zip(*lists, strict=False)]
    return both.tensors(*given), contents


@RUNS
@given(arrays(), st.sampled_from(["inputs", "instances"]))
def test_tensors(case: tuple[str, Any], key: str) -> None:
    signature, content = case
    _check(signature, {key: content})


PARAMS = json.dumps(
    [
        {"name": "n", "type": "long", "default": 3, "shape": None},
        {"name": "i", "type": "integer", "default": None, "shape": None},
        {"name": "f", "type": "float", "default": 0.5, "shape": None},
        {"name": "d", "type": "double", "default": 0.5, "shape": None},
        {"name": "b", "type": "boolean", "default": True, "shape": None},
        {"name": "s", "type": "string", "default": "x", "shape": None},
        {"name": "t", "type": "datetime", "default": "2020-01-01T10:00:00", "shape": None},
        {"name": "l", "type": "double", "default": [1.0, 2.0], "shape": [-1]},
    ]
)
param = odd | st.integers() | st.lists(st.integers(0, 3) | st.floats(0, 1) | st.none(), max_size=3) | moment | text


@RUNS
@given(st.dictionaries(st.sampled_from([*"nifdbstl", "unknown"]), param, max_size=2) | odd, st.booleans())
def test_params(given_params: object, has_schema: bool) -> None:  # noqa: FBT001 - hypothesis calls it
    body = {"inputs": {"a": [1.5]}, "params": given_params}
    _check(both.columns(a="double"), body, PARAMS if has_schema else "")


anything = st.recursive(
    odd | st.sampled_from(NAMES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, "data", "columns"]), inner),
    max_leaves=8,
)
KEYS = ["dataframe_split", "dataframe_records", "inputs", "instances", "params", "prompt"]
SIGNATURES = [
    both.columns(a="double", b="double"),
    both.columns(a="string", b="long?"),
    both.columns(a="boolean?"),
    both.tensors((None, "float32", (-1, 2))),
    both.tensors(("a", "bool", (-1,))),
    both.columns(a="binary"),
]


@RUNS
@given(st.sampled_from(SIGNATURES), st.dictionaries(st.sampled_from(KEYS), anything, min_size=1, max_size=2))
def test_anything_is_taken_or_refused(signature: str, body: dict[str, Any]) -> None:
    mine, theirs = models(signature)
    content = json.dumps(body).encode()
    got, wanted = both.ours(mine, content), theirs(content)
    if isinstance(got, RequestProblem):
        assert got.status == 400
    else:
        both.assert_same(wanted, got)
