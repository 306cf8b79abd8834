"""`make demo`: from nothing to a model that answers on a real cluster, saying at each step what happens."""

import os
import sys

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
    """What was done, read back from the registry, and where to look."""
    version = installed.mlflow("registered-models/alias", name=NAME, alias="champion")["model_version"]
    run = installed.mlflow("runs/get", run_id=version["run_id"])["run"]
    metrics = ", ".join(f"{metric['key']} {metric['value']:.3f}" for metric in run["data"]["metrics"])
    return "\n".join(
        [
            "",
            f"A TrainingJob trained a model that passed its gate, in MLflow models:/{NAME}/{version['version']},",
            f"alias champion, from run {version['run_id']} ({metrics}).",
            f"A ModelDeployment follows the alias; in the cluster it answers at http://{NAME}.{NAMESPACE}/invocations.",
            "",
            *_where_to_look(installed),
        ]
    )


def _where_to_look(installed: Platform) -> list[str]:
    common = [
        f"  kubectl get -n {NAMESPACE} trainingjobs,modeldeployments,pods",
        f"  kubectl describe -n {NAMESPACE} modeldeployment/{NAME}",
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
