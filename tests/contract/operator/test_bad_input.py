"""Whatever a user or an administrator does, it is told where they look, and the others go on."""

import copy
import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import processes
from tests.cluster.cluster import Cluster
from tests.cluster.settings import CHECKOUT
from tests.contract.operator import desk

pytestmark = pytest.mark.local
TRAINING_JOBS = CHECKOUT / "crds" / "trainingjobs.serinus.dev.yaml"


def test_the_first_status_comes_within_a_second_and_is_true(here: Cluster, namespace: str, tmp_path: Path) -> None:
    with desk.operator(here, tmp_path) as at:
        # Before there is anything to see, nothing tells when the watches have begun.
        at.create(namespace, "TrainingJob", "first")
        at.status(namespace, "TrainingJob", "first")
        for kind in desk.SPEC:
            started = time.monotonic()
            at.create(namespace, kind, "churn")
            status = at.status(namespace, kind, "churn")
            print(f"{kind}: first status {time.monotonic() - started:.2f} s after `kubectl create` began")
            conditions = {one["type"]: one["status"] for one in status["conditions"]}
            assert conditions["Ready"] == "Unknown"
            assert conditions["Reconciling"] == "True"
            assert status["observedGeneration"] == 1
        assert "127.0.0.1:9" in at.condition(namespace, "TrainingJob", "churn", "Unreachable")


def test_what_was_stored_before_a_definition_changed(here: Cluster, namespace: str, tmp_path: Path) -> None:
    _lenient(here)
    desk.create(here, namespace, "TrainingJob", "old", {"backoffLimit": "many"})
    desk.create(here, namespace, "TrainingJob", "a" * 253)
    here.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(TRAINING_JOBS))
    with desk.operator(here, tmp_path) as at:
        assert "spec.backoffLimit" in at.condition(namespace, "TrainingJob", "old", "InvalidSpec")
        assert "40 characters at most" in at.condition(namespace, "TrainingJob", "a" * 253, "InvalidSpec")
        at.create(namespace, "TrainingJob", "new")
        assert at.status(namespace, "TrainingJob", "new")["phase"] == "Pending"
        requests = _written(at)
        time.sleep(3)
        assert _written(at) == requests, "what cannot be parsed costs nothing more"


def test_a_spec_that_only_the_parser_refuses(here: Cluster, namespace: str, tmp_path: Path) -> None:
    with desk.operator(here, tmp_path) as at:
        at.create(namespace, "TrainingJob", "typo", {"args": ["$(params.depht)"], "parameters": {"depth": 8}})
        message = at.condition(namespace, "TrainingJob", "typo", "InvalidSpec")
        assert "$(params.depht)" in message
        assert at.until(lambda: here.kubectl("events", "-n", namespace, "--for", "trainingjob/typo")).count("depht")
        corrected = {"spec": {"args": ["$(params.depth)"]}}
        here.kubectl("patch", "tj", "typo", "-n", namespace, "--type=merge", "-p", json.dumps(corrected))
        assert at.condition(namespace, "TrainingJob", "typo", "Unreachable")


def test_annotations_as_large_as_they_may_be_and_letters_of_all_kinds(
    here: Cluster, namespace: str, tmp_path: Path
) -> None:
    spec = {"args": ["ünïcödé 🐦 \u2028"], "tracking": {"experiment": "鳥", "tags": {"bird": "ö🐦"}}}
    with desk.operator(here, tmp_path) as at:
        at.create(
            namespace, "TrainingJob", "large", spec, annotations={f"example.com/{n}": "🐦" * 15_000 for n in range(4)}
        )
        assert at.condition(namespace, "TrainingJob", "large", "Unreachable")
        large = here.kubectl.get("tj", "large", "-n", namespace)
        assert len(large["metadata"]["annotations"]) == 4


def test_a_secret_that_is_missing_and_one_that_lacks_a_key(here: Cluster, namespace: str, tmp_path: Path) -> None:
    spec = {"tracking": {"credentialsSecret": "login"}}
    with desk.operator(here, tmp_path) as at:
        at.create(namespace, "TrainingJob", "locked", spec)
        assert "login" in at.condition(namespace, "TrainingJob", "locked", "ConfigurationMissing")
        here.kubectl(
            "create", "secret", "generic", "login", "-n", namespace, "--from-literal=MLFLOW_TRACKING_USERNAME=me"
        )
        at.create(
            namespace, "ModelDeployment", "locked", {**desk.SPEC["ModelDeployment"], "registry": spec["tracking"]}
        )
        assert "MLFLOW_TRACKING_PASSWORD" in at.condition(namespace, "ModelDeployment", "locked", "Unauthorized")


