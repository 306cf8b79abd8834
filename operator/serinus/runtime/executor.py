"""The executor: brings about what a plan decided, in the plan's order, and no more than what differs."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serinus import objects
from serinus.api import names
from serinus.api.scalars import timestamp
from serinus.objects import EVENT, Manifest, Ref
from serinus.plan import Apply, Delete, Event, Kind, Plan
from serinus.ports import Clock, Conflict, Forbidden, Kube, KubeError, Missing, Refused, Unavailable
from serinus.runtime.cache import Cache
from serinus.runtime.settled import contains, is_settled, sealed

log = logging.getLogger(__name__)

# What is left of a name of 253 characters beside a digest.
_NAME_LENGTH = 200


# By these an object says that it is ours, and for which resource.
_OWN_LABELS = (names.Label.MANAGED_BY, names.Label.TRAINING_JOB, names.Label.MODEL_DEPLOYMENT)


class NameTaken(KubeError):
    """An object of that name is there and is not ours: it is reported, and never overwritten."""


class Going(Conflict):
    """A child is on its way out, and may be made anew when it is gone: which may take as long as its node is lost."""


class Untold(Forbidden):
    """The status itself may not be written: that can be said in the log alone."""


@dataclass(frozen=True)
class _Applied:
    """What was applied last to an object, and what became of it by that: the API server may write it otherwise."""

    uid: str
    seal: str
    generation: int


class Executor:
    """Carries out plans. Every effect may fail with a KubeError; what was done until then stays done."""

    def __init__(self, kube: Kube, cache: Cache, clock: Clock) -> None:
        self._kube = kube
        self._cache = cache
        self._clock = clock
        self._applied: dict[Ref, _Applied] = {}
        # By resource: children of which nobody said whether they were made.
        self._unsure: dict[Ref, set[Ref]] = {}

    async def make_sure(self, key: Ref) -> None:
        """See what became of children whose making had no answer: what is planned next may not name them again."""
        for ref in sorted(self._unsure.get(key, ())):
            await self._look(ref)
        self._unsure.pop(key, None)

    def forget(self, key: Ref) -> None:
        """The resource is gone, and its children with it."""
        self._unsure.pop(key, None)

    async def execute(self, kind: Kind[Any], resource: Manifest, plan: Plan) -> bool:
        """Children first, then deletes, then status, then events; whether anything is not as the plan saw it."""
        applied = [await self._applied_for(kind, resource, apply) for apply in plan.apply]
        for delete in plan.delete:
            await self.delete(delete)
        reported = await self.report(kind, resource, plan)
        return any(applied) or reported

    async def _applied_for(self, kind: Kind[Any], resource: Manifest, apply: Apply) -> bool:
        try:
            return await self.apply(resource, apply)
        except Unavailable:
            key = objects.ref_of(kind.object_kind, resource)
            self._unsure.setdefault(key, set()).add(objects.ref_of(apply.kind, apply.manifest))
            raise

    async def apply(self, resource: Manifest, apply: Apply) -> bool:
        """The child is there as wanted; whether it is not as it was."""
        wanted = sealed(apply.manifest)
        ref = objects.ref_of(apply.kind, wanted)
        seen = self._cache.get(ref)
        live = seen or await self._kube.get(ref)
        if live is None:
            self._keep(ref, wanted, await self._kube.apply(apply.kind, wanted))
            return True
        self._must_be_ours(ref, live, wanted, resource)
        if seen is None:
            self._cache.observe(ref.kind, live)
        if self._is_made(apply, live, wanted) or is_settled(live, wanted) or self._was_applied(ref, live, wanted):
            return seen is None
        this = {**wanted, "metadata": {**wanted["metadata"], "uid": objects.uid(live)}}
        self._keep(ref, wanted, await self._kube.apply(apply.kind, this))
        return True

    async def delete(self, delete: Delete) -> None:
        """The child is on its way out."""
        live = self._cache.get(delete.ref)
        if live is None or objects.uid(live) != delete.uid or objects.is_going(live):
            return
        await self._kube.delete(delete.ref, delete.uid)
        self._cache.mark_going(delete.ref, delete.uid, timestamp(self._clock.now()))

    async def report(self, kind: Kind[Any], resource: Manifest, plan: Plan) -> bool:
        """The status is as planned, and what has changed is told; whether anything has changed."""
        patch = difference(resource.get("status") or {}, plan.status.wire())
        if not patch:
            return False
        stored = await self._write_status(objects.ref_of(kind.object_kind, resource), resource, patch)
        for event in plan.events:
            await self._tell(stored, event)
        return True

    async def _write_status(self, ref: Ref, resource: Manifest, patch: Mapping[str, Any]) -> Manifest:
        try:
            stored = await self._kube.patch_status(ref, patch, str(resource["metadata"]["resourceVersion"]))
        except Missing:
            # Or its kind is not served for a while.
            if await self._kube.get(ref) is None:
                self._cache.observe(ref.kind, resource, gone=True)
            raise
        except Conflict:
            await self._look(ref)
            raise
        except (Forbidden, Refused) as error:
            raise Untold(str(error)) from error
        self._cache.observe(ref.kind, stored)
        return stored

    async def _look(self, ref: Ref) -> None:
        """Have the object in the cache as it is now."""
        live = await self._kube.get(ref)
        if live is not None:
            self._cache.observe(ref.kind, live)

    def _must_be_ours(self, ref: Ref, live: Manifest, wanted: Manifest, resource: Manifest) -> None:
        """Ours is what this resource controls, or what bears its labels and is controlled by nobody."""
        owner, mine = objects.controller(live), objects.uid(resource)
        bears_labels = all(objects.labels(live).get(one) == objects.labels(wanted).get(one) for one in _OWN_LABELS)
        if owner != mine and not bears_labels:
            raise NameTaken(
                f"{ref} is there and was not made by the operator: delete or rename it, or rename this resource"
            )
        if owner not in {mine, ""}:
            raise Going(f"{ref} belongs to a predecessor of the same name and is about to go")
        if objects.is_going(live):
            raise Going(f"{ref} is being deleted; it is made anew when it is gone")

    def _is_made(self, apply: Apply, live: Manifest, wanted: Manifest) -> bool:
        """What is made once is left alone, as long as it is ours and its labels let us see it."""
        has_labels = contains(objects.labels(live), objects.labels(wanted))
        return apply.once and objects.controller(live) != "" and has_labels

    def _was_applied(self, ref: Ref, live: Manifest, wanted: Manifest) -> bool:
        seal = objects.annotations(wanted)[names.Annotation.APPLIED]
        return self._applied.get(ref) == _Applied(objects.uid(live), seal, _generation(live))

    def _keep(self, ref: Ref, wanted: Manifest, stored: Manifest) -> None:
        self._cache.observe(ref.kind, stored)
        if is_settled(stored, wanted):
            self._applied.pop(ref, None)
            return
        seal = objects.annotations(wanted)[names.Annotation.APPLIED]
        self._applied[ref] = _Applied(objects.uid(stored), seal, _generation(stored))

    async def _tell(self, resource: Manifest, event: Event) -> None:
        """An event that cannot be told is not worth a retry."""
        try:
            await self._kube.create(EVENT, self._event(resource, event))
        except KubeError as error:
            log.warning("the event %s was not recorded: %s", event.reason, error)

    def _event(self, resource: Manifest, event: Event) -> Manifest:
        """One object for one transition: told twice, it is there once."""
        metadata = resource["metadata"]
        now = timestamp(self._clock.now())
        what = [objects.uid(resource), metadata["resourceVersion"], event.reason, event.message]
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {
                "namespace": metadata["namespace"],
                "name": f"{metadata['name'][:_NAME_LENGTH]}.{objects.digest(what, 16)}",
            },
            "involvedObject": {
                "apiVersion": names.API_VERSION,
                "kind": resource["kind"],
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": objects.uid(resource),
            },
            "type": event.type,
            "reason": event.reason,
            "message": event.message,
            "source": {"component": names.MANAGER},
            "reportingComponent": f"{names.GROUP}/operator",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that makes `after` of `before`; empty if there is nothing to do."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            if nested := difference(old, value):
                patch[key] = nested
        elif key not in before or old != value:
            patch[key] = value
    return patch


def _generation(manifest: Manifest) -> int:
    """What changes when somebody changes the object: a generation where the kind has one."""
    return int(manifest["metadata"].get("generation") or objects.version(manifest))
