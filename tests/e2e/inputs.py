"""What TrainingJobs read in stories: a table in every form, what it must turn out to be, and code that looks at it."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.e2e.training import shell_job

CSV = b"age,country\n31,DE\n44,FR\n27,DE\n"
ODD = b"age,country,id\n31,DE,1\n-4,XX,2\n,FR,x\n"
EXPECTED = {
    "minRows": 3,
    "columns": {"age": {"type": "int", "min": 0, "max": 120}, "country": {"nullable": False, "in": ["DE", "FR"]}},
}
# Of ODD none of it holds.
UNMET = {
    "minRows": 10,
    "columns": {
        "age": {"type": "float", "min": 0, "nullable": False},
        "country": {"in": ["DE", "FR"]},
        "id": {"type": "int"},
        "income": {},
    },
}

# What is at each path has this digest, and nobody can write there. A folder's is that of its files, one after another.
LOOK = """
import hashlib, json, os, pathlib
for name, wanted in json.loads(os.environ["WANTED"]).items():
    path = pathlib.Path(name)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    assert hashlib.sha256(b"".join(map(pathlib.Path.read_bytes, files))).hexdigest() == wanted, name
    assert os.statvfs(path).f_flag & os.ST_RDONLY, name
    try:
        files[0].open("ab")
    except OSError:
        continue
    raise SystemExit(f"{name} can be written to")
"""


@dataclass(frozen=True)
class Table:
    """A file, or a folder of files, in the words of the API and of MLflow."""

    files: Mapping[str, bytes]
    rows: int

    @property
    def sha256(self) -> str:
        """Of a file its digest; of a folder that of what sha256sum prints of its files."""
        if len(self.files) == 1:
            return self.seen
        lines = (f"{_sha256(content)}  {name}\n" for name, content in sorted(self.files.items()))
        return _sha256("".join(lines).encode())

    @property
    def seen(self) -> str:
        """The digest that LOOK compares."""
        return _sha256(b"".join(content for _, content in sorted(self.files.items())))


@dataclass(frozen=True)
class Read:
    """An input of a story."""

    name: str
    uri: str
    table: Table

    def wire(self) -> dict[str, Any]:
        """As the spec has it."""
        return an_input(self.name, self.uri, sha256=self.table.sha256, expect=EXPECTED)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"age": [31, 44, 27], "country": ["DE", "FR", "DE"]}), sink)
    return sink.getvalue()


PARQUET = _parquet()
A_CSV = Table({"people.csv": CSV}, 3)
A_PARQUET = Table({"people.parquet": PARQUET}, 3)
A_FOLDER = Table({"a.parquet": PARQUET, "b.parquet": PARQUET}, 6)


def an_input(name: str, uri: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 (any JSON)
    """An input, mounted under its name."""
    return {"name": name, "uri": uri, "mountPath": f"/data/{name}", **more}


def looking(name: str, reads: Sequence[Read], **spec: Any) -> dict[str, Any]:  # noqa: ANN401 (any JSON)
    """A TrainingJob that looks at what it reads."""
    wanted = json.dumps({f"/data/{one.name}": one.table.seen for one in reads})
    env = [{"name": "WANTED", "value": wanted}, {"name": "LOOK", "value": LOOK}]
    return shell_job(name, 'exec python -c "$LOOK"', inputs=[one.wire() for one in reads], env=env, **spec)
