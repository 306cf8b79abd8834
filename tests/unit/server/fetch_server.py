"""What MLflow's server answers about models and their files, over real HTTP, with faults that a test chooses."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

MODEL_ID = "m-" + "0123456789abcdef" * 2
API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
MLMODEL = """\
flavors:
  python_function:
    env: {conda: conda.yaml, virtualenv: python_env.yaml}
    loader_module: mlflow.sklearn
    model_path: model.pkl
    predict_fn: predict_proba
    python_version: 3.13.0
  sklearn: {pickled_model: model.pkl, sklearn_version: 1.9.1, serialization_format: cloudpickle}
is_signature_from_type_hint: false
mlflow_version: 3.17.2
model_id: %(model_id)s
model_size_bytes: %(size)d
model_uuid: 4b67dffe13304703a3fe408cc82c7e6d
run_id: 5d0f
saved_input_example_info:
  artifact_path: input_example.json
  pandas_orient: split
  serving_input_path: serving_input_example.json
  type: dataframe
signature:
  inputs: '[{"type": "double", "name": "a", "required": true}]'
  outputs: null
  params: null
"""


def write_model(folder: Path, *, model_id: str = MODEL_ID, size: int = 1000) -> Path:
    """A model's folder as MLflow writes it; nothing in it can be unpickled."""
    (folder / "code").mkdir(parents=True)
    (folder / "MLmodel").write_text(MLMODEL % {"model_id": model_id, "size": size})
    (folder / "model.pkl").write_bytes(bytes(range(256)) * 4000)
    (folder / "code" / "helper.py").write_text("ONE = 1\n")
    (folder / "requirements.txt").write_text("mlflow==3.17.2\nscikit-learn==1.9.1\n")
    (folder / "input_example.json").write_text('{"columns": ["a"], "data": [[1.0]]}')
    (folder / "serving_input_example.json").write_text('{"dataframe_split": {"columns": ["a"], "data": [[1.0]]}}')
    return folder


@dataclass
class Faults:
    """What the server does wrong."""

    # Seconds for each piece of a file.
    slow: float = 0.0
    # So many files are cut off in the middle.
    truncated: int = 0
    # So many requests are answered with 503.
    unwell: int = 0
    user: str = ""


@dataclass
class Server:
    """A registry with model `iris`, version 7, alias `champion`, and the files of one logged model."""

    folder: Path
    source: str = f"models:/{MODEL_ID}"
    faults: Faults = field(default_factory=Faults)
    requests: list[str] = field(default_factory=list)
    address: str = ""

    def downloads(self) -> list[str]:
        """The files that were asked for."""
        return [one.removeprefix(f"{ARTIFACTS}/files/") for one in self.requests if one.startswith(f"{ARTIFACTS}/")]

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Status and JSON."""
        version = {"name": "iris", "version": "7", "source": self.source, "run_id": "5d0f", "status": "READY"}
        known: dict[str, Any] = {
            f"{API}registered-models/alias name=iris alias=champion": {"model_version": version},
            f"{API}model-versions/get name=iris version=7": {"model_version": version},
            f"{API}model-versions/get-download-uri name=iris version=7": {"artifact_uri": "mlflow-artifacts:/files"},
            f"{API}logged-models/{MODEL_ID}": {"model": {"info": {"artifact_uri": "mlflow-artifacts:/files"}}},
        }
        if path == ARTIFACTS:
            return 200, {"files": list(self.listed(query["path"]))}
        asked = " ".join([path, *(f"{key}={value}" for key, value in query.items())])
        if asked in known:
            return 200, known[asked]
        if path == f"{API}registered-models/alias":
            words = f"Registered model alias {query['alias']} not found."
            return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": words}
        return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"no {asked}"}

    def listed(self, path: str) -> Iterator[dict[str, Any]]:
        """What is in a folder of the store."""
        below = self.folder / path.removeprefix("files").strip("/")
        for one in sorted(below.iterdir()) if below.is_dir() else ():
            size = {} if one.is_dir() else {"file_size": one.stat().st_size}
            yield {"path": one.name, "is_dir": one.is_dir(), **size}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: Server

    def do_GET(self) -> None:
        """Answer as Server says, with its faults."""
        server, url = self.server_of, urlsplit(self.path)
        server.requests.append(unquote(url.path))
        if server.faults.unwell > 0:
            server.faults.unwell -= 1
            self._json(503, {"message": "not well"})
        elif server.faults.user and "Authorization" not in self.headers:
            self._json(401, {"message": "You are not authenticated."})
        elif url.path.startswith(f"{ARTIFACTS}/"):
            self._file(server.folder / unquote(url.path).removeprefix(f"{ARTIFACTS}/files/"), server.faults)
        else:
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            self._json(*server.answer(url.path, query))

    def _json(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, path: Path, faults: Faults) -> None:
        body = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if faults.truncated > 0 and len(body) > 1:
            faults.truncated -= 1
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        for at in range(0, len(body), 1 << 16):
            time.sleep(faults.slow)
            self.wfile.write(body[at : at + (1 << 16)])

    def log_message(self, *_: object) -> None:
        """Nothing."""


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that was killed is what some tests are about."""


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Run a server on a port of its own."""
    handler = type("Handler", (_Handler,), {"server_of": server})
    with _Quiet(("127.0.0.1", 0), handler) as http:
        server.address = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
