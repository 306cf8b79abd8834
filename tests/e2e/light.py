"""Training code that costs next to nothing: it logs as MLflow's client does, without its import, and waits if told."""

from collections.abc import Mapping
from typing import Any

from tests.cluster import processes
from tests.e2e.training import SECONDS, Lab, training_job

HOLDING = "holding"
_CODE = """
import json, os, sys, time, urllib.request
ATTEMPT, HOLD = sys.argv[1], os.environ.get("PARAM_HOLD")
def call(method, path, **body):
    url = os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/" + path
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)
    return json.load(urllib.request.urlopen(request, timeout=20))
def log():
    experiment = os.environ["MLFLOW_EXPERIMENT_ID"]
    call("POST", "runs/log-metric", run_id=run, key="val_f1", value=0.9, timestamp=1)
    model = call("POST", "logged-models", experiment_id=experiment, name="model", source_run_id=run)
    model_id = model["model"]["info"]["model_id"]
    call("PATCH", "logged-models/" + model_id, model_id=model_id, status="LOGGED_MODEL_READY")
def hold(when):
    if HOLD == when and ATTEMPT == "1":
        print("holding", flush=True)
        while not os.path.exists("/tmp/go"):
            time.sleep(0.1)
run = os.environ["MLFLOW_RUN_ID"]
call("POST", "runs/update", run_id=run, status="RUNNING")
hold("before")
log()
hold("after")
hold("to-fail")
sys.exit(3 if HOLD == "to-fail" and ATTEMPT == "1" else 0)
"""
_GRACELESS = {"spec": {"terminationGracePeriodSeconds": 1}}


def light(name: str, hold: str = "", **spec: Any) -> dict[str, Any]:  # noqa: ANN401 (any JSON)
    """A TrainingJob that logs a metric and a model. Its first attempt holds "before" that, "after" it, or "to-fail"."""
    told = {"args": ["$(attempt)"], "podTemplate": _GRACELESS, "parameters": {"hold": hold}, **spec}
    return training_job(name, _CODE, **told)


def registering(model: str) -> dict[str, Any]:
    """A gate that it passes, and a version to register."""
    return {"gate": [{"metric": "val_f1", "min": 0.8}], "register": {"model": model, "alias": "champion"}}


def held(lab: Lab, name: str) -> Mapping[str, Any]:
    """The pod, once its code holds."""
    found: list[Mapping[str, Any]] = []

    def holds() -> bool:
        found[:] = lab.pods_of(name)
        return len(found) == 1 and HOLDING in _logs(lab, found[0])

    assert processes.wait_until(holds, SECONDS), f"{name}: {lab.status(name)}"
    return found[0]


def release(lab: Lab, *names: str) -> None:
    """Let code go on that holds."""
    for name in names:
        (pod,) = lab.pods_of(name)
        lab.kubectl("exec", "-n", lab.namespace, pod["metadata"]["name"], "--", "touch", "/tmp/go")  # noqa: S108 (its own)


def _logs(lab: Lab, pod: Mapping[str, Any]) -> str:
    return lab.kubectl.try_("logs", "-n", lab.namespace, pod["metadata"]["name"]).stdout
