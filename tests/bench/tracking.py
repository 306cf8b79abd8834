"""A real MLflow on this machine, with the packages of the image that the chart runs."""

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import processes
from tests.cluster.settings import CHECKOUT, Settings

LOCK = CHECKOUT / "images" / "mlflow" / "requirements.lock"
PORT = 15000
START_SECONDS = 120.0


@dataclass(frozen=True)
class Server:
    """One that runs."""

    address: str
    pid: int


@contextmanager
def mlflow(settings: Settings, uv: str, folder: Path) -> Iterator[str]:
    """The address of an MLflow server with an empty SQLite store, as long as the context is open."""
    with server(settings, uv, folder, f"sqlite:///{folder}/mlflow.db") as started:
        yield started.address


@contextmanager
def server(settings: Settings, uv: str, folder: Path, store: str, workers: int = 1) -> Iterator[Server]:
    """An MLflow server that keeps its runs in this database, as long as the context is open."""
    python = _environment(settings, uv)
    address = f"http://127.0.0.1:{PORT}"
    command = [
        str(python.parent / "mlflow"),
        "server",
        "--host=127.0.0.1",
        f"--port={PORT}",
        f"--workers={workers}",
        f"--backend-store-uri={store}",
        f"--artifacts-destination={folder}/artifacts",
    ]
    env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "mlflow.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=env, cwd=folder)
        try:
            processes.wait_until(lambda: _answers(address), START_SECONDS)
            yield Server(address, process.pid)
        finally:
            process.terminate()
            process.wait()


def post(address: str, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401 (whatever MLflow answers)
    """What MLflow's REST API answers."""
    request = urllib.request.Request(  # noqa: S310 (the address is our own)
        f"{address}/api/2.0/mlflow/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 (likewise)
        return json.load(answer)


def register(address: str, model: str) -> None:
    """A model with one version, at which the alias champion points."""
    _register(address, model, source="s3://models/nothing")


def register_trained(address: str, model: str, metric: str, value: float) -> None:
    """Likewise, and the version came out of a run that logged this metric."""
    run_id = post(address, "runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]["run_id"]
    post(address, "runs/log-metric", {"run_id": run_id, "key": metric, "value": value, "timestamp": 1})
    _register(address, model, source=f"runs:/{run_id}/model", run_id=run_id)


def _register(address: str, model: str, **version: str) -> None:
    post(address, "registered-models/create", {"name": model})
    post(address, "model-versions/create", {"name": model, **version})
    post(address, "registered-models/alias", {"name": model, "alias": "champion", "version": "1"})


def _environment(settings: Settings, uv: str) -> Path:
    """The Python of an environment with exactly what the lock of the image says."""
    python = settings.cache / "bench-mlflow" / "bin" / "python"
    if not python.exists():
        subprocess.run([uv, "venv", "--quiet", "--clear", str(python.parents[1])], check=True)
        locked = ["--no-deps", "--require-hashes", "--compile-bytecode", "-r", str(LOCK)]
        subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), *locked], check=True)
    return python


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:  # noqa: S310 (the address is our own)
            return bool(answer.status == 200)
    except OSError:
        return False
