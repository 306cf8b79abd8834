"""The ports that the adapter needs, small enough to be seen through."""

import base64
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from serinus.objects import SECRET, Manifest, ObjectKind, Ref
from serinus.ports import KubeError


class WallClock:
    """The time of day."""

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.now(UTC)


@dataclass
class Counting:
    """A meter that remembers what was called."""

    calls: list[tuple[str, str]] = field(default_factory=list)

    def reconciled(self, kind: str, outcome: str, seconds: float) -> None:
        """Nothing is reconciled here."""

    def called(self, service: str, operation: str, outcome: str, seconds: float) -> None:
        """Remember the call."""
        assert service == "mlflow"
        assert seconds >= 0
        self.calls.append((operation, outcome))

    def operations(self) -> Counter[str]:
        """How often each operation was called."""
        return Counter(operation for operation, _ in self.calls)


@dataclass
class Secrets:
    """An API server that has Secrets and nothing else; or that fails, if it has an error."""

    secrets: dict[Ref, Manifest] = field(default_factory=dict)
    error: KubeError | None = None
    reads: int = 0

    def put(self, namespace: str, name: str, values: Mapping[str, str]) -> None:
        """Store a Secret as Kubernetes has it."""
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        ref = Ref(SECRET, namespace, name)
        self.secrets[ref] = {"metadata": {"namespace": namespace, "name": name}, "data": data}

    async def get(self, ref: Ref) -> Manifest | None:
        """A Secret."""
        self.reads += 1
        if self.error is not None:
            raise self.error
        return self.secrets.get(ref)

    async def list_versions(self, kind: ObjectKind, *, current: bool = False) -> Mapping[Ref, tuple[str, int]]:
        """Not for this adapter."""
        raise NotImplementedError(kind)

    async def apply(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """Not for this adapter."""
        raise NotImplementedError(kind, manifest)

    async def create(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """Not for this adapter."""
        raise NotImplementedError(kind, manifest)

    async def replace(self, kind: ObjectKind, manifest: Manifest) -> Manifest:
        """Not for this adapter."""
        raise NotImplementedError(kind, manifest)

    async def delete(self, ref: Ref, uid: str) -> None:
        """Not for this adapter."""
        raise NotImplementedError(ref, uid)

    async def warning(self, ref: Ref, uid: str) -> str:
        """Not for this adapter."""
        raise NotImplementedError(ref, uid)

    async def patch_status(self, ref: Ref, patch: Mapping[str, Any], resource_version: str) -> Manifest:
        """Not for this adapter."""
        raise NotImplementedError(ref, patch, resource_version)
