"""What the operator does with the two kinds on a real cluster, seen as its users see it."""

import json
import time
from collections.abc import Mapping
from typing import Any

from tests import platform
from tests.cluster import processes
from tests.cluster.kubectl import Kubectl
from tests.e2e import pods
from tests.platform import Platform

API_VERSION = "serinus.dev/v1alpha1"
SECONDS = 240
# Training as anybody writes it: it joins the run that the environment names.
TRAIN = """
import os, mlflow
from sklearn.linear_model import LogisticRegression
with mlflow.start_run():
    model = LogisticRegression(C=float(os.environ["PARAM_STRENGTH"])).fit([[0.0], [1.0]], [0, 1])
    mlflow.log_metric("val_f1", 0.9)
    mlflow.sklearn.log_model(model, name="model")
"""
ASK = """
import json, urllib.request
body = json.dumps({"inputs": [[0.0], [1.0]]}).encode()
request = urllib.request.Request("http://SERVICE/invocations", body, {"Content-Type": "application/json"})
print(urllib.request.urlopen(request, timeout=20).read().decode())
"""


def training_job(name: str, code: str, **spec: Any) -> dict[str, Any]:  # noqa: ANN401 (any JSON)
    """A TrainingJob that runs Python code in the trainer image."""
    command = ["python", "-c", code]
    metadata = {"name": name}
    return {
        "apiVersion": API_VERSION,
        "kind": "TrainingJob",
        "metadata": metadata,
        "spec": {"command": command, **spec},
    }


def wait(kubectl: Kubectl, namespace: str, what: str, condition: str, seconds: int = SECONDS) -> None:
    """Wait for a condition as a user does."""
    kubectl("wait", "-n", namespace, what, f"--for=condition={condition}", f"--timeout={seconds}s")


