"""The program as a container runs it: an order in, a result and an exit code out."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from serinus_fetch.places import Places
from tests.cluster.settings import CHECKOUT
from tests.unit.fetch.repositories import Repository
from tests.unit.fetch.servers import Answer, WebServer, git_server

CSV = b"age,plan\n1,free\n-5,pro\n"
SHA = hashlib.sha256(CSV).hexdigest()


class Program:
    """The helper with the folders of one test."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.result = places.root / "termination-log"
        self.result.touch()

    def start(self, order: object, **environment: str) -> subprocess.Popen[str]:
        """The program, running on an order."""
        return subprocess.Popen(
            [sys.executable, "-m", "serinus_fetch"],
            cwd="/",
            env={
                **os.environ,
                **environment,
                "PYTHONPATH": str(CHECKOUT / "images" / "trainer"),
                "SERINUS_FETCH": order if isinstance(order, str) else json.dumps(order),
                "SERINUS_RESULT": str(self.result),
                "SERINUS_ROOT": str(self.places.root),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, order: object, **environment: str) -> tuple[int, dict[str, Any], str]:
        """The exit code, the result and the log."""
        with self.start(order, **environment) as process:
            log, _ = process.communicate(timeout=60)
        return process.returncode, json.loads(self.result.read_bytes()), log

    def input(self, name: str, uri: str, **other: object) -> dict[str, object]:
        """An input as the operator orders it."""
        return {"name": name, "uri": uri, "at": str(self.places.root / "data" / "inputs" / name), **other}


@pytest.fixture
def program(places: Places) -> Program:
    """The helper."""
    return Program(places)


@pytest.fixture(autouse=True)
def _table(web: WebServer) -> None:
    web.answers["/churn.csv"] = [Answer(body=CSV)]


def test_code_and_data(program: Program, web: WebServer, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "git" / "models")
    head = repository.commit(training__train_dot_py="print(1)\n")
    (program.places.claims / "store").mkdir(parents=True)
    (program.places.claims / "store" / "notes.txt").write_text("x")
    expect = {"minRows": 2, "columns": {"age": {"type": "int", "max": 130}, "plan": {"in": ["free", "pro"]}}}
    with git_server(repository.path.parent, "git:hush") as server:
        order = {
            "source": {"git": {"url": f"{server.url}/models", "ref": "main", "commit": "", "path": "training"}},
            "inputs": [
                program.input("train", f"{web.url}/churn.csv", sha256=SHA, expect=expect),
                program.input("notes", "pvc://store/notes.txt", sha256=""),
            ],
        }
        code, said, log = program.run(order, GIT_PASSWORD="hush")  # noqa: S106 - a password for this test
    assert code == 0, log
    assert said["commit"] == head
    assert [rows for _, rows in said["inputs"]] == [2, None]
    assert said.keys() == {"commit", "inputs"}
    assert (program.places.source / "train.py").stat().st_mode & 0o777 == 0o644
    assert (program.places.root / "data" / "inputs" / "train").stat().st_mode & 0o777 == 0o644
    assert "hush" not in log
    assert "fetched source (1 files, 9 B in " in log
    assert "checked input train: 2 rows, 0 broken expectations" in log


def test_everything_is_looked_at_before_it_ends(program: Program, web: WebServer) -> None:
    expect = {"columns": {"age": {"min": 0}}}
    order = {
        "source": {"git": {"url": f"{web.url}/nothing"}},
        "inputs": [
            program.input("gone", f"{web.url}/gone.csv"),
            program.input("other", f"{web.url}/churn.csv", sha256="0" * 64),
            program.input("train", f"{web.url}/churn.csv", expect=expect),
        ],
    }
    code, said, log = program.run(order)
    assert code == 65
    assert [one and len(one[0]) for one in said["inputs"]] == [None, 43, 43]
    assert [one["column"] for one in said["broken"]] == ["age"]
    assert said["failure"]["reason"] == "SourceUnreadable"
    assert "(and 3 more: see the container's log)" in said["failure"]["message"]
    assert log.count("\nerror: ") == 4


@pytest.mark.parametrize(
    ("other", "reason", "words"),
    [
        ({"sha256": "0" * 64}, "DigestMismatch", f"its sha256 is {SHA}, not {'0' * 64}"),
        ({"expect": {"minRows": 3}}, "ExpectationsBroken", "expected at least 3 rows, found 2 rows"),
        ({"uri": "pvc://store/x"}, "InputUnreadable", "volume claim 'store' holds no 'x'"),
    ],
)
def test_failure_is_told_in_a_line(
    other: dict[str, object], reason: str, words: str, program: Program, web: WebServer
) -> None:
    code, said, _ = program.run({"inputs": [program.input("train", f"{web.url}/churn.csv") | other]})
    assert (code, said["failure"]["reason"]) == (65, reason)
    assert words in said["failure"]["message"]


@pytest.mark.parametrize("order", ["", "{", "[]", '{"inputs": [{}]}', {"source": {"git": {"branch": "x"}}}])
def test_order_that_is_none(order: object, program: Program) -> None:
    code, said, _ = program.run(order)
    assert code == 65
    assert said["failure"]["message"].startswith("SERINUS_FETCH holds no order (")


def test_more_inputs_than_a_result_can_hold(program: Program, web: WebServer) -> None:
    code, said, _ = program.run({"inputs": [program.input(f"n{n}", f"{web.url}/churn.csv") for n in range(33)]})
    assert code == 65
    assert said["failure"]["message"] == "SERINUS_FETCH has 33 inputs, and 32 at most: leave some out"


def test_sigterm_ends_it_at_once(program: Program, web: WebServer) -> None:
    """Though it would go on trying for a minute."""
    web.answers["/churn.csv"] = [Answer(503)]
    with program.start({"inputs": [program.input("train", f"{web.url}/churn.csv")]}) as process:
        assert process.stdout
        while "trying again" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 143


def test_libraries_are_only_imported_where_they_are_needed(program: Program) -> None:
    """A start costs a fraction of a second."""
    _, _, log = program.run({}, PYTHONPROFILEIMPORTTIME="1")
    assert not [name for name in ("pyarrow", "fsspec", "dulwich", "paramiko", "numpy") if f"| {name}\n" in log]
