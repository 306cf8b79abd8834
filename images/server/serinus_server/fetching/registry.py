"""What the registry says of a model: over its REST API where that is enough, so that a warm start imports no MLflow."""

import os
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from serinus_server.fetching.address import is_model_id
from serinus_server.fetching.failures import Failure, Kind
from serinus_server.fetching.web import Client

_API: Final = "/api/2.0/mlflow/"
_MODELS: Final = "models:/"
# How MLflow signs requests otherwise than with a name or a token: left to MLflow's own client.
_SPECIAL: Final = ("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4")
_NOT_YET: Final = {
    "PENDING_REGISTRATION": "it is still being registered: wait until its files are there",
    "FAILED_REGISTRATION": "its registration failed: register it anew",
}


@dataclass(frozen=True, slots=True)
class Registered:
    """A version as the registry knows it."""

    name: str
    version: str
    source: str
    run_id: str = ""

    @property
    def model_id(self) -> str:
        """The logged model that it is, from its source: what MLflow sends as `model_id` is empty."""
        found = self.source.removeprefix(_MODELS).strip("/")
        return found if self.source.startswith(_MODELS) and is_model_id(found) else ""


class Registry(Protocol):
    """What is asked of a registry; each may raise any error, which `failures.of` understands."""

    def version(self, name: str, version: str) -> Registered:
        """A version by its number."""
        ...

    def alias(self, name: str, alias: str) -> Registered:
        """The version that an alias points to now."""
        ...

    def location(self, name: str, version: str) -> str:
        """Where the files of a version are."""
        ...

    def logged_location(self, model_id: str) -> str:
        """Where the files of a logged model are."""
        ...


def connect(address: str, seconds: float) -> Registry:
    """The registry at an address."""
    if address.startswith(("http://", "https://")) and not any(os.environ.get(name) for name in _SPECIAL):
        return _Rest(Client(address, seconds))
    from serinus_server.fetching.client_registry import ClientRegistry

    return ClientRegistry(address)


class _Rest:
    def __init__(self, client: Client) -> None:
        self._client = client

    def version(self, name: str, version: str) -> Registered:
        found = self._get("model-versions/get", name=name, version=version)
        return registered(found["model_version"])

    def alias(self, name: str, alias: str) -> Registered:
        try:
            return registered(self._get("registered-models/alias", name=name, alias=alias)["model_version"])
        except Failure as failure:
            # MLflow answers 400 where the model is there and the alias is not.
            if "alias" in str(failure).lower() and "not found" in str(failure).lower():
                raise Failure(Kind.ABSENT, str(failure)) from failure
            raise

    def location(self, name: str, version: str) -> str:
        return str(self._get("model-versions/get-download-uri", name=name, version=version)["artifact_uri"])

    def logged_location(self, model_id: str) -> str:
        return str(self._get(f"logged-models/{model_id}")["model"]["info"]["artifact_uri"])

    def _get(self, what: str, **query: str) -> Any:
        return self._client.json(f"{_API}{what}?{urlencode(query)}" if query else f"{_API}{what}")


def registered(version: dict[str, Any]) -> Registered:
    """A version as the API writes it; a Failure if its files are not to be had yet."""
    status = str(version.get("status") or "READY")
    if status in _NOT_YET:
        raise Failure(Kind.REFUSED, _NOT_YET[status])
    source, run_id = str(version.get("source") or ""), str(version.get("run_id") or "")
    return Registered(str(version["name"]), str(version["version"]), source, run_id)
