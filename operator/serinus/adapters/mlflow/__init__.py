"""The registry port over MLflow's REST API."""

from serinus.adapters.mlflow.client import Limits
from serinus.adapters.mlflow.credentials import Credentials
from serinus.adapters.mlflow.registry import MlflowRegistry

__all__ = ["Credentials", "Limits", "MlflowRegistry"]
