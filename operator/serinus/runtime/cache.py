"""What the watches have shown: our resources, and the children by the resource that they are for.

A cache may be behind, and never goes back: an older state of an object does not replace a newer one, whichever comes
last, and an object that is gone does not come back by a late event about it. Our own writes are observed too, so that
what was decided from a status is never decided again from the status before.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from serinus import objects
from serinus.api import names
from serinus.objects import Manifest, ObjectKind, Ref
from serinus.plan import Kind

_GRAVES = 10_000


class Cache:
    """Objects as last seen; `observe` says which resources are to be looked at again."""

    def __init__(self, kinds: Sequence[Kind[Any]]) -> None:
        self._kinds = kinds
        self._resources = {kind.object_kind for kind in kinds}
        self._objects: dict[Ref, Manifest] = {}
        self._children: dict[Ref, dict[Ref, Manifest]] = {}
        # Of what is gone, by uid: the last version that there was, or in which it was of our concern.
        self._graves: OrderedDict[str, int] = OrderedDict()

    @property
    def watched(self) -> tuple[ObjectKind, ...]:
        """Every kind of object that belongs here."""
        children = {child for kind in self._kinds for child in kind.children}
        return tuple(sorted({*self._resources, *children}))

    def get(self, ref: Ref) -> Manifest | None:
        """The object as last seen."""
        return self._objects.get(ref)

    def children(self, key: Ref) -> Iterable[Manifest]:
        """The objects that name this resource as what they are for; the name alone proves nothing."""
        return tuple(self._children.get(key, {}).values())

    def versions(self, kind: ObjectKind) -> Mapping[Ref, tuple[str, int]]:
        """Of every object of a kind: uid and resourceVersion."""
        return {ref: (objects.uid(one), objects.version(one)) for ref, one in self._objects.items() if ref.kind == kind}

    def count(self, kind: ObjectKind) -> int:
        """How many objects of a kind there are."""
        return sum(ref.kind == kind for ref in self._objects)

    def knows(self, ref: Ref, uid: str, version: int) -> bool:
        """Whether the object was observed in this version or a later one, be it gone by now."""
        there = self._objects.get(ref)
        is_there = there is not None and objects.uid(there) == uid and objects.version(there) >= version
        return is_there or self._graves.get(uid, -1) >= version

    def observe(self, kind: ObjectKind, manifest: Manifest, *, gone: bool = False) -> frozenset[Ref]:
        """Take in a state of an object; the resources that it concerns, none if it is no news."""
        ref, uid, version = objects.ref_of(kind, manifest), objects.uid(manifest), objects.version(manifest)
        before = self._objects.get(ref)
        if gone:
            return self._bury(ref, uid, version, before)
        if self._graves.get(uid, -1) >= version or (before is not None and objects.version(before) >= version):
            return frozenset()
        if before is not None and objects.uid(before) != uid:
            self._dig(objects.uid(before), version)
        trimmed = _trimmed(ref.kind in self._resources, ref.kind, manifest)
        self._put(ref, before, trimmed)
        return frozenset({*self._concerned(ref, trimmed), *(self._concerned(ref, before) if before else ())})

    def mark_going(self, ref: Ref, uid: str, now: str) -> None:
        """A delete was accepted: until its event comes the object counts as going."""
        there = self._objects.get(ref)
        if there is not None and objects.uid(there) == uid and not objects.is_going(there):
            self._put(ref, there, {**there, "metadata": {**there["metadata"], "deletionTimestamp": now}})

    def _bury(self, ref: Ref, uid: str, version: int, before: Manifest | None) -> frozenset[Ref]:
        """Gone, or without our labels: then it may come back, in a later version."""
        self._dig(uid, version)
        if before is None or objects.uid(before) != uid or objects.version(before) > version:
            return frozenset()
        del self._objects[ref]
        concerned = self._concerned(ref, before)
        self._unlink(ref, before)
        return concerned

    def _dig(self, uid: str, version: int) -> None:
        self._graves[uid] = max(version, self._graves.get(uid, -1))
        if len(self._graves) > _GRAVES:
            self._graves.popitem(last=False)

    def _put(self, ref: Ref, before: Manifest | None, after: Manifest) -> None:
        if before is not None:
            self._unlink(ref, before)
        self._objects[ref] = after
        for owner in self._owners(ref, after):
            self._children.setdefault(owner, {})[ref] = after

    def _unlink(self, ref: Ref, manifest: Manifest) -> None:
        for owner in self._owners(ref, manifest):
            siblings = self._children.get(owner, {})
            siblings.pop(ref, None)
            if not siblings:
                self._children.pop(owner, None)

    def _concerned(self, ref: Ref, manifest: Manifest) -> frozenset[Ref]:
        return frozenset({ref}) if ref.kind in self._resources else frozenset(self._owners(ref, manifest))

    def _owners(self, ref: Ref, manifest: Manifest) -> tuple[Ref, ...]:
        labels = objects.labels(manifest)
        return tuple(
            Ref(kind.object_kind, ref.namespace, labels[kind.label])
            for kind in self._kinds
            if ref.kind in kind.children and kind.label in labels
        )


def _trimmed(is_resource: bool, kind: ObjectKind, manifest: Manifest) -> Manifest:  # noqa: FBT001 (it is what it is)
    """What decisions need of an object: of our resources no annotations but ours, of pods no more than how they do."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
    if "annotations" in metadata and (is_resource or kind == objects.POD):
        ours = {key: value for key, value in metadata["annotations"].items() if key.startswith(f"{names.GROUP}/")}
        metadata["annotations"] = ours
    if kind == objects.POD:
        spec = {"nodeName": manifest.get("spec", {}).get("nodeName", "")}
        return {"kind": kind.kind, "metadata": metadata, "spec": spec, "status": manifest.get("status", {})}
    return {**manifest, "kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
