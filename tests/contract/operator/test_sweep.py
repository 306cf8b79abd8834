"""No finalizer, and yet no lie: runs whose TrainingJob is gone are closed, also if no operator was there to see it."""

import uuid
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.contract.mlflow.rest import Rest
from tests.contract.operator import desk
from tests.contract.operator.desk import Desk

pytestmark = pytest.mark.local
# It is never done: no node is as large as that.
SPEC = {"image": "mine/trainer:1", "resources": {"requests": {"cpu": "9999"}}}


def _opened(at: Desk, namespace: str, name: str) -> str:
    """The run of a new TrainingJob."""
    at.create(namespace, "TrainingJob", name, SPEC)
    return at.until(lambda: _run_of(at.cluster, namespace, name))


def _run_of(cluster: Cluster, namespace: str, name: str) -> str:
    return str(cluster.kubectl.get("tj", name, "-n", namespace)["status"].get("run", {}).get("id", ""))


def _end(mlflow: Rest, run_id: str) -> str:
    """How a run has ended, and why; empty as long as it is open."""
    run = mlflow.get("runs/get", run_id=run_id)["run"]
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    is_open = run["info"]["status"] in {"RUNNING", "SCHEDULED"}
    return "" if is_open else f"{run['info']['status']} {tags.get('serinus.reason', '')}"


def test_what_is_deleted_is_killed_though_no_operator_ran(
    here: Cluster, namespace: str, mlflow: Rest, tmp_path: Path
) -> None:
    with desk.operator(here, tmp_path, tracking_uri=mlflow.address) as at:
        deleted, kept = _opened(at, namespace, "deleted"), _opened(at, namespace, "kept")
    here.kubectl("delete", "tj", "deleted", "-n", namespace)
    assert (_end(mlflow, deleted), _end(mlflow, kept)) == ("", "")
    with desk.operator(here, tmp_path, tracking_uri=mlflow.address) as at:
        assert at.until(lambda: _end(mlflow, deleted)) == "KILLED Deleted"
        assert at.logged(deleted)
        assert _end(mlflow, kept) == ""
        here.kubectl("delete", "tj", "kept", "-n", namespace)
        assert at.until(lambda: _end(mlflow, kept)) == "KILLED Deleted"


def test_runs_of_another_cluster_are_not_ours(here: Cluster, namespace: str, mlflow: Rest, tmp_path: Path) -> None:
    tags = {"uid": "of-nobody", "revision": "1", "attempt": "1", "resource": f"{namespace}/gone"}
    cluster = here.kubectl.get("namespace", "kube-system")["metadata"]["uid"]
    experiment = mlflow.experiment(f"of two clusters {uuid.uuid4()}")
    ours = {f"serinus__{key}": value for key, value in tags.items()}
    ours_left = mlflow.run(experiment, 1, **ours, serinus__cluster=cluster)
    theirs = mlflow.run(experiment, 1, **ours, serinus__cluster="another")
    nobodys = mlflow.run(experiment, 1, **ours)
    with desk.operator(here, tmp_path, tracking_uri=mlflow.address) as at:
        assert at.until(lambda: _end(mlflow, ours_left)) == "KILLED Deleted"
        assert (_end(mlflow, theirs), _end(mlflow, nobodys)) == ("", "")
