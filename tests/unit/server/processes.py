"""The server as a process of its own, with models that are made for a test: small, and good or bad as it is told."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import numpy as np

SERVER = Path(__file__).parents[3] / "images" / "server"
START_SECONDS = 60.0


class Doubles:
    """Doubles the first column; strange numbers have it do strange things."""

    def __init__(self, wrong_at: float = -1.0) -> None:
        self.wrong_at = wrong_at

    def predict(self, rows: Any) -> Any:
        """Two times each; 666 ends the process, 777 hangs, 888 takes a while, 999 raises."""
        column = np.asarray(rows, dtype=float)[:, 0]
        if (column == 666).any():
            os._exit(66)
        if (column == 777).any():
            time.sleep(3600)
        if (column == 888).any():
            time.sleep(0.5)
        if (column == 999).any():
            raise ValueError("999 is too many")
        return np.where(column == self.wrong_at, 0.0, column * 2)


def write_model(folder: Path, estimator: Any = None, columns: tuple[str, ...] = ("a", "b")) -> Path:
    """A folder as `mlflow.sklearn.save_model` would have made it."""
    folder.mkdir(parents=True, exist_ok=True)
    # By value, so that the server needs nothing of the tests.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    (folder / "model.pkl").write_bytes(cloudpickle.dumps(estimator or Doubles()))
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    inputs = [{"type": "double", "name": name, "required": True} for name in columns]
    example = {"dataframe_split": {"columns": list(columns), "data": [[1.0] * len(columns), [2.0] * len(columns)]}}
    (folder / "serving_input_example.json").write_text(json.dumps(example))
    content = {
        "flavors": {
            "python_function": {
                "loader_module": "mlflow.sklearn",
                "model_path": "model.pkl",
                "predict_fn": "predict",
                "python_version": "3.13.0",
            },
            "sklearn": {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"},
        },
        "signature": {"inputs": json.dumps(inputs), "outputs": None, "params": None},
        "saved_input_example_info": {"type": "dataframe", "serving_input_path": "serving_input_example.json"},
    }
    # JSON is YAML.
    (folder / "MLmodel").write_text(json.dumps(content))
    return folder


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


class Running:
    """A server that runs."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self._log = log

    @property
    def log(self) -> list[dict[str, Any]]:
        """Its lines so far; what is no JSON comes as a message."""
        lines = self._log.read_text().splitlines()
        return [json.loads(line) if line.startswith("{") else {"message": line} for line in lines]

    def ask(self, path: str, body: Any = None, **headers: str) -> Answer:
        """GET, or POST if there is a body."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        named = {"content-type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, named)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 (likewise)
                return Answer(answer.status, answer.read(), dict(answer.headers))
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read(), dict(error.headers))

    def predict(self, *numbers: float) -> Answer:
        """Rows with these in the first column."""
        data = [[number, 0.0] for number in numbers]
        return self.ask("/invocations", {"dataframe_split": {"columns": ["a", "b"], "data": data}})

    def metric(self, name: str) -> float:
        """The sum of all series of a name."""
        lines = self.ask("/metrics").body.decode().splitlines()
        found = [line for line in lines if line.partition(" ")[0].partition("{")[0] == name]
        assert found, name
        return sum(float(line.rpartition(" ")[2]) for line in found)

    def stop(self) -> int:
        """SIGTERM; how it ended."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def start(folder: Path, log: Path, **settings: str) -> Running:
    """A server on its way."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "PYTHONPATH": str(SERVER), "MODEL_URI": str(folder), "PORT": str(port), "DRAIN": "0.5"}
    command = [sys.executable, "-m", "serinus_server", "serve"]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=env | settings)
    return Running(process, port, log)


@contextmanager
def running(folder: Path, log: Path, **settings: str) -> Iterator[Running]:
    """A server that is ready, as long as the context is open."""
    server = start(folder, log, **settings)
    try:
        wait_until_ready(server)
        yield server
    finally:
        server.process.kill()
        server.process.wait()


def wait_until_ready(server: Running) -> None:
    """Until it answers, or has ended."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.process.poll() is None, server.log
        try:
            if server.ask("/ping").status == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"not ready after {START_SECONDS} s: {server.log}")
