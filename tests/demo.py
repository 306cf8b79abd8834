"""`make demo`: from nothing to a registered model on a real cluster, saying at each step what happens."""

import os
import sys

from tests import platform
from tests.cluster import processes, settings, target
from tests.cluster.__main__ import say
from tests.cluster.errors import ClusterError
from tests.cluster.target import Target
from tests.platform import Platform

NAMESPACE = "ml"
JOB = "quickstart"
JOB_SECONDS = 600


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
    say("MLflow and the gateway are ready; now a training job")
    _train(installed)
    print(_report(installed), flush=True)


def _train(installed: Platform) -> None:
    """Run the example as anybody would apply it; anew, if it has run before."""
    kubectl = installed.target.kubectl
    manifests = installed.example("quickstart-job")
    platform.create_namespace(installed.target, NAMESPACE)
    kubectl("delete", "job", JOB, "-n", NAMESPACE, "--ignore-not-found", "--wait")
    kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=manifests)
    said: list[str] = []
    processes.wait_until(lambda: _ended(installed, said), JOB_SECONDS)
    if not _has(installed, "Complete"):
        words = kubectl.try_("logs", f"job/{JOB}", "-n", NAMESPACE, "--tail=20").stdout
        pods = kubectl.try_("describe", "pods", "-l", f"job-name={JOB}", "-n", NAMESPACE).stdout[-1500:]
        raise ClusterError(f"the training job did not complete\n{words or pods}", remedy="what it printed says why")


def _ended(installed: Platform, said: list[str]) -> bool:
    pods = installed.target.kubectl.get("pods", "-l", f"job-name={JOB}", "-n", NAMESPACE)["items"]
    phases = ", ".join(f"{pod['metadata']['name']} is {pod['status']['phase']}" for pod in pods)
    if phases and phases not in said:
        say(phases)
        said.append(phases)
    return _has(installed, "Complete") or _has(installed, "Failed")


def _has(installed: Platform, condition: str) -> bool:
    conditions = installed.target.kubectl.get("job", JOB, "-n", NAMESPACE)["status"].get("conditions", [])
    return any(one["type"] == condition and one["status"] == "True" for one in conditions)


def _report(installed: Platform) -> str:
    """What was done, read back from the registry, and where to look."""
    version = installed.mlflow("registered-models/alias", name="quickstart", alias="challenger")["model_version"]
    run = installed.mlflow("runs/get", run_id=version["run_id"])["run"]
    metrics = ", ".join(f"{metric['key']} {metric['value']:.3f}" for metric in run["data"]["metrics"])
    local = installed.target.local
    lines = [
        "",
        f"A Job trained a scikit-learn model; MLflow has it as models:/quickstart/{version['version']},",
        f"alias challenger, from run {version['run_id']} ({metrics}).",
        "",
        "Look around:",
        '  eval "$(.venv/bin/python -m tests.cluster env)"' if local else "",
        "  kubectl get pods,pvc,gateways -A",
        f"  kubectl logs -n {NAMESPACE} job/{JOB}",
        f"  MLflow: {installed.address('mlflow')}" if local else "",
        f"  MLflow from elsewhere: kubectl port-forward -n {platform.NAMESPACE} service/serinus-mlflow 5000",
        "Remove it all: make cluster-down" if local else "Remove it: helm uninstall -n serinus serinus",
    ]
    return "\n".join(line for index, line in enumerate(lines) if line or index in {0, 3})


if __name__ == "__main__":
    sys.exit(main())
