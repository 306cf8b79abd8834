"""`make demo`: from nothing to a registered model on a real cluster, saying at each step what happens."""

import os
import sys

from tests import platform
from tests.cluster import settings, target
from tests.cluster.__main__ import say
from tests.cluster.errors import ClusterError
from tests.cluster.target import Target
from tests.platform import Platform

NAMESPACE = "ml"
JOB = "quickstart"


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
    platform.wait_for_job(installed.target, JOB, NAMESPACE)


def _report(installed: Platform) -> str:
    """What was done, read back from the registry, and where to look."""
    version = installed.mlflow("registered-models/alias", name="quickstart", alias="challenger")["model_version"]
    run = installed.mlflow("runs/get", run_id=version["run_id"])["run"]
    metrics = ", ".join(f"{metric['key']} {metric['value']:.3f}" for metric in run["data"]["metrics"])
    return "\n".join(
        [
            "",
            f"A Job trained a scikit-learn model; MLflow has it as models:/quickstart/{version['version']},",
            f"alias challenger, from run {version['run_id']} ({metrics}).",
            "",
            *_where_to_look(installed),
        ]
    )


def _where_to_look(installed: Platform) -> list[str]:
    common = ["  kubectl get pods,pvc,gateways -A", f"  kubectl logs -n {NAMESPACE} job/{JOB}"]
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
