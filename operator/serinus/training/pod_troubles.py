"""Why a pod does not start: where somebody has to do something about it, and where it only takes time."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from serinus.api.conditions import Reason
from serinus.api.scalars import parsed_time
from serinus.objects import Manifest

# An image may take its time; a volume that is missing does not come by itself.
_LONG: Final = timedelta(seconds=20)

_REASONS = {
    "ErrImagePull": Reason.IMAGE_PULL_FAILED,
    "ImagePullBackOff": Reason.IMAGE_PULL_FAILED,
    "InvalidImageName": Reason.IMAGE_PULL_FAILED,
    "ErrImageNeverPull": Reason.IMAGE_PULL_FAILED,
    "CreateContainerConfigError": Reason.CONFIGURATION_MISSING,
}


def of(pods: Iterable[Manifest]) -> tuple[Reason, str] | None:
    """The first such trouble, and its words."""
    for pod in pods:
        for container in _containers(pod):
            waiting = container.get("state", {}).get("waiting") or {}
            if reason := _REASONS.get(waiting.get("reason", "")):
                message = waiting.get("message") or waiting["reason"]
                return reason, f"pod {pod['metadata']['name']} does not start: {message}"
    return None


def waiting(pods: Iterable[Manifest]) -> str:
    """Why the scheduler has no node for a pod, in its words; empty if it has."""
    for pod in pods:
        for one in pod.get("status", {}).get("conditions") or ():
            if one["type"] == "PodScheduled" and one["status"] == "False" and one.get("message"):
                return f"pod {pod['metadata']['name']} waits for a node: {one['message']}"
    return ""


def _containers(pod: Manifest) -> Iterator[Mapping[str, Any]]:
    status = pod.get("status", {})
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def patience(pod: Manifest, now: datetime) -> timedelta:
    """For how long it is no wonder that a pod with a node has not started."""
    since = parsed_time(pod.get("status", {}).get("startTime"))
    return max((since or now) + _LONG - now, timedelta())


def is_preparing(pod: Manifest, now: datetime) -> bool:
    """Whether a pod has had a node for a while, and its containers still wait, as for a volume."""
    status = pod.get("status", {})
    waits = any("waiting" in (one.get("state") or {}) for one in _containers(pod))
    busy = any("running" in (one.get("state") or {}) for one in _containers(pod))
    return status.get("phase") == "Pending" and waits and not busy and not patience(pod, now)


def reason_of(warning: str) -> Reason | None:
    """What somebody has to do something about, by the words of a warning; None where time may help."""
    if "exceeded quota" in warning:
        return Reason.QUOTA_EXCEEDED
    if "forbidden" in warning:
        return Reason.FORBIDDEN
    return Reason.CONFIGURATION_MISSING if "not found" in warning else None
