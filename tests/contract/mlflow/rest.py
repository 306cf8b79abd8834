"""MLflow as its users' programs write to it, by means that are not those under test."""

import json
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

# As MLflow 3 writes it for a scikit-learn model that was logged with a signature and an input example.
MLMODEL = """\
artifact_path: mlflow-artifacts:/1/models/{model_id}/artifacts
flavors:
  python_function:
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.sklearn
    model_path: model.skops
    predict_fn: predict
    python_version: 3.13.0
  sklearn:
    code: null
    pickled_model: model.skops
    serialization_format: skops
    sklearn_version: 1.9.1
    skops_trusted_types: null
is_signature_from_type_hint: false
mlflow_version: 3.17.2
model_id: {model_id}
model_size_bytes: 10686
model_uuid: {model_id}
prompts: null
saved_input_example_info:
  artifact_path: input_example.json
  pandas_orient: split
  serving_input_path: serving_input_example.json
  type: dataframe
signature:
  inputs: '[{{"type": "double", "name": "a", "required": true}}, {{"type": "double",
    "name": "b", "required": true}}]'
  outputs: '[{{"type": "tensor", "tensor-spec": {{"dtype": "int64", "shape": [-1]}}}}]'
  params: null
type_hint_from_example: false
utc_time_created: '2026-11-21 14:15:26.393898'
"""
REQUIREMENTS = "mlflow==3.17.2\nnumpy==2.5.5\n\n# as found\nscikit-learn==1.9.1\n"


@dataclass(frozen=True)
class Rest:
    """A real server."""

    address: str

    def call(self, method: str, path: str, body: object = None, **query: str) -> Any:  # noqa: ANN401 (any JSON)
        """What the server answers; an HTTPError if it refuses."""
        url = f"{self.address}/{path}?{urlencode(query)}"
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/octet-stream" if isinstance(body, bytes) else "application/json"}
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 (our own server)
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.loads(answer.read() or b"{}")

    def post(self, operation: str, **body: object) -> Any:  # noqa: ANN401
        """Change something."""
        return self.call("POST", f"api/2.0/mlflow/{operation}", body)

    def get(self, operation: str, **query: str) -> Any:  # noqa: ANN401
        """Read something."""
        return self.call("GET", f"api/2.0/mlflow/{operation}", **query)

    def experiment(self, name: str) -> str:
        """A new experiment."""
        return str(self.post("experiments/create", name=name)["experiment_id"])

    def run(self, experiment_id: str, start_time: int = 1, **tags: str) -> str:
        """A new run."""
        listed = [{"key": key.replace("__", "."), "value": value} for key, value in tags.items()]
        created = self.post("runs/create", experiment_id=experiment_id, start_time=start_time, tags=listed)
        return str(created["run"]["info"]["run_id"])

    def logged_model(
        self, experiment_id: str, run_id: str, files: Mapping[str, str] | None = None, *, name: str = "model"
    ) -> str:
        """A model as `log_model` logs it: the files given, or an MLmodel and its requirements; an output of the run.

        It is not marked as ready: `finish` does that.
        """
        created = self.post("logged-models", experiment_id=experiment_id, name=name, source_run_id=run_id)
        info = created["model"]["info"]
        model_id = str(info["model_id"])
        self.upload(info["artifact_uri"], files if files is not None else model_files(model_id))
        self.post("runs/outputs", run_id=run_id, models=[{"model_id": model_id, "step": "0"}])
        return model_id

    def finish(self, model_id: str, status: str = "LOGGED_MODEL_READY") -> None:
        """Mark a logged model as ready, as `log_model` does in the end, or as failed."""
        body = {"model_id": model_id, "status": status}
        self.call("PATCH", f"api/2.0/mlflow/logged-models/{model_id}", body)

    def upload(self, folder: str, files: Mapping[str, str]) -> None:
        """Put files into a folder of the server's artifact store."""
        path = folder.removeprefix("mlflow-artifacts:/").lstrip("/")
        for name, text in files.items():
            self.call("PUT", f"api/2.0/mlflow-artifacts/artifacts/{quote(path)}/{quote(name)}", text.encode())

    def version(self, model: str, source: str, **more: object) -> str:
        """A new version of a registered model that is there."""
        return str(self.post("model-versions/create", name=model, source=source, **more)["model_version"]["version"])

    def model(self, name: str, versions: int = 1, aliases: Mapping[str, int] | None = None) -> str:
        """A new registered model with some versions of one source; the source."""
        experiment = self.experiment(f"of {name}")
        run = self.run(experiment)
        self.post("registered-models/create", name=name)
        source = f"runs:/{run}/model"
        for _ in range(versions):
            self.version(name, source, run_id=run)
        for alias, version in (aliases or {}).items():
            self.post("registered-models/alias", name=name, alias=alias, version=str(version))
        return source

    def runs(self, experiment_id: str) -> Sequence[Mapping[str, Any]]:
        """All runs of an experiment."""
        found = self.post("runs/search", experiment_ids=[experiment_id], max_results=1000)
        return list(found.get("runs", []))


def model_files(model_id: str = "null") -> Mapping[str, str]:
    """The files of a model, as far as anybody but its server reads them."""
    return {"MLmodel": MLMODEL.format(model_id=model_id), "requirements.txt": REQUIREMENTS}
