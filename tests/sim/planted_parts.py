"""Parts of the operator, and of its way to the world, that are broken in one way each."""

import dataclasses
from collections.abc import Mapping
from random import Random
from typing import Any, override

from serinus import objects
from serinus.asks import EnsureRun, EnsureVersion, ModelVersion, RegistryAsk, ResolveVersion, Run
from serinus.objects import DEPLOYMENT, SERVICE, Manifest, ObjectKind, Ref
from serinus.plan import Apply, Kind, Plan
from serinus.ports import KubeError
from serinus.runtime.executor import Executor
from serinus.runtime.operator import Operator
from serinus.runtime.queue import WorkQueue
from tests.sim.lines import KubeLine, Wire
from tests.sim.lines_registry import RegistryLine
from tests.sim.mlflow import Mlflow

# --- in the way to the API server


@dataclasses.dataclass
class Through:
    """A line to the API server that does as the other; what breaks it overrides one method."""

    line: KubeLine

    async def get(self, ref: Ref) -> Manifest | None:
        """As the port says."""
        return await self.line.get(ref)

    async def list_versions(self, kind: ObjectKind, *, current: bool = False) -> Mapping[Ref, tuple[str, int]]:
        """As the port says."""
        return await self.line.list_versions(kind, current=current)

    async def apply(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """As the port says."""
        return await self.line.apply(kind, manifest)

    async def create(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """As the port says."""
        return await self.line.create(kind, manifest)

    async def replace(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """As the port says."""
        return await self.line.replace(kind, manifest)

    async def delete(self, ref: Ref, uid: str) -> None:
        """As the port says."""
        await self.line.delete(ref, uid)

    async def warning(self, ref: Ref, uid: str) -> str:
        """As the port says."""
        return await self.line.warning(ref, uid)

    async def patch_status(self, ref: Ref, patch: Mapping[str, Any], resource_version: str) -> Manifest:
        """As the port says."""
        return await self.line.patch_status(ref, patch, resource_version)


class StatusWithoutVersion(Through):
    """Status is written over whatever is there."""

    @override
    async def patch_status(self, ref: Ref, patch: Mapping[str, Any], resource_version: str) -> Manifest:
        return await self.line.patch_status(ref, patch, "")


class StatusAnswerForgotten(Through):
    """What was written is not read back: the next pass decides from the status before."""

    @override
    async def patch_status(self, ref: Ref, patch: Mapping[str, Any], resource_version: str) -> Manifest:
        before = await self.line.get(ref)
        await self.line.patch_status(ref, patch, "")
        return before or {}


class NewestGeneration(Through):
    """observedGeneration is that of the object as it is now, not of the one that was looked at."""

    @override
    async def patch_status(self, ref: Ref, patch: Mapping[str, Any], resource_version: str) -> Manifest:
        live = await self.line.get(ref)
        if live is not None:
            patch = {**patch, "observedGeneration": live["metadata"]["generation"]}
        return await self.line.patch_status(ref, patch, "")


class AnyName(Through):
    """Children get a name like those of generateName."""

    def __init__(self, line: KubeLine) -> None:
        super().__init__(line)
        self._random = Random(0)  # noqa: S311 (a simulation has to repeat)

    def _named(self, manifest: Manifest) -> Manifest:
        name = f"{manifest['metadata']['name'][:50]}-{self._random.getrandbits(20):05x}"
        return {**manifest, "metadata": {**manifest["metadata"], "name": name}}

    @override
    async def apply(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        return await self.line.apply(kind, manifest if objects.uid(manifest) else self._named(manifest))

    @override
    async def create(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        return await self.line.create(kind, self._named(manifest))


class AppliesOverAnything(Through):
    """An apply means whatever has the name, and nobody looks before."""

    @override
    async def get(self, ref: Ref) -> Manifest | None:
        return None if ref.kind in (SERVICE, DEPLOYMENT) else await self.line.get(ref)

    @override
    async def apply(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        there = await self.line.get(objects.ref_of(kind, manifest))
        metadata = {**manifest["metadata"], **({"uid": objects.uid(there)} if there else {})}
        return await self.line.apply(kind, {**manifest, "metadata": metadata})


# --- in the way to the registry


class Blind(RegistryLine):
    """A run is made without a look whether it is there."""

    @override
    async def find_run(self, ask: EnsureRun) -> Run | None:
        return None


class BlindToVersions(RegistryLine):
    """A version is made without a look whether it is there."""

    @override
    async def find_version(self, ask: EnsureVersion) -> ModelVersion | None:
        return None


class Polite(RegistryLine):
    """Orders to end a run are answered as if they had been carried out."""

    @override
    async def carry_out(self, ask: RegistryAsk[Any]) -> object:
        if type(ask).__name__ == "EndRun":
            return self.mlflow.change_run(ask.run_id)  # type: ignore[attr-defined]
        return await super().carry_out(ask)


class Remembers(RegistryLine):
    """An alias is resolved once and for all."""

    def __init__(self, wire: Wire, mlflow: Mlflow) -> None:
        super().__init__(wire, mlflow)
        self._known: dict[RegistryAsk[Any], object] = {}

    @override
    async def carry_out(self, ask: RegistryAsk[Any]) -> object:
        if not isinstance(ask, ResolveVersion):
            return await super().carry_out(ask)
        if ask not in self._known:
            self._known[ask] = await super().carry_out(ask)
        return self._known[ask]


# --- in the loop


class Forgetful(WorkQueue[Ref]):
    """What failed is not tried again."""

    @override
    def retry(self, key: Ref, at_least: float = 0.0) -> float:
        return 0.0


class Timeless(WorkQueue[Ref]):
    """`requeue_after` is forgotten; failures are not."""

    @override
    def add_after(self, key: Ref, delay: float) -> None:
        if key in self._failures:
            super().add_after(key, delay)


class Careless(WorkQueue[Ref]):
    """A key that is worked on is given to another worker as well."""

    @override
    async def take(self) -> Ref:
        key = await super().take()
        self._busy.pop(key)
        return key

    @override
    def done(self, key: Ref) -> None:
        """It was never busy."""


class DeletesFirst(Executor):
    """Deletes before it applies: the pods go before the traffic moves."""

    @override
    async def execute(self, kind: Kind[Any], resource: Manifest, plan: Plan) -> Any:
        for delete in plan.delete:
            await self.delete(delete)
        return await super().execute(kind, resource, dataclasses.replace(plan, delete=()))


class GoesOn(Executor):
    """A child that could not be applied does not keep the rest from being done."""

    @override
    async def apply(self, resource: Manifest, apply: Apply) -> Any:
        try:
            return await super().apply(resource, apply)
        except KubeError:
            return None


class TakesOver(Executor):
    """What has the name is ours."""

    @override
    def _must_be_ours(self, *_: object, **__: object) -> None:
        """It is."""


class Impatient(Operator):
    """Starts before it has seen what is there."""

    @override
    async def run(self) -> None:
        self._open.update(self._kinds)
        await super().run()
