"""What the core needs of the world, as protocols: adapters implement them, and so does the simulator."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from serinus.asks import Answer, PodSamples, RegistryAsk, Scrape, Server
from serinus.objects import Manifest, ObjectKind, Ref


class KubeError(Exception):
    """The API server did not do what it was asked; the message says what and why."""


class Unavailable(KubeError):
    """It did not answer, answered with 5xx or 429: whether the effect took place is unknown. Try again."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Conflict(KubeError):
    """The object is not the one that was meant, or not as it was (409). Look again."""


class Missing(KubeError):
    """The object, its namespace or its kind is not there (404), or the namespace is about to go."""


class Forbidden(KubeError):
    """RBAC, a quota or a namespace that is going forbids it (403)."""


class Refused(KubeError):
    """The API server will not have the object as it is (400, 413, 422)."""


class Kube(Protocol):
    """The API server. Every method raises a KubeError, and each may be called again after one."""

    async def get(self, ref: Ref) -> Manifest | None:
        """The object, read from the store and not from a cache; None if it is not there."""
        ...

    async def list_versions(self, kind: ObjectKind, *, current: bool = False) -> Mapping[Ref, tuple[str, int]]:
        """Of all objects of a kind that we watch: uid and resourceVersion; may be a little old, if not `current`."""
        ...

    async def apply(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """Server-side apply as our field manager; the answer is the object as stored.

        With a uid in its metadata this very object is meant, whoever else has a say in it: Conflict if there is another
        one or none. Without, it is to be made: Conflict if there is one meanwhile of which somebody says otherwise.
        """
        ...

    async def create(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """A new object; Conflict if there is one of that name."""
        ...

    async def replace(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """The whole object anew; Conflict if its resourceVersion is no longer the one in the manifest."""
        ...

    async def delete(self, ref: Ref, uid: str) -> None:
        """This very object goes, with what it owns, in the background; no error if it is not there any more."""
        ...

    async def warning(self, ref: Ref, uid: str) -> str:
        """The newest warning among the events about this very object, in one line; empty without one."""
        ...

    async def patch_status(self, ref: Ref, patch: Mapping[str, Any], resource_version: str) -> Manifest:
        """A merge patch of the status; Conflict if the resourceVersion is no longer this, Missing if it is gone."""
        ...


class Registry(Protocol):
    """MLflow servers. Never raises for what a server does: that is a Trouble in the answer."""

    async def answer(self, server: Server, asks: Sequence[RegistryAsk[Any]]) -> Mapping[RegistryAsk[Any], Answer[Any]]:
        """The answers to asks that are all of this server, in bounded time; orders are carried out in their order."""
        ...


class Metrics(Protocol):
    """What pods count."""

    async def scrape(self, ask: Scrape) -> tuple[PodSamples, ...]:
        """One entry for each pod, in the order of the ask, in bounded time; never raises for what a pod does."""
        ...


class Meter(Protocol):
    """Where the operator counts its own work."""

    def reconciled(self, kind: str, outcome: str, seconds: float) -> None:
        """One pass over one resource; outcome is ok, retried, refused or failed."""
        ...

    def called(self, service: str, operation: str, outcome: str, seconds: float) -> None:
        """One request to kubernetes, mlflow or pods; operation and outcome are from small closed sets."""
        ...


class Clock(Protocol):
    """The time of day. It may jump; for waiting there is the event loop."""

    def now(self) -> datetime:
        """The time, in UTC."""
        ...