def conditions(resource: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Status and reason of each condition."""
    return {one["type"]: (one["status"], one["reason"]) for one in resource["status"]["conditions"]}


def test_from_training_code_to_an_answer(installed: Platform, namespace: str) -> None:
    kubectl = installed.target.kubectl
    job = training_job(
        "churn",
        TRAIN,
        parameters={"strength": 0.5},
        tracking={"experiment": namespace, "tags": {"team": "growth"}},
        gate=[{"metric": "val_f1", "min": 0.8}, {"metric": "val_f1", "versus": {"alias": "champion"}, "minDelta": 0}],
        register={"model": namespace, "alias": "champion", "tags": {"team": "growth"}},
    )
    pods.apply(kubectl, namespace, job)
    wait(kubectl, namespace, "trainingjob/churn", "Complete")
    trained = kubectl.get("trainingjob", "churn", "-n", namespace)
    assert trained["status"]["phase"] == "Succeeded"
    assert conditions(trained)["Ready"] == ("True", "Succeeded")
    run = installed.mlflow("runs/get", run_id=trained["status"]["run"]["id"])["run"]
    assert run["info"]["status"] == "FINISHED"
    assert {one["key"]: one["value"] for one in run["data"]["metrics"]} == {"val_f1": 0.9}
    assert {one["key"]: one["value"] for one in run["data"]["params"]}["strength"] == "0.5"
    assert {one["key"]: one["value"] for one in run["data"]["tags"]}["team"] == "growth"

    assert trained["status"]["registered"]["version"] == "1"
    version = installed.mlflow("registered-models/alias", name=namespace, alias="champion")["model_version"]
    assert version["run_id"] == trained["status"]["run"]["id"]
    assert {"key": "team", "value": "growth"} in version["tags"]

    model = {"name": namespace, "alias": "champion"}
    deployment = {"apiVersion": API_VERSION, "kind": "ModelDeployment", "metadata": {"name": "churn"}}
    pods.apply(kubectl, namespace, {**deployment, "spec": {"model": model}})
    wait(kubectl, namespace, "modeldeployment/churn", "Ready")
    served = kubectl.get("modeldeployment", "churn", "-n", namespace)
    assert served["status"]["stable"]["version"] == "1"
    assert conditions(served)["Available"] == ("True", "MinimumReplicasAvailable")
    answer = pods.run(installed.target, namespace, ASK.replace("SERVICE", "churn"))
    assert json.loads(answer) == {"predictions": [0, 1]}


def test_a_model_that_is_not_good_enough_is_rejected_and_not_registered(installed: Platform, namespace: str) -> None:
    kubectl = installed.target.kubectl
    gate = [{"metric": "val_f1", "min": 0.95}, {"metric": "auc", "min": 0.5}]
    job = training_job("weak", TRAIN, parameters={"strength": 1}, gate=gate, register={"model": namespace})
    pods.apply(kubectl, namespace, job)
    wait(kubectl, namespace, "trainingjob/weak", "Complete")
    rejected = kubectl.get("trainingjob", "weak", "-n", namespace)
    assert rejected["status"]["phase"] == "Rejected"
    assert conditions(rejected)["GatePassed"] == ("False", "MetricMissing")
    assert "0.9 is less than 0.95" in rejected["status"]["message"]
    assert "auc was not logged; the run logged val_f1" in rejected["status"]["message"]
    assert "registered" not in rejected["status"]


def test_a_failed_training_is_told_with_its_reason(installed: Platform, namespace: str) -> None:
    kubectl = installed.target.kubectl
    pods.apply(kubectl, namespace, training_job("broken", "raise SystemExit(3)", backoffLimit=0))
    wait(kubectl, namespace, "trainingjob/broken", "Failed")
    failed = kubectl.get("trainingjob", "broken", "-n", namespace)
    assert conditions(failed)["Stalled"] == ("True", "BackoffLimitExceeded")
    run = installed.mlflow("runs/get", run_id=failed["status"]["run"]["id"])["run"]
    assert run["info"]["status"] == "FAILED"
    assert "BackoffLimitExceeded" in kubectl("events", "-n", namespace, "--for", "trainingjob/broken")


def test_an_image_that_cannot_be_pulled_is_told_while_it_is_so(installed: Platform, namespace: str) -> None:
    kubectl = installed.target.kubectl
    job = training_job("typo", "print(1)", image="localhost:1/no/such:image", podTemplate=_NONROOT)
    pods.apply(kubectl, namespace, job)
    wait(kubectl, namespace, "trainingjob/typo", "Stalled")
    stalled = kubectl.get("trainingjob", "typo", "-n", namespace)
    assert conditions(stalled)["Stalled"] == ("True", "ImagePullFailed")
    assert "no/such:image" in stalled["status"]["message"]


def test_a_pod_that_the_namespace_forbids_and_what_to_do(installed: Platform, namespace: str) -> None:
    kubectl = installed.target.kubectl
    pods.apply(kubectl, namespace, training_job("root", "print(1)", podTemplate={"spec": {"hostNetwork": "yes"}}))
    wait(kubectl, namespace, "trainingjob/root", "Stalled")
    stalled = kubectl.get("trainingjob", "root", "-n", namespace)
    assert conditions(stalled)["Stalled"][1] == "InvalidSpec"
    assert "hostNetwork" in stalled["status"]["message"]


def test_the_other_replica_takes_over(installed: Platform, namespace: str) -> None:
    kubectl = installed.target.kubectl
    scale = ("scale", "deployment/serinus-operator", "-n", platform.NAMESPACE)
    kubectl(*scale, "--replicas=2")
    try:
        kubectl("rollout", "status", "deployment/serinus-operator", "-n", platform.NAMESPACE, "--timeout=120s")
        leader = _leader(kubectl)
        kubectl("delete", "pod", leader, "-n", platform.NAMESPACE, "--grace-period=0", "--force")
        started = time.monotonic()
        pods.apply(kubectl, namespace, training_job("after", "print(1)", tracking={"experiment": namespace}))
        wait(kubectl, namespace, "trainingjob/after", "Reconciling", 60)
        print(f"reconciled {time.monotonic() - started:.1f} s after the leader was killed")
        assert processes.wait_until(lambda: _leader(kubectl) not in {"", leader}, 60)
    finally:
        kubectl(*scale, "--replicas=1")


def test_nothing_was_forbidden_to_the_operator(installed: Platform) -> None:
    """Last in this file: whatever the stories asked of it, its rights were enough, and no pass was a mistake."""
    kubectl = installed.target.kubectl
    service = f"/api/v1/namespaces/{platform.NAMESPACE}/services/serinus-operator:metrics/proxy/metrics"
    lines = kubectl("get", "--raw", service).splitlines()
    assert not [line for line in lines if 'outcome="forbidden"' in line and not line.endswith(" 0.0")]
    assert not [line for line in lines if 'outcome="failed"' in line and not line.endswith(" 0.0")]


_NONROOT = {"spec": {"securityContext": {"runAsNonRoot": True, "runAsUser": 65532}}}


def _leader(kubectl: Kubectl) -> str:
    lease = kubectl.get("lease", "serinus-operator", "-n", platform.NAMESPACE)
    return str(lease["spec"].get("holderIdentity") or "")
