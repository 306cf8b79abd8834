"""The model server in pods of a real cluster: what it answers, and what it leaves of a model that it cannot serve."""

import json
from typing import Any

from tests.cluster import processes
from tests.e2e import pods
from tests.e2e.test_operator import TRAIN, training_job, wait
from tests.platform import Platform

SECONDS = 120.0
ASK = """
import json, urllib.request
def ask(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request("http://served" + path, data, {"Content-Type": "application/json"})
    answer = urllib.request.urlopen(request, timeout=20)
    return answer.read().decode(), dict(answer.headers)
body, headers = ask("/invocations", {"inputs": [[0.0], [1.0]]})
tensor = {"name": "x", "shape": [2, 1], "datatype": "FP64", "data": [0, 1]}
infer, _ = ask("/v2/models/" + headers["x-model-name"] + "/infer", {"inputs": [tensor]})
page, _ = ask("/docs")
metrics, _ = ask("/metrics")
print(json.dumps([body, headers["x-model-version"], json.loads(infer)["outputs"][0]["data"], len(page),
                  "serinus_server_requests_total" in metrics]))
"""


def server_pod(installed: Platform, namespace: str, name: str, uri: str) -> dict[str, Any]:
    """A pod of the server alone, as somebody would run it who has no operator."""
    image = installed.target.offer(["server"])["server"]
    known = {"MODEL_URI": uri, "MLFLOW_TRACKING_URI": installed.address("mlflow"), "DRAIN": "1s"}
    made = pods.pod(name, image, ["serinus-server", "serve"], **known)
    container = made["spec"]["containers"][0]
    container["volumeMounts"] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 (in the pod)
    container["readinessProbe"] = {"httpGet": {"path": "/ping", "port": 8080}, "periodSeconds": 1}
    made["spec"]["volumes"] = [{"name": "tmp", "emptyDir": {}}]
    made["metadata"]["namespace"] = namespace
    return made


def test_a_registered_version_is_served_and_one_that_is_not_there_says_so(installed: Platform, namespace: str) -> None:
    kubectl = installed.target.kubectl
    job = training_job("churn", TRAIN, parameters={"strength": 0.5}, register={"model": namespace, "alias": "champion"})
    pods.apply(kubectl, namespace, job)
    wait(kubectl, namespace, "trainingjob/churn", "Complete")
    served = server_pod(installed, namespace, "served", f"models:/{namespace}@champion")
    missing = server_pod(installed, namespace, "missing", f"models:/{namespace}/99")
    pods.apply(kubectl, namespace, served, pods.service("served"), missing)

    wait(kubectl, namespace, "pod/served", "Ready")
    answer = json.loads(pods.run(installed.target, namespace, ASK))
    assert answer[:3] == ['{"predictions":[0,1]}', "1", [0, 1]]
    assert answer[3] > 1000
    assert answer[4]

    def has_ended() -> bool:
        return bool(kubectl.get("pod", "missing", "-n", namespace)["status"]["phase"] == "Failed")

    processes.wait_until(has_ended, SECONDS)
    (status,) = kubectl.get("pod", "missing", "-n", namespace)["status"]["containerStatuses"]
    told = json.loads(status["state"]["terminated"]["message"])
    assert told["reason"] == "ModelNotFound"
    assert "99" in told["message"]
