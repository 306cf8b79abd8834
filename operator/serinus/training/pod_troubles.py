"""Why a pod does not start, where somebody has to do something about it."""

from collections.abc import Iterable

from serinus.api.conditions import Reason
from serinus.objects import Manifest

_REASONS = {
    "ErrImagePull": Reason.IMAGE_PULL_FAILED,
    "ImagePullBackOff": Reason.IMAGE_PULL_FAILED,
    "InvalidImageName": Reason.IMAGE_PULL_FAILED,
    "CreateContainerConfigError": Reason.CONFIGURATION_MISSING,
}


def of(pods: Iterable[Manifest]) -> tuple[Reason, str] | None:
    """The first such trouble, and its words."""
    for pod in pods:
        for container in pod.get("status", {}).get("containerStatuses") or ():
            waiting = container.get("state", {}).get("waiting") or {}
            if reason := _REASONS.get(waiting.get("reason", "")):
                message = waiting.get("message") or waiting["reason"]
                return reason, f"pod {pod['metadata']['name']} does not start: {message}"
    return None
