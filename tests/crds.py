"""Our definitions on a cluster."""

from tests.cluster.kubectl import Kubectl
from tests.cluster.settings import CHECKOUT

FOLDER = CHECKOUT / "crds"


def install(kubectl: Kubectl) -> None:
    """Install them as they are in the checkout, and wait until they are served."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(FOLDER))
    kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(FOLDER))
