"""Many resources at once: `python -m tests.bench.scale`. What the operator costs at start, at work and at rest.

A kube-apiserver, its controllers and pretended nodes, and a real MLflow, all on this machine with the operator.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests import crds, process
from tests.bench import tracking
from tests.cluster import cluster, settings
from tests.cluster.kubectl import Kubectl
from tests.cluster.layout import Profile
from tests.process import Operator, seconds_since

MODELS = 20
ON_PRETENDED_NODES = {"spec": {"tolerations": [{"operator": "Exists"}]}}
REST_SECONDS = 60


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, default=2000)
    parser.add_argument("--uv", required=True, help="the uv with which MLflow's environment is made")
    options = parser.parse_args()
    chosen = settings.read(os.environ, name="bench")
    with (
        cluster.borrowed(chosen, Profile.KWOK, print, kwok_nodes=10) as started,
        tempfile.TemporaryDirectory() as folder,
        tracking.mlflow(chosen, options.uv, Path(folder)) as address,
    ):
        print(json.dumps(measure(started.kubectl, address, options.resources, Path(folder)), indent=2))


def measure(kubectl: Kubectl, address: str, number: int, folder: Path) -> Mapping[str, Any]:
    """The report."""
    crds.install(kubectl)
    for model in range(MODELS):
        tracking.register(address, f"model-{model}")
    report: dict[str, Any] = {"resources": number, "idle": _idle(kubectl, address, folder)}
    for group in _chunks(_resources(number), 200):
        kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": group}))
    start = time.monotonic()
    with process.running(str(kubectl.kubeconfig), 18081, folder / "first.log", tracking_uri=address) as first:
        report["start"] = _at_work(kubectl, first, number, start)
        report["rest"] = _at_rest(first)
        report["takeover"] = _takeover(kubectl, address, first, folder)
    return report


def _idle(kubectl: Kubectl, address: str, folder: Path) -> Mapping[str, Any]:
    with process.running(str(kubectl.kubeconfig), 18080, folder / "idle.log", tracking_uri=address) as operator:
        _until(operator.is_ready)
        time.sleep(5)
        return {"memory_mb": round(operator.memory(), 1), "cpu_s": operator.cpu()}


def _at_work(kubectl: Kubectl, operator: Operator, number: int, start: float) -> Mapping[str, Any]:
    _until(operator.is_ready)
    seen = seconds_since(start)
    _until(lambda: _count(kubectl, _has_status) == number)
    status = seconds_since(start)
    _until(lambda: _count(kubectl, _is_settled) == number)
    settled = seconds_since(start)
    requests = operator.requests()
    return {
        "seconds_until_all_seen": seen,
        "seconds_until_all_have_a_status": status,
        "seconds_until_all_settled": settled,
        "cpu_s": operator.cpu(),
        "memory_peak_mb": round(operator.memory("VmHWM"), 1),
        "requests_per_resource": _per_resource(requests, number),
        "requests": {key: int(value) for key, value in sorted(requests.items())},
    }


def _at_rest(operator: Operator) -> Mapping[str, Any]:
    time.sleep(10)
    before, cpu = operator.requests(), operator.cpu()
    time.sleep(REST_SECONDS)
    after = operator.requests()
    made = {key: value - before.get(key, 0) for key, value in after.items()}
    return {
        "requests_per_minute": {key: round(value * 60 / REST_SECONDS, 1) for key, value in made.items() if value},
        "cpu_s_per_minute": round((operator.cpu() - cpu) * 60 / REST_SECONDS, 2),
        "memory_mb": round(operator.memory(), 1),
    }


def _takeover(kubectl: Kubectl, address: str, first: Operator, folder: Path) -> Mapping[str, Any]:
    """The leader is killed; how long until the other has reconciled a resource that was made just then."""
    with process.running(str(kubectl.kubeconfig), 18082, folder / "second.log", tracking_uri=address) as second:
        time.sleep(10)
        first.kill()
        start = time.monotonic()
        kubectl("create", "-f", "-", stdin=json.dumps(_training_job("after-the-kill")))
        _until(second.is_ready)
        ready = seconds_since(start)
        _until(lambda: _has_status(kubectl.get("trainingjob", "after-the-kill")))
        return {"seconds_until_it_leads": ready, "seconds_until_it_reconciled": seconds_since(start)}


def _resources(number: int) -> list[dict[str, Any]]:
    halves = ([_training_job(f"job-{index}") for index in range(number // 2)],)
    return [*halves[0], *(_model_deployment(index) for index in range(number - number // 2))]


def _training_job(name: str) -> dict[str, Any]:
    spec = {"parameters": {"depth": 8}, "podTemplate": ON_PRETENDED_NODES, "tracking": {"experiment": "bench"}}
    return {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def _model_deployment(index: int) -> dict[str, Any]:
    model = {"name": f"model-{index % MODELS}", "alias": "champion"}
    return {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": f"deployment-{index}", "namespace": "default"},
        "spec": {"model": model, "server": {"podTemplate": ON_PRETENDED_NODES}},
    }


def _count(kubectl: Kubectl, wanted: Callable[[Mapping[str, Any]], bool]) -> int:
    """How many resources are as wanted; looked at once a second, for looking costs the same CPUs."""
    time.sleep(1)
    paths = (
        f"/apis/serinus.dev/v1alpha1/{plural}?resourceVersion=0" for plural in ("trainingjobs", "modeldeployments")
    )
    return sum(wanted(one) for path in paths for one in json.loads(kubectl("get", "--raw", path))["items"])


def _has_status(resource: Mapping[str, Any]) -> bool:
    return bool(resource["status"]["observedGeneration"] == resource["metadata"]["generation"])


def _is_settled(resource: Mapping[str, Any]) -> bool:
    conditions = resource["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _per_resource(requests: Mapping[str, float], number: int) -> Mapping[str, float]:
    services = {key.split(" ", 1)[0] for key in requests}
    return {
        service: round(sum(value for key, value in requests.items() if key.startswith(service)) / number, 2)
        for service in sorted(services)
    }


def _until(done: Callable[[], bool], seconds: float = 900.0) -> None:
    limit = time.monotonic() + seconds
    while not done():
        if time.monotonic() > limit:
            raise TimeoutError(f"not done within {seconds:.0f} s")
        time.sleep(0.05)


def _chunks(items: list[Any], size: int) -> list[list[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


if __name__ == "__main__":
    main()
