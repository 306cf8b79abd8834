"""Whatever a client sends, the model gets what MLflow's own server would have given to it, or both refuse."""

import json
import math
import os
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, assume, event, given, settings

from serinus_server.problems import RequestProblem
from serinus_server.scoring import Scoring
from tests.unit.server import scoring_mlflow as both

EXAMPLES = int(os.environ.get("SCORING_EXAMPLES", "250"))
# Thousands have been tried; these are for what changes.
RUNS = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
TYPES = ["double", "float", "long", "integer", "boolean", "string", "datetime"]
NAMES = ["a", "b", "c", "d"]
INT32, INT64 = 2**31 - 1, 2**63 - 1

double = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
moment = st.datetimes().map(lambda one: one.isoformat(timespec="seconds")).filter(lambda one: "1700" < one < "2200")
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
def tables(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """A signature, and rows that fit it or nearly do."""
    names = NAMES[: draw(st.integers(1, 4))]
    types = {name: draw(st.sampled_from(TYPES)) + draw(st.sampled_from(["", "", "?"])) for name in names}
    rows = draw(st.integers(0, 4))
    cells = {
        name: draw(st.lists(_cell(draw, kind.rstrip("?")), min_size=rows, max_size=rows)) for name, kind in types.items()
    }
    if draw(st.booleans()):
        del cells[draw(st.sampled_from(names))]
    if draw(st.booleans()):
        cells["extra"] = draw(st.lists(odd, min_size=rows, max_size=rows))
    return types, {name: cells[name] for name in draw(st.permutations(list(cells)))}


def _cell(draw: st.DrawFn, kind: str) -> st.SearchStrategy[Any]:
    how = draw(st.integers(0, 5))
    return fitting[kind] | st.none() if how == 0 else fitting[kind] | odd if how == 1 else fitting[kind]


def _has_wrapped(theirs: both.Seen | str, mine: Any) -> bool:
    """What is refused on purpose: integers that pandas would have wrapped around, see the module."""
    return not isinstance(theirs, str) and isinstance(mine, RequestProblem) and ("wants long" in str(mine) or "wants integer" in str(mine))


def _check(signature: str, body: dict[str, Any], params: str = "") -> None:
    mine, theirs = models(signature, params)
    content = json.dumps(body).encode()
    got, wanted = both.ours(mine, content), both.Theirs.__call__(theirs, content)
    event("refused" if isinstance(wanted, str) else "taken")
    assume(not _has_wrapped(wanted, got))
    both.assert_same(wanted, got)


@RUNS
@given(tables(), st.sampled_from(["split", "index", "short"]), st.randoms())
def test_a_split_data_frame(table: tuple[dict[str, str], dict[str, list[Any]]], how: str, chance: Any) -> None:
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
def test_data_frame_records(table: tuple[dict[str, str], dict[str, list[Any]]], chance: Any) -> None:
    types, cells = table
    rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    if rows and rows[0] and chance.random() < 0.3:
        del (row := chance.choice(rows))[chance.choice(list(row))]
    _check(both.columns(**types), {"dataframe_records": rows})


@RUNS
@given(tables(), st.sampled_from(["inputs", "instances"]), st.sampled_from(["columns", "rows", "single", "list"]))
def test_inputs_and_instances(table: tuple[dict[str, str], dict[str, list[Any]]], key: str, how: str) -> None:
    types, cells = table
    content: Any = cells
    if how == "rows":
        content = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    elif how == "single":
        content = {name: values[0] if values else None for name, values in cells.items()}
    elif how == "list":
        content = list(cells.values())[0] if cells else []
    _check(both.columns(**types), {key: content})


DTYPES = ["float64", "float32", "int64", "int32", "uint8", "bool", "float16"]
number = st.one_of(st.integers(-3, 300), st.floats(-100, 100), st.booleans())


def _nested(draw: st.DrawFn, shape: tuple[int, ...], leaf: st.SearchStrategy[Any]) -> Any:
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
def test_params(given_params: Any, has_schema: bool) -> None:  # noqa: FBT001 - hypothesis calls it
    body = {"inputs": {"a": [1.5]}, "params": given_params}
    _check(both.columns(a="double"), body, PARAMS if has_schema else "")
