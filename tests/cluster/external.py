"""A cluster that the user has: nothing is started or stopped, and images go where it can pull them."""

import json

from tests.cluster import kubectl
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl


def find() -> Kubectl:
    """The cluster of the user's kubeconfig, or a ClusterError that says why it is none."""
    client = Kubectl(kubectl.on_path(), None)
    done = client.try_("get", "--raw", "/readyz", "--request-timeout=10s")
    if done.returncode != 0:
        where = client.try_("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}").stdout
        raise ClusterError(
            f"no answer from the cluster of your kubeconfig ({where or 'it names none'}): {done.stderr.strip()}",
            remedy="set KUBECONFIG or `kubectl config use-context` to a cluster that answers `kubectl get nodes`",
        )
    return client


def kind_name(client: Kubectl) -> str:
    """The name of the kind cluster that is in use, or nothing where it is of another make."""
    config = json.loads(client("config", "view", "--minify", "-o", "json"))
    context = str(config["current-context"])
    return context.removeprefix("kind-") if context.startswith("kind-") else ""
