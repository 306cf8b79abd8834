"""`make demo`: from nothing to a model that answers on a real cluster, saying at each step what happens."""

import os
import sys
from collections.abc import Mapping
from typing import Any

from tests import platform
from tests.cluster import processes, settings, target
from tests.cluster.__main__ import say
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl
from tests.cluster.target import Target
from tests.platform import EXAMPLES, Platform

NAMESPACE = "ml"
NAME = "breast-cancer"
SECONDS = 600
# What the spec of the example sets, and what its code logs.
PARAMETERS = ("seeds", "strength")
METRICS = {"val_f1": "the mean over the seeds", "seed_f1": "of the last seed", "training_score": "of the model itself"}


def main() -> int:
    """Run the story; 0 where it ended well."""
    try:
        _tell(target.up(settings.read(os.environ), say))
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _tell(where: Target) -> None:
    installed = platform.install(where)
    say("the operator, MLflow and the gateway are ready; now a TrainingJob and a ModelDeployment")
    kubectl = installed.target.kubectl
    platform.create_namespace(where, NAMESPACE)
    kubectl("apply", "-n", NAMESPACE, "-k", str(EXAMPLES / "quickstart"))
    _follow(kubectl, f"trainingjob/{NAME}", "Complete")
    status = kubectl.get(f"trainingjob/{NAME}", "-n", NAMESPACE)["status"]
    if status["phase"] != "Succeeded":
        raise ClusterError(
            f"the TrainingJob is {status['phase']}: {status['message']}", remedy="look at its metrics in MLflow"
        )
    _follow(kubectl, f"modeldeployment/{NAME}", "Ready")
    print(_report(installed), flush=True)


def _follow(kubectl: Kubectl, resource: str, condition: str) -> None:
    """Wait for a condition, and say each thing that its resource says on the way."""
    said: set[str] = set()

    def reached() -> bool:
        status = kubectl.get(resource, "-n", NAMESPACE)["status"]
        message = f"{resource}: {status.get('message', 'is new')}"
        if message not in said:
            say(message)
            said.add(message)
        return any(one["type"] == condition and one["status"] == "True" for one in status.get("conditions", []))

    if not processes.wait_until(reached, SECONDS):
        raise ClusterError(f"{resource} is not {condition}", remedy=f"kubectl describe -n {NAMESPACE} {resource}")


def _report(installed: Platform) -> str:
    """What was done, read back from the registry and from the cluster, and where to look."""
    kubectl = installed.target.kubectl
    status = kubectl.get(f"trainingjob/{NAME}", "-n", NAMESPACE)["status"]
    run = installed.mlflow("runs/get", run_id=status["run"]["id"])["run"]
    registered = status["registered"]
    version = installed.mlflow("registered-models/alias", name=NAME, alias=registered["alias"])["model_version"]
    return "\n".join(
        [
            "",
            f"A TrainingJob trained with {_params(run)} and passed its gate:",
            f"  run      {run['info']['run_id']}, {run['info']['status']}",
            *_metrics(run),
            f"  gate     {status['gate']['summary']}",
            f"  version  models:/{NAME}/{version['version']}",
            f"  alias    models:/{NAME}@{registered['alias']}, which points at version {version['version']}",
            f"A ModelDeployment follows the alias; in the cluster it answers at http://{NAME}.{NAMESPACE}/invocations.",
            "",
            f"$ kubectl get tj -n {NAMESPACE}",
            kubectl("get", "tj", "-n", NAMESPACE).rstrip(),
            "",
            *_where_to_look(installed),
        ]
    )


def _params(run: Mapping[str, Any]) -> str:
    """What the spec says; autologging adds every setting of every estimator."""
    params = {one["key"]: one["value"] for one in run["data"]["params"]}
    return ", ".join(f"{name} {params[name]}" for name in PARAMETERS)


def _metrics(run: Mapping[str, Any]) -> list[str]:
    metrics = {one["key"]: one["value"] for one in run["data"]["metrics"]}
    return [
        f"  metric   {name} {metrics[name]:.4f}{', ' + meaning if meaning else ''}" for name, meaning in METRICS.items()
    ]


def _where_to_look(installed: Platform) -> list[str]:
    common = [
        f"  kubectl get -n {NAMESPACE} trainingjobs,modeldeployments,pods",
        f"  kubectl describe -n {NAMESPACE} trainingjob/{NAME} modeldeployment/{NAME}",
    ]
    if installed.target.local is None:
        forward = f"  kubectl port-forward -n {platform.NAMESPACE} service/serinus-mlflow 5000    # then http://localhost:5000"
        return ["Look around:", *common, forward, "Remove it: helm uninstall -n serinus serinus"]
    return [
        "Look around:",
        '  eval "$(.venv/bin/python -m tests.cluster env)"',
        *common,
        f"  MLflow, in a browser on this machine: {installed.address('mlflow')}",
        "Remove it all: make cluster-down",
    ]


if __name__ == "__main__":
    sys.exit(main())
