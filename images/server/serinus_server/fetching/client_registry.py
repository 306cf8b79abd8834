"""A registry that is no HTTP server, or one that wants more than a name and a password: through MLflow's own client."""

from typing import Any

from serinus_server.fetching.failures import Failure, Kind
from serinus_server.fetching.registry import Registered, registered


class ClientRegistry:
    """As `registry.Registry` has it."""

    def __init__(self, address: str) -> None:
        from mlflow import MlflowClient

        self._client: Any = MlflowClient(tracking_uri=address or None, registry_uri=address or None)

    def version(self, name: str, version: str) -> Registered:
        """A version by its number."""
        return _registered(self._client.get_model_version(name, version))

    def alias(self, name: str, alias: str) -> Registered:
        """The version that an alias points to now."""
        try:
            return _registered(self._client.get_model_version_by_alias(name, alias))
        except Exception as error:
            # The model is there and the alias is not: no other invalid value is in this question.
            if getattr(error, "error_code", "") == "INVALID_PARAMETER_VALUE":
                raise Failure(Kind.ABSENT, str(error)) from error
            raise

    def location(self, name: str, version: str) -> str:
        """Where the files of a version are."""
        return str(self._client.get_model_version_download_uri(name, version))

    def logged_location(self, model_id: str) -> str:
        """Where the files of a logged model are."""
        return str(self._client.get_logged_model(model_id).artifact_location)


def _registered(version: Any) -> Registered:
    keys = ("name", "version", "source", "run_id", "status")
    return registered({key: getattr(version, key, None) for key in keys})
