"""What a TrainingJob costs one user: `python -m tests.bench.latency`, on a cluster with Serinus installed.

The same pod as a plain Job and as a TrainingJob, in turn: from `apply` to the first thing that the container does, and
from the last thing that it does to what follows: complete, or registered with its alias.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tests import platform
from tests.cluster import settings, target
from tests.cluster.kubectl import Kubectl
from tests.platform import Platform

NAMESPACE = "bench-latency"
# Logs what a model needs by plain requests: the libraries' imports would be the same for both, and noise.
TRAIN = """
import json, os, time, urllib.request
print(time.time(), flush=True)
address, run, experiment = (os.environ.get(f"MLFLOW_{name}") for name in ("TRACKING_URI", "RUN_ID", "EXPERIMENT_ID"))
def post(path, method="POST", **body):
    request = urllib.request.Request(f"{address}/api/2.0/mlflow/{path}", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"}, method=method)
    return json.loads(urllib.request.urlopen(request).read() or "{}")
if run:
    post("runs/log-metric", run_id=run, key="val_f1", value=0.9, timestamp=int(time.time() * 1000), step=0)
    made = post("logged-models", experiment_id=experiment, source_run_id=run, name="model")
    model = made["model"]["info"]["model_id"]
    post(f"logged-models/{model}", "PATCH", model_id=model, status="LOGGED_MODEL_READY")
print(time.time(), flush=True)
"""
GLANCE = 0.02


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--name", default="test", help="the cluster")
    options = parser.parse_args()
    where = target.up(settings.read(os.environ, name=options.name), print)
    installed = platform.install(where)
    platform.create_namespace(where, NAMESPACE)
    try:
        print(json.dumps(measure(installed, options.times), indent=2))
    finally:
        where.kubectl("delete", "namespace", NAMESPACE)


def measure(installed: Platform, times: int) -> Mapping[str, Any]:
    """The report: one of each that does not count, then one of each in turn."""
    seen: dict[str, list[tuple[float, float]]] = {"Job": [], "TrainingJob": []}
    for number in range(times + 1):
        for kind, manifest in (("Job", _job(installed, number)), ("TrainingJob", _training_job(number))):
            pair = _one(installed.target.kubectl, kind, manifest)
            if number:
                seen[kind].append(pair)
    return {"times": times, **{kind: _figures(pairs) for kind, pairs in seen.items()}}


def _one(kubectl: Kubectl, kind: str, manifest: Mapping[str, Any]) -> tuple[float, float]:
    """From apply to the container's first words, and from its last words to the end as its user sees it."""
    name = manifest["metadata"]["name"]
    applied = time.time()
    kubectl("create", "-n", NAMESPACE, "-f", "-", stdin=json.dumps(manifest))
    while not _is_over(kubectl.get(kind.lower(), name, "-n", NAMESPACE)):
        time.sleep(GLANCE)
    over = time.time()
    selector = f"job-name={name}" if kind == "Job" else f"serinus.dev/training-job={name}"
    (pod,) = kubectl.get("pods", "-l", selector, "-n", NAMESPACE)["items"]
    first, last = map(float, kubectl("logs", pod["metadata"]["name"], "-n", NAMESPACE).split())
    return first - applied, over - last


def _is_over(manifest: Mapping[str, Any]) -> bool:
    conditions = manifest.get("status", {}).get("conditions", ())
    return any(one["type"] == "Complete" and one["status"] == "True" for one in conditions)


def _job(installed: Platform, number: int) -> dict[str, Any]:
    image = installed.target.offer(["trainer"])["trainer"]
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "main", "image": image, "command": ["python", "-c", TRAIN], "securityContext": security}
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    spec = {"backoffLimit": 0, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": f"plain-{number}"}, "spec": spec}


def _training_job(number: int) -> dict[str, Any]:
    spec = {
        "command": ["python", "-c", TRAIN],
        "parameters": {"depth": 8},
        "gate": [{"metric": "val_f1", "min": 0.8}],
        "register": {"model": NAMESPACE, "alias": "champion"},
    }
    metadata = {"name": f"trained-{number}"}
    return {"apiVersion": "serinus.dev/v1alpha1", "kind": "TrainingJob", "metadata": metadata, "spec": spec}


def _figures(pairs: Sequence[tuple[float, float]]) -> Mapping[str, Any]:
    starts, ends = ([pair[side] for pair in pairs] for side in (0, 1))
    return {"apply_to_started_s": _spread(starts), "ended_to_over_s": _spread(ends)}


def _spread(seconds: Sequence[float]) -> Mapping[str, float]:
    median = statistics.median(seconds)
    return {"least": round(min(seconds), 2), "median": round(median, 2), "most": round(max(seconds), 2)}


if __name__ == "__main__":
    main()
