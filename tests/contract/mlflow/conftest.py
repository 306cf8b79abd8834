"""A real MLflow, an adapter that asks it, and names that no other test uses."""

import uuid

import pytest

from serinus.asks import Server
from tests.contract.mlflow.desk import Desk
from tests.contract.mlflow.rest import Rest
from tests.platform import Platform


@pytest.fixture(scope="session")
def mlflow(installed: Platform) -> Rest:
    """The MLflow that the chart installs."""
    return Rest(installed.address("mlflow"))


@pytest.fixture
def desk(mlflow: Rest) -> Desk:
    """Asks the real MLflow, with nothing else at hand."""
    return Desk(Server(uri=mlflow.address))


@pytest.fixture
def name() -> str:
    """A name, with letters that are not everybody's."""
    return f"churn é モデル {uuid.uuid4().hex[:8]}"
