"""The watches. An event is handed on as it is: no I/O, no decision, nothing that could fail."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import kopf

from serinus.api import names
from serinus.api.names import Label
from serinus.objects import Manifest, ObjectKind

# Our children bear this label, and nothing else in the cluster is sent to us.
CHILDREN = f"{Label.MANAGED_BY}={names.MANAGER}"

type Observe = Callable[..., None]


def selectors(kinds: Iterable[ObjectKind]) -> Mapping[ObjectKind, str]:
    """What is watched of each kind: of our own everything, of others what bears our label."""
    return {kind: "" if kind.group == names.GROUP else CHILDREN for kind in kinds}


def registry(kinds: Iterable[ObjectKind], observe: Observe, login: Callable[[], Any]) -> kopf.OperatorRegistry:
    """The handlers: one for each kind, and the login."""
    handlers = kopf.OperatorRegistry()
    _log_in(handlers, login)
    for kind in kinds:
        _watch(handlers, kind, observe)
    return handlers


def _log_in(handlers: kopf.OperatorRegistry, login: Callable[[], Any]) -> None:
    # A coroutine, though it waits for nothing: others are called in a thread, where there is no event loop.
    @kopf.on.login(registry=handlers)
    async def log_in(**_: object) -> Any:  # noqa: ANN401 (one of several types of Kopf's)
        return login()


def _watch(handlers: kopf.OperatorRegistry, kind: ObjectKind, observe: Observe) -> None:
    @kopf.on.event(kind.group, kind.api_version.rpartition("/")[2], kind.plural, id=kind.plural, registry=handlers)
    async def seen(event: Mapping[str, Any], **_: object) -> None:
        manifest: Manifest = event["object"]
        observe(kind, manifest, gone=event["type"] == "DELETED")


def settings(kinds: Iterable[ObjectKind]) -> kopf.OperatorSettings:
    """Kopf as a watcher and no more: no events of its own, no peers, no finalizers, no annotations."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.peering.standalone = True
    chosen.scanning.disabled = True
    # A stream that has said nothing for so long is dead: bookmarks come every minute.
    chosen.watching.inactivity_timeout = 90.0
    chosen.watching.connect_timeout = 10.0
    chosen.persistence.finalizer = f"{names.GROUP}/unused"
    chosen.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=names.GROUP)
    chosen.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=names.GROUP)
    # The workers of objects that are quiet go soon: each is a task.
    chosen.queueing.idle_timeout = 1.0
    for kind, selector in selectors(kinds).items():
        if selector:
            chosen.watching.label_selectors[kind.group, kind.api_version.rpartition("/")[2], kind.plural] = selector
    return chosen
