"""The files of a model where they are, through MLflow's own artifact repositories."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from serinus_server.fetching.failures import Failure, Kind

# MLflow alone would try for minutes without a word; trying again is done here, with a line for each time.
_PATIENCE: Final = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
_RUNS: Final = "runs:/"


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as the store lists it; no size where the store does not say."""

    path: str
    size: int | None


class Artifacts:
    """The folder of one model in a store. Every method may raise any error, which `failures.of` understands."""

    def __init__(self, location: str, tracking_uri: str) -> None:
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        import mlflow
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        if tracking_uri:
            mlflow.set_tracking_uri(tracking_uri)
        self.location = _of_run(location) if location.startswith(_RUNS) else location
        self._repository: Any = get_artifact_repository(self.location, tracking_uri=tracking_uri or None)

    def files(self) -> tuple[Listed, ...]:
        """All files, by their paths in the folder."""
        found, folders = [], [""]
        while folders:
            for one in self._entries(folders.pop()):
                if one.is_dir:
                    folders.append(one.path)
                else:
                    found.append(Listed(_inside(one.path), one.file_size))
        return tuple(sorted(found, key=lambda one: one.path))

    def download(self, path: str, to: Path) -> None:
        """Write one file; it may be there in part if this fails."""
        self._repository._download_file(path, str(to))  # noqa: SLF001 - what each repository must have, unlike others

    def _entries(self, folder: str) -> list[Any]:
        """What is in a folder, less the folder itself, which some stores list too."""
        return [one for one in self._repository.list_artifacts(folder or None) if one.path not in {"", ".", folder}]


def _inside(path: str) -> str:
    """A path that stays in the folder; a store that lists another one is not to be trusted."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\\" in path or "\0" in path:
        raise Failure(Kind.REFUSED, f"the store lists the file {path!r}, which leads out of the model")
    return str(parts)


def _of_run(uri: str) -> str:
    """The model that a run logged under this name, else what is at this path of its artifacts."""
    from mlflow import MlflowClient

    run_id, _, path = uri.removeprefix(_RUNS).lstrip("/").partition("/")
    client = MlflowClient()
    run = client.get_run(run_id)
    name, _, rest = path.partition("/")
    found = client.search_logged_models([run.info.experiment_id], filter_string=f"name = '{name}'") if name else ()
    model = next((one for one in found if one.source_run_id == run_id), None)
    base, inner = (model.artifact_location, rest) if model else (run.info.artifact_uri, path)
    return f"{base.rstrip('/')}/{inner}".rstrip("/")
