"""One Lease in memory, and lines to it on which calls travel, hang and get lost."""

import asyncio
import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from serinus.objects import LEASE, Manifest, ObjectKind, Ref
from serinus.ports import Conflict, KubeError, Missing, Unavailable

REF = Ref(LEASE, "serinus", "operator")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class Store:
    """The Lease, as an API server keeps it."""

    lease: dict[str, Any] | None = None
    writes: int = 0

    @property
    def spec(self) -> Mapping[str, Any]:
        """What the Lease says now."""
        assert self.lease is not None
        spec: Mapping[str, Any] = self.lease["spec"]
        return spec

    def read(self) -> Manifest | None:
        """A copy of the Lease."""
        return copy.deepcopy(self.lease)

    def create(self, manifest: Manifest) -> Manifest:
        """A new Lease with a uid of its own."""
        if self.lease is not None:
            raise Conflict("already exists")
        return self._write({**manifest, "metadata": {**manifest["metadata"], "uid": f"uid-{self.writes}"}})

    def replace(self, manifest: Manifest) -> Manifest:
        """The Lease anew; a write that changes nothing does not change its version."""
        if self.lease is None:
            raise Missing("not found")
        if manifest["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise Conflict("has been modified")
        return copy.deepcopy(self.lease) if manifest == self.lease else self._write(manifest)

    def edit(self, **spec: object) -> None:
        """Somebody else writes it."""
        assert self.lease is not None
        self._write({**self.lease, "spec": {**self.lease["spec"], **spec}})

    def _write(self, manifest: Manifest) -> Manifest:
        self.writes += 1
        written = copy.deepcopy(dict(manifest))
        written["metadata"]["resourceVersion"] = str(self.writes)
        self.lease = written
        return copy.deepcopy(written)


@dataclass(frozen=True)
class Fate:
    """What becomes of one call: how long it travels each way, and whether it or its answer is lost."""

    there: float = 0.01
    back: float = 0.01
    lost: bool = False
    answer_lost: bool = False
    error: KubeError | None = None


@dataclass
class Line:
    """`ports.Kube` for one candidate; what was sent arrives even if the sender is gone."""

    store: Store
    fate: Callable[[], Fate] = Fate

    async def get(self, ref: Ref) -> Manifest | None:
        """See the port."""
        assert ref == REF
        return await self._call(self.store.read)

    async def create(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """See the port."""
        assert kind == LEASE
        return await self._call(lambda: self.store.create(manifest))

    async def replace(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """See the port."""
        assert kind == LEASE
        return await self._call(lambda: self.store.replace(manifest))

    async def list_versions(self, kind: ObjectKind, *, current: bool = False) -> Mapping[Ref, tuple[str, int]]:
        """Not for elections."""
        raise NotImplementedError

    async def apply(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """Not for elections."""
        raise NotImplementedError

    async def delete(self, ref: Ref, uid: str) -> None:
        """Not for elections."""
        raise NotImplementedError

    async def warning(self, ref: Ref, uid: str) -> str:
        """Not what an elector does."""
        raise NotImplementedError

    async def patch_status(self, ref: Ref, patch: Mapping[str, Any], resource_version: str) -> Manifest:
        """Not for elections."""
        raise NotImplementedError

    async def _call[T](self, effect: Callable[[], T]) -> T:
        loop, fate = asyncio.get_running_loop(), self.fate()
        answer: asyncio.Future[T] = loop.create_future()

        def arrive() -> None:
            try:
                result = effect()
            except KubeError as error:
                loop.call_later(fate.back, _settle, answer, None, error)
            else:
                loop.call_later(fate.back, _settle, answer, result, Unavailable("lost") if fate.answer_lost else None)

        if fate.error is not None:
            raise fate.error
        if not fate.lost:
            loop.call_later(fate.there, arrive)
        return await answer


def _settle(answer: asyncio.Future[Any], result: object, error: KubeError | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)


@dataclass
class Watch:
    """A clock that nobody can rely on: it jumps, and stands still."""

    random: Random | None = None
    moment: datetime = field(default=NOON)

    def now(self) -> datetime:
        """Any time of day."""
        if self.random is not None:
            self.moment += timedelta(seconds=self.random.choice((0, 0, 1e-6, 3, -3600, 7200)))
        return self.moment
