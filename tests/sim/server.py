"""The API server: objects, their versions, and the history of their changes.

Stored objects are never changed in place: every write makes a new one, so that whoever holds an older one keeps it.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from serinus.objects import Manifest, ObjectKind, Ref, is_going, ref_of, uid
from serinus.ports import Conflict, Forbidden, Missing, Refused
from tests.sim.fields import Json, Managers, get, patched
from tests.sim.kinds import OURS, WITHOUT_GENERATION, defaulted, immutable, lingers

START: Final = datetime(2026, 11, 21, 12, tzinfo=UTC)
NAME_LENGTH: Final = 253


@dataclass(frozen=True)
class Change:
    """One change of one object, and who made it."""

    actor: str
    verb: str
    ref: Ref
    before: Manifest | None
    after: Manifest | None
    time: float


class ApiServer:
    """All objects of the cluster; `now` is the virtual time."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.objects: dict[Ref, Manifest] = {}
        self.changes: dict[ObjectKind, list[Change]] = defaultdict(list)
        self.listeners: list[Callable[[Change], None]] = []
        self.namespaces: dict[str, bool] = {}
        self._managers: dict[str, Managers] = {}
        self._written: dict[Ref, str] = {}
        # The resourceVersion of the last change.
        self.version = 0
        self._uids = 0

    # --- reading

    def get(self, ref: Ref) -> Manifest | None:
        """The object as it is now."""
        return self.objects.get(ref)

    def of(self, kind: ObjectKind) -> list[Manifest]:
        """All objects of a kind, by namespace and name."""
        refs = sorted((ref for ref in self.objects if ref.kind is kind or ref.kind == kind), key=Ref.__str__)
        return [self.objects[ref] for ref in refs]

    def snapshot(self, kind: ObjectKind, back: int = 0) -> dict[Ref, Manifest]:
        """All objects of a kind as they were some changes ago."""
        result = {ref: manifest for ref, manifest in self.objects.items() if ref.kind == kind}
        recent = self.changes[kind][len(self.changes[kind]) - back :] if back else []
        for change in reversed(recent):
            if change.before is None:
                result.pop(change.ref, None)
            else:
                result[change.ref] = change.before
        return dict(sorted(result.items(), key=lambda item: str(item[0])))

    def recent(self, kind: ObjectKind, seconds: float) -> int:
        """How many changes of a kind there were in the last seconds."""
        since, changes = self.now() - seconds, self.changes[kind]
        return next((count for count, one in enumerate(reversed(changes)) if one.time < since), len(changes))

    def altered(self) -> list[Ref]:
        """Objects that somebody changed in memory instead of writing them."""
        return [ref for ref, text in self._written.items() if json.dumps(self.objects[ref]) != text]

    # --- writing

    def create(self, actor: str, kind: ObjectKind, manifest: Mapping[str, Any]) -> Manifest:
        """A new object."""
        ref = self._admitted(kind, manifest)
        if ref in self.objects:
            raise Conflict(f"{ref} already exists")
        self._uids += 1
        uid = f"uid-{self._uids}"
        body = defaulted(kind, manifest, uid)
        body["metadata"] = {**manifest["metadata"], "uid": uid, "creationTimestamp": self._stamp()}
        body.pop("status", None)
        if kind in OURS:
            body["status"] = {"observedGeneration": -1}
        self._managers[uid] = Managers()
        self._managers[uid].edit(_updater(actor), {}, manifest)
        return self._commit(actor, "create", ref, body)

    def apply(self, actor: str, kind: ObjectKind, manifest: Mapping[str, Any]) -> Manifest:
        """Server-side apply with the actor as the field manager, forced where it names the very object."""
        ref = ref_of(kind, manifest)
        wanted = uid(manifest)
        current = self.objects.get(ref)
        if wanted and (current is None or uid(current) != wanted):
            raise Conflict(f"{ref} has not the uid {wanted}")
        if current is None:
            made = self.create(actor, kind, manifest)
            self._managers[uid(made)] = Managers()
            self._managers[uid(made)].apply(_applier(actor), {}, _without_servers(manifest))
            return made
        self._check_version(ref, current, str(manifest["metadata"].get("resourceVersion") or ""))
        clashes = self._managers[uid(current)].conflicts(_applier(actor), current, _without_servers(manifest))
        if clashes and not wanted:
            raise Conflict(f"{ref} has other managers of {clashes}")
        body = self._managers[uid(current)].apply(_applier(actor), current, _without_servers(manifest))
        return self._update(actor, "apply", ref, body)

    def replace(self, actor: str, kind: ObjectKind, manifest: Mapping[str, Any]) -> Manifest:
        """The whole object anew, but for its status."""
        ref = ref_of(kind, manifest)
        current = self._existing(ref)
        self._check_version(ref, current, str(manifest["metadata"].get("resourceVersion") or ""))
        body = {**manifest, "metadata": {**current["metadata"], **manifest["metadata"]}}
        if "status" in current:
            body["status"] = current["status"]
        self._managers[uid(current)].edit(_updater(actor), current, body)
        return self._update(actor, "replace", ref, body)

    def patch(self, actor: str, ref: Ref, patch: Mapping[str, Any]) -> Manifest:
        """A merge patch of everything but the status."""
        current = self._existing(ref)
        body = patched(current, {key: value for key, value in patch.items() if key != "status"})
        self._managers[uid(current)].edit(_updater(actor), current, body)
        return self._update(actor, "patch", ref, body)

    def patch_status(self, actor: str, ref: Ref, patch: Json, version: str = "") -> Manifest:
        """A merge patch of the status."""
        current = self._existing(ref)
        self._check_version(ref, current, version)
        return self._update(actor, "status", ref, {**current, "status": patched(current.get("status"), patch)})

    def put_status(self, actor: str, ref: Ref, status: Json) -> Manifest:
        """The whole status anew, as a controller of Kubernetes or a restore writes it."""
        return self._update(actor, "status", ref, {**self._existing(ref), "status": status})

    def delete(self, actor: str, ref: Ref, uid_: str = "", *, foreground: bool = False, at_last: bool = False) -> None:
        """The object goes: at once, or when all that it owns is gone, or when whoever it lingers for lets it go."""
        current = self.objects.get(ref)
        if current is None:
            return
        if uid_ and uid(current) != uid_:
            raise Conflict(f"{ref} has not the uid {uid_}")
        slowly = (foreground or lingers(ref.kind, current)) and not at_last
        if slowly and not is_going(current):
            metadata = {**current["metadata"], "deletionTimestamp": self._stamp()}
            self._update(actor, "delete slowly", ref, {**current, "metadata": metadata})
        elif not slowly:
            self._managers.pop(uid(current))
            self._commit(actor, "delete", ref, None)

    # --- inside

    def _update(self, actor: str, verb: str, ref: Ref, body: Mapping[str, Any]) -> Manifest:
        current = self.objects[ref]
        if body == current:
            return current
        wrong = immutable(ref.kind, current, body)
        if wrong:
            raise Refused(f"{ref}: {wrong}: field is immutable")
        return self._commit(actor, verb, ref, body)

    def _commit(self, actor: str, verb: str, ref: Ref, body: Mapping[str, Any] | None) -> Manifest:
        before = self.objects.get(ref)
        self.version += 1
        stored = self._stored(ref, before, body if body is not None else self.objects[ref])
        if body is None:
            del self.objects[ref], self._written[ref]
        else:
            self.objects[ref] = stored
            self._written[ref] = json.dumps(stored)
        change = Change(
            actor, verb, ref, stored if body is None else before, None if body is None else stored, self.now()
        )
        self.changes[ref.kind].append(change)
        for listener in self.listeners:
            listener(change)
        return stored

    def _stored(self, ref: Ref, before: Manifest | None, body: Mapping[str, Any]) -> dict[str, Any]:
        metadata = {**body["metadata"], "resourceVersion": str(self.version)}
        if ref.kind not in WITHOUT_GENERATION:
            generation = get(before, "metadata", "generation") or 0
            metadata["generation"] = generation + int(before is None or _desired(before) != _desired(body))
        return {**body, "apiVersion": ref.kind.api_version, "kind": ref.kind.kind, "metadata": metadata}

    def _admitted(self, kind: ObjectKind, manifest: Mapping[str, Any]) -> Ref:
        ref = ref_of(kind, manifest)
        if ref.namespace not in self.namespaces:
            raise Missing(f"namespace {ref.namespace} not found")
        if not self.namespaces[ref.namespace]:
            raise Forbidden(f"{ref}: namespace {ref.namespace} is being terminated")
        if not 0 < len(ref.name) <= NAME_LENGTH:
            raise Refused(f"{ref}: metadata.name: must have 1 to {NAME_LENGTH} characters")
        return ref

    def _existing(self, ref: Ref) -> Manifest:
        current = self.objects.get(ref)
        if current is None:
            raise Missing(f"{ref} not found")
        return current

    @staticmethod
    def _check_version(ref: Ref, current: Manifest, version: str) -> None:
        if version and version != current["metadata"]["resourceVersion"]:
            raise Conflict(f"{ref} is no longer at version {version}")

    @staticmethod
    def time(now: float) -> str:
        """A time as the server writes it, without parts of a second."""
        return (START + timedelta(seconds=int(now))).isoformat().replace("+00:00", "Z")

    def _stamp(self) -> str:
        return self.time(self.now())


def _applier(actor: str) -> str:
    """The field manager of somebody who applies: every incarnation of the operator is the same."""
    return actor.partition("-")[0]


def _updater(actor: str) -> str:
    """Likewise of somebody who creates, replaces or patches: to the API server that is another manager."""
    return f"{_applier(actor)}, updating"


def _without_servers(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody applies, less what only the server says."""
    servers = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in servers}
    return {**{key: value for key, value in manifest.items() if key != "status"}, "metadata": metadata}


def _desired(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a generation counts: everything but metadata and status."""
    return {key: value for key, value in manifest.items() if key not in {"metadata", "status", "apiVersion", "kind"}}