def test_a_definition_that_is_not_installed_yet(here: Cluster, namespace: str, tmp_path: Path) -> None:
    here.kubectl("delete", "crd", "modeldeployments.serinus.dev")
    with desk.operator(here, tmp_path) as at:
        assert "modeldeployments" in at.logged("this cluster has no modeldeployments")
        at.create(namespace, "TrainingJob", "churn")
        assert at.status(namespace, "TrainingJob", "churn")["phase"] == "Pending"
        here.kubectl("apply", "--server-side", "-f", str(CHECKOUT / "crds"))
        assert at.logged("what can be watched has changed")
        assert at.operator.process.wait(20) == 0, "it ends, to be started anew by Kubernetes"


def test_a_verb_that_rbac_forbids(here: Cluster, namespace: str, tmp_path: Path) -> None:
    here.kubectl("apply", "-f", "-", stdin=json.dumps(_limited(namespace)))
    limited = _login(here, namespace, tmp_path)
    with desk.operator(here, tmp_path, limited, watch_namespaces=namespace) as at:
        assert "'get' on 'namespaces'" in at.logged("does not know which cluster this is")
        assert "'list' on 'deployments'" in at.logged("what depends on it waits")
        at.create(namespace, "TrainingJob", "churn")
        assert at.status(namespace, "TrainingJob", "churn")["phase"] == "Pending"
        at.create(namespace, "ModelDeployment", "churn")
        time.sleep(1)
        assert "conditions" not in here.kubectl.get("md", "churn", "-n", namespace)["status"]


def test_it_stops_at_once(here: Cluster, namespace: str, tmp_path: Path) -> None:
    with desk.operator(here, tmp_path) as at:
        at.create(namespace, "TrainingJob", "churn")
        at.status(namespace, "TrainingJob", "churn")
        started = time.monotonic()
        at.operator.process.terminate()
        assert at.operator.process.wait(20) == 0
        assert time.monotonic() - started < 5
        assert '"stopped"' in at.log.read_text()


def test_settings_that_are_wrong_are_all_told(tmp_path: Path, here: Cluster) -> None:
    with desk.operator(here, tmp_path, workers="none", log_level="loud", wrokers="3") as at:
        assert at.operator.process.wait(20) == 2
        said = at.log.read_text()
        assert all(name in said for name in ("SERINUS_WORKERS", "SERINUS_LOG_LEVEL", "SERINUS_WROKERS"))


def _lenient(cluster: Cluster) -> None:
    """The definition as an earlier version might have had it: it took anything."""
    definition: Any = copy.deepcopy(yaml.safe_load(TRAINING_JOBS.read_text()))
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    status = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    schema = {"type": "object", "properties": {"spec": anything, "status": status}}
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = schema
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump(definition))
    # The API server serves a changed definition a moment later.
    assert processes.wait_until(lambda: _takes_anything(cluster), desk.SECONDS)


def _takes_anything(cluster: Cluster) -> bool:
    odd = {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "b" * 60},
        "spec": {"x": 1},
    }
    asked = ("create", "--validate=ignore", "--dry-run=server", "-f", "-")
    return cluster.kubectl.try_(*asked, stdin=json.dumps(odd)).returncode == 0


def _written(at: desk.Desk) -> float:
    return sum(value for key, value in at.operator.requests().items() if "patch" in key or "apply" in key)


def _limited(namespace: str) -> dict[str, Any]:
    """An account that may do what TrainingJobs need, and nothing for ModelDeployments."""
    rules = [
        {"apiGroups": ["serinus.dev"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["pods", "services", "persistentvolumeclaims", "events"], "verbs": ["*"]},
    ]
    rbac, name = {"apiVersion": "rbac.authorization.k8s.io/v1"}, {"name": "limited", "namespace": namespace}
    subject = {"kind": "ServiceAccount", **name}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "limited"}
    items = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": name},
        {**rbac, "kind": "Role", "metadata": name, "rules": rules},
        {**rbac, "kind": "RoleBinding", "metadata": name, "roleRef": reference, "subjects": [subject]},
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _login(cluster: Cluster, namespace: str, folder: Path) -> Path:
    """A kubeconfig for that account."""
    token = cluster.kubectl("create", "token", "limited", "-n", namespace).strip()
    config: Any = yaml.safe_load(cluster.layout.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    path = folder / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path
