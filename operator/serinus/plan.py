"""Plan: what one reconcile decided, and Facts: what it decided from. Both are values; nothing here has an effect."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from serinus.api.modeldeployment_status import ModelDeploymentStatus
from serinus.api.resource import Resource
from serinus.api.trainingjob_status import TrainingJobStatus
from serinus.asks import Answer, Ask, Pairs, Run, RunEnd, Server
from serinus.objects import Manifest, ObjectKind, Ref, kind_of

type Status = TrainingJobStatus | ModelDeploymentStatus


@dataclass(frozen=True)
class Defaults:
    """What the operator's settings say where a resource is silent; a revision records what it took from here."""

    tracking_uri: str = ""
    trainer_image: str = ""
    server_image: str = ""
    registry_poll: timedelta = timedelta(seconds=30)
    # What tells this cluster from others that log to the same server; empty if it is not known.
    cluster: str = ""
    # Where it looks after resources; empty: everywhere.
    namespaces: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What is known about the world around one resource."""

    now: datetime
    children: tuple[Manifest, ...] = ()
    answers: Mapping[Ask[Any], Answer[Any]] = field(default_factory=dict)

    def answer[T](self, ask: Ask[T]) -> Answer[T] | None:
        """The answer to an ask, or None as long as there is none. An answer is only kept for those who keep asking."""
        return self.answers.get(ask)

    def of(self, kind: ObjectKind) -> tuple[Manifest, ...]:
        """The children of one kind, by name."""
        chosen = (child for child in self.children if child["kind"] == kind.kind)
        return tuple(sorted(chosen, key=lambda child: str(child["metadata"]["name"])))


@dataclass(frozen=True)
class Apply:
    """A child as it should be. One that is made `once` is left alone when it is there: its kind cannot be changed."""

    kind: ObjectKind
    manifest: Manifest
    once: bool = False


@dataclass(frozen=True)
class Delete:
    """A child that should go: this very one, and not its successor of the same name."""

    ref: Ref
    uid: str


@dataclass(frozen=True)
class Event:
    """A transition that is worth a line in `kubectl describe`."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class Plan:
    """What is to be done for one resource, in the order of the fields.

    First the children are applied, in their order, and only if all of them succeeded some are deleted: traffic moves
    before pods go. Then status is written, if it differs, and only when that has succeeded the events are emitted and
    the asks take effect: an order to the registry is never given from a stale status.
    """

    status: Status
    apply: tuple[Apply, ...] = ()
    delete: tuple[Delete, ...] = ()
    events: tuple[Event, ...] = ()
    ask: tuple[Ask[Any], ...] = ()
    requeue_after: timedelta | None = None


@dataclass(frozen=True)
class Owned:
    """A resource as it was last seen, and the children that are for it."""

    resource: Manifest
    children: tuple[Manifest, ...] = ()


@dataclass(frozen=True, order=True)
class Gone:
    """That a resource is not there any more, be there another one of its name: what can be made sure of."""

    ref: Ref
    uid: str


@dataclass(frozen=True)
class Orphan:
    """A run that nobody works on, and the end that it is to get.

    Either because a resource is gone; or, without one, as it looks: that may be a moment in the life of a resource, and
    counts when it still looks so after a while.
    """

    run_id: str
    end: RunEnd
    tags: Pairs = ()
    because: Gone | None = None


@dataclass(frozen=True)
class Leftovers:
    """What a kind may leave open in the registry when nobody plans for a resource any more; all three are pure."""

    # On which servers the runs of a resource may be.
    servers: Callable[[Manifest, Defaults], tuple[Server, ...]]
    # Whether a resource that goes now may leave something behind.
    may_leave: Callable[[Manifest], bool]
    # Of the open runs of a server the orphans, given everything that there is, by uid.
    orphans: Callable[[Iterable[Run], Mapping[str, Owned], Defaults], tuple[Orphan, ...]]


@dataclass(frozen=True)
class Kind[R: Resource]:
    """One of our kinds, as the runtime needs to know it: nothing else there is about a kind."""

    resource: type[R]
    status: type[TrainingJobStatus] | type[ModelDeploymentStatus]
    # What its children are, and the label by which they name the resource that they are for.
    children: tuple[ObjectKind, ...]
    label: str
    plan: Callable[[R, Facts, Defaults], Plan]
    leftovers: Leftovers | None = None

    @property
    def object_kind(self) -> ObjectKind:
        """The kind of object that its resources are."""
        return kind_of(self.resource)
