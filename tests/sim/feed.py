"""What the operator gets to see of the API server: one watch for each kind, as late and as broken as watches are.

Of one object the states come in their order, but some are left out and some come twice. After a broken connection
all that is there is listed anew: what was deleted meanwhile just does not come. A server that lags behind may even
list what was there a moment ago; then the changes since follow, once more. Only the first list of a process is always
that of the store, for it is asked for without a version.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from serinus.objects import POD, Manifest, ObjectKind, Ref
from tests.sim.kinds import watched
from tests.sim.server import Change
from tests.sim.stage import Stage

# How long a broken connection stays so.
BROKEN_FOR: Final = (0.5, 60.0)


class Observer(Protocol):
    """Who is told, as the operator is."""

    def observe(self, kind: ObjectKind, manifest: Manifest, *, gone: bool = False) -> None:
        """Something was seen of an object."""
        ...


type Seen = Callable[[ObjectKind, Manifest, bool], None]


class Watch:
    """The watch of one kind, for one incarnation of the operator."""

    def __init__(self, stage: Stage, kind: ObjectKind, observe: Seen) -> None:
        self._stage = stage
        self._kind = kind
        self._observe = observe
        self._position = 0
        self._is_first = True
        self._connected = False
        self._stopped = False
        self._deliver_later = False
        stage.later(0.0, stage.weather.lag, self._list)

    def stop(self) -> None:
        """Nobody listens any more."""
        self._stopped = True

    def changed(self) -> None:
        """There is something new."""
        if self._connected and not self._deliver_later:
            self._deliver_later = True
            self._stage.later(0.0, self._stage.weather.lag, self._deliver)

    def _list(self) -> None:
        if self._stopped:
            return
        stage = self._stage
        back = 0 if self._is_first else stage.behind(self._kind)
        self._is_first = False
        listed = [one for one in stage.server.snapshot(self._kind, back).values() if watched(self._kind, one)]
        stage.random.shuffle(listed)
        self._position = len(stage.server.changes[self._kind]) - back
        self._connected = True
        for one in listed:
            self._observe(self._kind, one, False)  # noqa: FBT003 (as the operator's own)
        self.changed()

    def _deliver(self) -> None:
        self._deliver_later = False
        if self._stopped or not self._connected:
            return
        stage, changes = self._stage, self._stage.server.changes[self._kind]
        if stage.chance(stage.weather.disconnected):
            self._connected = False
            stage.story.tell("watch", "breaks", self._kind.plural)
            stage.later(*BROKEN_FOR, self._list)
            return
        new = changes[self._position :]
        some = new[: stage.random.randint(1, len(new))] if new else []
        self._position += len(some)
        for change in self._thinned(some):
            self._tell(change)
            if stage.chance(stage.weather.doubled):
                self._tell(change)
        if self._position < len(changes):
            self.changed()

    def _thinned(self, changes: Sequence[Change]) -> Sequence[Change]:
        """Of what comes together, only the last state of each object, now and then."""
        if not self._stage.chance(self._stage.weather.skipped):
            return changes
        last: dict[tuple[Ref, Any], Change] = {}
        for change in changes:
            uid = (change.after or change.before or {})["metadata"]["uid"]
            last.pop((change.ref, uid), None)
            last[change.ref, uid] = change
        return tuple(last.values())

    def _tell(self, change: Change) -> None:
        """As a watch with a label selector: what no longer has the label is gone."""
        if watched(self._kind, change.after) and change.after is not None:
            self._observe(self._kind, change.after, False)  # noqa: FBT003 (as the operator's own)
        elif watched(self._kind, change.before):
            self._observe(self._kind, change.after or change.before or {}, True)  # noqa: FBT003 (likewise)


class Feed:
    """All watches of one incarnation."""

    def __init__(self, stage: Stage, kinds: Sequence[ObjectKind], observer: Observer, seen: Seen) -> None:
        self._observer = observer
        self._seen = seen
        self._watches = {kind: Watch(stage, kind, self._observe) for kind in kinds}
        self._story = stage.story

    def changed(self, change: Change) -> None:
        """Something is new at the API server."""
        watch = self._watches.get(change.ref.kind)
        if watch is not None:
            watch.changed()

    def stop(self) -> None:
        """The operator is dead."""
        for watch in self._watches.values():
            watch.stop()

    def _observe(self, kind: ObjectKind, manifest: Manifest, gone: bool) -> None:  # noqa: FBT001 (as the operator's own)
        version = manifest["metadata"]["resourceVersion"]
        if kind != POD:
            what = "sees gone" if gone else "sees"
            self._story.tell("watch", what, f"{kind.kind} {manifest['metadata']['name']}", f"at {version}")
        self._seen(kind, manifest, gone)
        self._observer.observe(kind, manifest, gone=gone)
