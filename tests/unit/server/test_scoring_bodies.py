"""Bodies as bytes, and the requests that are left to MLflow's own functions: the same as with MLflow's server."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from serinus_server.problems import RequestProblem
from serinus_server.values import Call, Opaque, Table, join
from tests.unit.server import scoring_mlflow as both

SERVER = Path(__file__).parents[3] / "images" / "server"
TWO = both.columns(a="double", s="string")
DOUBLES = both.columns(a="double", b="double")


def called(path: Path, signature: str | None, body: object, kind: str = both.JSON) -> Call:
    """The call of a request that MLflow takes, and that gives the model the same."""
    folder = both.save(path, {"inputs": signature} if signature else None)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    mine, theirs = both.ours(both.scoring(folder), content, kind), both.Theirs(folder)(content, kind)
    both.assert_same(theirs, mine)
    assert isinstance(mine, Call), mine
    return mine


def split(names: list[str], *rows: list[Any]) -> dict[str, Any]:
    return {"dataframe_split": {"columns": names, "data": list(rows)}}


ODD_BODIES = {
    "NaN": b'{"dataframe_split":{"columns":["a","s"],"data":[[NaN,"x"]]}}',
    "Infinity": b'{"dataframe_split":{"columns":["a","s"],"data":[[-Infinity,"x"]]}}',
    "a number beyond the range of doubles": b'{"dataframe_split":{"columns":["a","s"],"data":[[1e400,"x"]]}}',
    "an integer of 30 digits for a double": b'{"inputs":{"a":[123456789012345678901234567890],"s":["x"]}}',
    "an integer of 30 digits for a string": b'{"dataframe_records":[{"a":1,"s":123456789012345678901234567890}]}',
    "a byte order mark": b'\xef\xbb\xbf{"inputs":{"a":[1],"s":["x"]}}',
    "UTF-16": '{"inputs":{"a":[1],"s":["é"]}}'.encode("utf-16"),
    "a key twice": b'{"inputs":{"a":[1],"a":[2],"s":["x"]}}',
    "escapes": rb'{"inputs":{"a":[1],"s":["\ud83d\ude00\u0000x"]}}',
    "spaces": b' \n{ "inputs" : {"a":[1],"s":["x"]}}\t',
}


@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES)
def test_json_is_read_as_mlflow_reads_it(tmp_path: Path, body: bytes) -> None:
    assert called(tmp_path, TWO, body).rows == 1


BROKEN = {
    "nothing": (b"", "not valid JSON: Expecting value at line 1 column 1"),
    "cut off": (b'{"inputs":{"a":[1', "not valid JSON"),
    "a list": (b"[1]", "must be a JSON object, and is a list"),
    "null": (b"null", "must be a JSON object, and is null"),
    "invalid UTF-8": (b'{"inputs":"\xff"}', "not valid utf-8 at byte 11"),
    "nested deeply": (b'{"inputs":' + b"[" * 200_000, "nested too deeply"),
    "half of a pair": (rb'{"inputs":{"a":[1],"s":["\ud800"]}}', "half of a surrogate pair"),
    "5000 digits": (b'{"inputs":' + b"9" * 5000 + b"}", "4300"),
    "no format": (
        b'{"data":[1]}',
        "exactly one of dataframe_split, dataframe_records, instances, inputs; it has 'data'",
    ),
    "two formats": (b'{"inputs":[1],"instances":[1]}', "exactly one of"),
}


@pytest.mark.parametrize(("body", "words"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_refused_in_words(tmp_path: Path, body: bytes, words: str) -> None:
    problem = both.ours(both.scoring(both.save(tmp_path, {"inputs": TWO})), body)
    assert isinstance(problem, RequestProblem)
    assert problem.status == 400
    assert words in problem.message


@pytest.mark.parametrize("body", [body for body, _ in BROKEN.values()], ids=BROKEN)
def test_what_is_broken_is_refused_without_a_signature_too(tmp_path: Path, body: bytes) -> None:
    problem = both.ours(both.scoring(both.save(tmp_path, None)), body)
    assert isinstance(problem, RequestProblem)
    assert problem.status == 400
    assert len(problem.message) <= 400


TYPES = {
    "none": ("", 415),
    "text": ("text/plain", 415),
    "another charset": ("application/json; charset=latin-1", 415),
    "a parameter": ("application/json; odd=1", 415),
    "utf-8": ("application/json; charset=UTF-8", 200),
    "csv": ("text/csv;charset=utf-8", 400),
    "parquet": ("application/vnd.apache.parquet", 400),
}


@pytest.mark.parametrize(("kind", "status"), TYPES.values(), ids=TYPES)
def test_content_types(tmp_path: Path, kind: str, status: int) -> None:
    got = both.ours(both.scoring(both.save(tmp_path, {"inputs": TWO})), b'{"inputs":{"a":[1],"s":["x"]}}', kind)
    assert (got.status if isinstance(got, RequestProblem) else 200) == status


BY_MLFLOW: dict[str, tuple[str | None, Any]] = {
    "no signature, records": (None, {"dataframe_records": [{"x": 1, "y": "a"}]}),
    "no signature, inputs": (None, {"inputs": [[1, 2], [3, 4]]}),
    "no signature, params": (None, {"inputs": [[1.5]], "params": {"x": 1}}),
    "columns without names": ('[{"type":"double"},{"type":"double"}]', {"inputs": [[1.5, 2.5], [3.5, 4.5]]}),
    "binary": (both.columns(x="binary"), {"dataframe_records": [{"x": "YWJj"}]}),
    "dates in another form": (both.columns(t="datetime"), {"dataframe_records": [{"t": "Jan 5, 2024"}]}),
    "dates with a zone": (both.columns(t="datetime"), {"inputs": {"t": ["2024-01-05"]}}),
    "a list of numbers": (
        json.dumps([{"name": "v", "type": "array", "items": {"type": "double"}, "required": True}]),
        {"inputs": [{"v": [1.5, 2.5]}, {"v": []}]},
    ),
    "objects": (
        json.dumps(
            [
                {
                    "name": "o",
                    "type": "object",
                    "properties": {"k": {"type": "string", "required": True}},
                    "required": True,
                }
            ]
        ),
        {"inputs": [{"o": {"k": "v"}}]},
    ),
    "a data frame of tensors": (both.tensors((None, "float64", (-1, 2))), split(["a", "b"], [1.5, 2.5])),
    "strings in tensors": (both.tensors((None, "str", (-1,))), {"inputs": ["a", "bc"]}),
    "a chat": (both.columns(prompt="string"), {"prompt": "hello"}),
    "one list for one column": (both.columns(a="double"), {"dataframe_split": {"columns": ["a"], "data": [1, 2]}}),
    "data of columns": (DOUBLES, {"dataframe_split": {"columns": ["a", "b"], "data": {"a": [1], "b": [2]}}}),
}


@pytest.mark.parametrize(("signature", "body"), BY_MLFLOW.values(), ids=BY_MLFLOW)
def test_what_is_left_to_mlflow(tmp_path: Path, signature: str | None, body: object) -> None:
    call = called(tmp_path, signature, body)
    assert call.rows >= 1
    assert call.key is None or isinstance(call.value, Table)


@pytest.mark.parametrize("signature", [TWO, None], ids=["signature", "none"])
def test_csv_and_parquet(tmp_path: Path, signature: str | None) -> None:
    frame, stream = pd.DataFrame({"s": ["x", "y"], "a": [1.5, 2]}), io.BytesIO()
    frame.to_parquet(stream)
    assert called(tmp_path, signature, frame.to_csv(index=False).encode(), "text/csv").rows == 2
    assert called(tmp_path, signature, stream.getvalue(), "application/vnd.apache.parquet").rows == 2


def test_a_csv_of_numbers_is_predicted_together_with_others(tmp_path: Path) -> None:
    csv = called(tmp_path / "csv", DOUBLES, b"b,a\n2,1\n", "text/csv")
    assert csv.key == called(tmp_path / "json", DOUBLES, split(["a", "b"], [1, 2])).key


def test_a_chat_is_answered_without_predictions_around_it(tmp_path: Path) -> None:
    folder = both.save(tmp_path, {"inputs": both.columns(prompt="string")})
    model = both.scoring(folder)
    assert model.encoder(model.decode(b'{"prompt":"x"}', both.JSON))([1]) == b"[1]"
    assert model.encoder(model.decode(b'{"inputs":{"prompt":["x"]}}', both.JSON))([1]) == b'{"predictions":[1]}'


def test_a_model_with_type_hints_checks_its_input_itself(tmp_path: Path) -> None:
    folder = both.save(tmp_path, {"inputs": TWO}, _is_signature_from_type_hint=True)
    model, body = both.scoring(folder), b'{"inputs":[{"a":1,"s":"x"}]}'
    assert model.needs_mlflow
    call = model.decode(body, both.JSON)
    assert call.value == Opaque([{"a": 1, "s": "x"}], enforced=False)
    both.assert_same(both.Theirs(folder)(body), call)
    with pytest.raises(RequestProblem, match="inputs"):
        model.decode(b'{"instances":[1]}', both.JSON)


def test_an_index_of_its_own_is_kept_and_predicted_alone(tmp_path: Path) -> None:
    content = {"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}
    usual = called(tmp_path / "usual", DOUBLES, {"dataframe_split": content | {"index": [0, 1]}})
    own = called(tmp_path / "own", DOUBLES, {"dataframe_split": content | {"index": [7, 3]}})
    assert usual.key is not None
    assert own.key is None
    assert own.rows == 2


KEYS: dict[str, tuple[str, Any, Any, bool]] = {
    "doubles": (DOUBLES, {"inputs": {"a": [1], "b": [2]}}, split(["b", "a"], [1, 2]), True),
    "strings": (TWO, split(["a", "s"], [1, "x"]), split(["a", "s"], [2, None], [1, "y"]), True),
    "a number for a string": (TWO, split(["a", "s"], [1, "x"]), split(["a", "s"], [1, 5]), False),
    "nulls for strings": (TWO, split(["a", "s"], [1, "x"]), split(["a", "s"], [1, None]), False),
    "an optional column": (
        both.columns(a="long", b="long?"),
        split(["a", "b"], [1, 2]),
        split(["a"], [1]),
        False,
    ),
    "tensors": (both.tensors((None, "float64", (-1, -1))), {"inputs": [[1, 2]]}, {"inputs": [[3, 4], [5, 6]]}, True),
    "tensors of other widths": (
        both.tensors((None, "float64", (-1, -1))),
        {"inputs": [[1, 2]]},
        {"inputs": [[3]]},
        False,
    ),
}


@pytest.mark.parametrize(("signature", "one", "other", "joins"), KEYS.values(), ids=KEYS)
def test_what_is_predicted_together(tmp_path: Path, signature: str, one: object, other: object, joins: bool) -> None:  # noqa: FBT001
    first, second = called(tmp_path / "1", signature, one), called(tmp_path / "2", signature, other)
    assert first.key is not None
    assert (first.key == second.key) is joins
    if joins:
        joined = both.plain(Call(join([first.value, second.value]), 0))
        assert len(joined) == first.rows + second.rows
        if isinstance(joined, pd.DataFrame):
            assert list(joined.dtypes) == list(both.plain(first).dtypes) == list(both.plain(second).dtypes)


ALONE: dict[str, tuple[str, Any]] = {
    "no rows": (DOUBLES, split(["a", "b"])),
    "rows of a fixed number": (both.tensors((None, "float64", (2, 2))), {"inputs": [[1, 2], [3, 4]]}),
    "as many rows as there are not": (
        both.tensors(("x", "float64", (-1,)), ("y", "float64", (-1,))),
        {"inputs": {"x": [1], "y": [1, 2]}},
    ),
}


@pytest.mark.parametrize(("signature", "body"), ALONE.values(), ids=ALONE)
def test_what_is_predicted_alone(tmp_path: Path, signature: str, body: object) -> None:
    assert called(tmp_path, signature, body).key is None


def test_params_are_part_of_the_key(tmp_path: Path) -> None:
    params = (
        '[{"name":"n","type":"double","default":1.0,"shape":null},{"name":"m","type":"long","default":1,"shape":null}]'
    )
    folder = both.save(tmp_path, {"inputs": DOUBLES, "params": params})
    model = both.scoring(folder)

    def key(given: object) -> object:
        return model.decode(json.dumps({"inputs": {"a": [1], "b": [2]}, "params": given}).encode(), both.JSON).key

    assert key({"n": 1, "m": 2}) == key({"m": 2, "n": 1.0, "x": 5})
    assert key(None) == key({}) == key({"n": 1})
    assert key({"n": 2}) != key(None)


def test_ordinary_requests_need_neither_pandas_nor_mlflow(tmp_path: Path) -> None:
    folder = both.save(tmp_path, {"inputs": TWO})
    script = """
import sys
from pathlib import Path
from serinus_server import mlmodel
from serinus_server.scoring import Scoring
model = Scoring(mlmodel.read(Path(sys.argv[1])))
assert not model.needs_mlflow
model.warm()
assert model.decode(b'{"inputs":{"a":[1],"s":["x"]}}', "application/json").rows == 1
for body in (b"", b'{"inputs":{"a":["y"]}}', b'{"dataframe_split":{"columns":["a"],"data":[[[]]]}}'):
    try:
        model.decode(body, "application/json")
        raise SystemExit(1)
    except Exception:
        pass
model.encode([1.5])
sys.exit(len({"pandas", "mlflow"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], check=False, env={"PYTHONPATH": str(SERVER)}, timeout=60
    )
    assert done.returncode == 0
