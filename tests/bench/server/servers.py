"""The servers that are measured: what starts each, and what it is asked.

All get one core and one worker. A peer's log of each request is off where its own way to start it leaves the choice;
`mlflow models serve` leaves none. What is served is the same model: as MLflow saved it, or as joblib did for those who
serve scikit-learn without MLflow.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.server import formats
from tests.bench.server.formats import Format, Sample
from tests.cluster.settings import CHECKOUT

PEERS = Path(__file__).parent / "peers"
OURS = "serinus"
CEILING = "ceiling"
MLFLOW = "mlflow"


@dataclass(frozen=True)
class Place:
    """Where one start happens: the model's folder, a scratch folder, and free ports, the first for HTTP."""

    python: Path
    model: Path
    sample: Sample
    scratch: Path
    ports: Sequence[int]

    @property
    def port(self) -> str:
        """The port for HTTP."""
        return str(self.ports[0])

    @property
    def shape(self) -> str:
        """Which of a peer's applications fits the model."""
        return "frames" if self.sample.mixed else "arrays"


@dataclass(frozen=True)
class Start:
    """How a process is started."""

    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Server:
    """One that is measured; `peer` is the folder of its requirements, None for our own."""

    name: str
    title: str
    peer: str | None
    start: Callable[[Place], Start]
    path: str
    write: Format


def _serinus(place: Place) -> Start:
    env = {
        "MODEL_URI": str(place.model / "mlflow"),
        "MODEL_NAME": "model",
        "MODEL_CACHE": str(place.scratch / "cache"),
        "HOST": "127.0.0.1",
        "PORT": place.port,
        "DRAIN": "0",
        "PYTHONPATH": str(CHECKOUT / "images" / "server"),
    }
    return Start([str(place.python), "-m", "serinus_server", "serve"], env)


def _mlflow(place: Place) -> Start:
    """What `mlflow models serve` starts."""
    env = {"__pyfunc_model_path__": (place.model / "mlflow").as_uri(), "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = ["--host", "127.0.0.1", "--port", place.port, "--workers", "1", "mlflow.pyfunc.scoring_server.app:app"]
    return Start([str(place.python.with_name("uvicorn")), *command], env)


def _mlflow_command(place: Place) -> Start:
    """The command itself, which stays beside what it starts, with all of MLflow in its memory."""
    options = ["--env-manager", "local", "--host", "127.0.0.1", "--port", place.port]
    command = [str(place.python.with_name("mlflow")), "models", "serve", "-m", str(place.model / "mlflow"), *options]
    return Start(command, {"MLFLOW_DISABLE_TELEMETRY": "true"})


def _mlserver(runtime: str, file: str) -> Callable[[Place], Start]:
    def start(place: Place) -> Start:
        http, grpc, metrics = place.ports
        settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics}
        _write(place.scratch / "settings.json", {**settings, "parallel_workers": 0, "debug": False})
        model = {"name": "model", "implementation": runtime, "parameters": {"uri": str(place.model / file)}}
        _write(place.scratch / "model-settings.json", model)
        env = {"MLFLOW_DISABLE_TELEMETRY": "true"}
        return Start([str(place.python.with_name("mlserver")), "start", str(place.scratch)], env)

    return start


def _bentoml(place: Place) -> Start:
    env = {
        "BENCH_MODEL": str(place.model / "model.joblib"),
        "BENTOML_HOME": str(place.scratch / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "true",
    }
    options = ["--host", "127.0.0.1", "--port", place.port, "--working-dir", str(PEERS / "bentoml")]
    return Start([str(place.python.with_name("bentoml")), "serve", f"{place.shape}:Model", *options], env)


def _fastapi(place: Place) -> Start:
    env = {"BENCH_MODEL": str(place.model / "model.joblib")}
    return Start(_uvicorn(place, "fastapi", place.shape), env)


def _ceiling(place: Place) -> Start:
    return Start([*_uvicorn(place, "ceiling", "app"), "--loop", "uvloop", "--http", "httptools"])


def _uvicorn(place: Place, peer: str, module: str) -> list[str]:
    options = ["--host", "127.0.0.1", "--port", place.port, "--no-access-log", "--app-dir", str(PEERS / peer)]
    return [str(place.python.with_name("uvicorn")), f"{module}:app", *options]


def _write(path: Path, value: Mapping[str, object]) -> None:
    path.write_text(json.dumps(value))


INFER = "/v2/models/model/infer"
SERVERS = (
    Server(OURS, "Serinus", None, _serinus, "/invocations", formats.frame_split),
    Server("serinus-v2", "Serinus, Open Inference Protocol", None, _serinus, INFER, formats.frame),
    Server(MLFLOW, "MLflow's scoring server", "mlflow", _mlflow, "/invocations", formats.frame_split),
    Server("mlflow-command", "mlflow models serve", "mlflow", _mlflow_command, "/invocations", formats.frame_split),
    Server(
        "mlserver-mlflow",
        "MLServer, MLflow runtime",
        "mlserver",
        _mlserver("mlserver_mlflow.MLflowRuntime", "mlflow"),
        INFER,
        formats.frame,
    ),
    Server(
        "mlserver-sklearn",
        "MLServer, sklearn runtime",
        "mlserver",
        _mlserver("mlserver_sklearn.SKLearnModel", "model.joblib"),
        INFER,
        formats.tensor,
    ),
    Server("bentoml", "BentoML, adaptive batching", "bentoml", _bentoml, "/predict", formats.data),
    Server("fastapi", "FastAPI by hand", "fastapi", _fastapi, "/predict", formats.rows_of_model),
    # The path says how many bytes to answer.
    Server(CEILING, "HTTP with no model", "ceiling", _ceiling, "/{bytes}", formats.frame_split),
)
OWN_PYTHON = Path(sys.executable)
