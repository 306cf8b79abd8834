"""Where a ModelDeployment is, and what comes next.

The registry says which version is desired; its pods are started beside those that serve, the Service is led to them
once they are ready, and only then those of before go.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from serinus import objects
from serinus.api.conditions import ConditionType, Reason
from serinus.api.modeldeployment import ModelDeployment
from serinus.api.modeldeployment_status import ResolvedModel, RevisionStatus
from serinus.api.names import Label
from serinus.api.revision import significant
from serinus.asks import Absent, Answer, Known, ModelVersion, ResolveVersion, Server, Trouble, TroubleKind
from serinus.objects import DEPLOYMENT, SERVICE, Manifest
from serinus.plan import Apply, Defaults, Delete, Facts, Plan
from serinus.progress import Said, conditions, progressing, settled, stalled, transitions, updated
from serinus.rollout import manifests


def plan(resource: ModelDeployment, facts: Facts, defaults: Defaults) -> Plan:
    """The next step of a ModelDeployment."""
    return _Step(resource, facts, defaults).plan()


@dataclass(frozen=True)
class _Wanted:
    """The revision that is to serve."""

    version: str
    revision: str
    image: str


class _Step:
    """One look at a ModelDeployment: what was observed, and what follows from it."""

    def __init__(self, resource: ModelDeployment, facts: Facts, defaults: Defaults) -> None:
        self.resource = resource
        self.facts = facts
        self.status = resource.status
        registry = resource.spec.registry
        uri = registry.uri or defaults.tracking_uri
        self.server = Server(uri, resource.metadata.namespace, registry.credentials_secret)
        self.image = resource.spec.server.image or defaults.server_image
        model = resource.spec.model
        self.ask = ResolveVersion(
            server=self.server,
            model=model.name,
            alias=model.alias or "",
            version=model.version or "",
            every=defaults.registry_poll,
        )

    def plan(self) -> Plan:
        """What cannot be resolved leaves what serves alone."""
        if not self.server.uri or not self.image:
            return self._say(stalled(Reason.CONFIGURATION_MISSING, self._missing()))
        answer = self.facts.answer(self.ask)
        if isinstance(answer, Known) and isinstance(answer.value, ModelVersion) and answer.value.ready:
            return self._serve(self._wanted(answer.value.version), self._resolved(answer.value))
        return self._unresolved(answer)

    def _missing(self) -> str:
        if not self.server.uri:
            return "no MLflow server is known: set spec.registry.uri, or SERINUS_TRACKING_URI of the operator"
        return "no image is known: set spec.server.image, or SERINUS_SERVER_IMAGE of the operator"

    def _wanted(self, version: str) -> _Wanted:
        """What was resolved for a revision stays with it; only a new one takes the operator's image of today."""
        revision = objects.digest({"version": version, "server": significant(self.resource.spec.server)})
        stable = self.status.stable
        image = stable.image if stable and stable.revision == revision and stable.image else self.image
        return _Wanted(version, revision, image)

    def _resolved(self, found: ModelVersion) -> ResolvedModel:
        model = self.resource.spec.model
        before = self.status.resolved
        same = before is not None and (before.name, before.version) == (found.model, found.version)
        return ResolvedModel(
            name=found.model,
            alias=model.alias or "",
            version=found.version,
            run_id=found.run_id,
            source=found.source,
            resolved_at=before.resolved_at if before and same else self.facts.now,
        )

    def _unresolved(self, answer: Answer[ModelVersion | Absent] | None) -> Plan:
        """Nothing is known, or nothing good: what serves goes on serving, and is kept as it is."""
        if answer is None and self.status.resolved is None:
            return self._say(progressing(Reason.RESOLVING_MODEL, f"asking {self.server} for the version"))
        if answer is None:
            return self._keep(())
        reason, message = _why_not(answer)
        about = Said(ConditionType.MODEL_RESOLVED, "False", reason, message)
        if self._serving():
            return self._keep((about,))
        if reason == Reason.UNREACHABLE:
            return self._say((*progressing(Reason.RESOLVING_MODEL, message), about))
        return self._say((*stalled(reason, message), about))

    def _keep(self, said: tuple[Said, ...]) -> Plan:
        """Go on with the version that was resolved last."""
        resolved = self.status.resolved
        if resolved is None:
            return self._say(said or progressing(Reason.RESOLVING_MODEL, "asking for the version"))
        return self._serve(self._wanted(resolved.version), resolved, said)

    def _serve(self, wanted: _Wanted, resolved: ResolvedModel, said: tuple[Said, ...] = ()) -> Plan:
        manifest = manifests.deployment(self.resource, wanted.revision, wanted.version, wanted.image, self.server.uri)
        apply = [Apply(DEPLOYMENT, manifest)]
        delete: tuple[Delete, ...] = ()
        ready, total = self._ready(wanted.revision), manifests.replicas(self.resource)
        if ready >= total or self._serving() == wanted.revision:
            apply.append(Apply(SERVICE, manifests.service(self.resource, wanted.revision)))
            delete = self._others(wanted.revision)
        elif self._serving():
            apply.append(Apply(SERVICE, manifests.service(self.resource, self._serving())))
        model = said or (Said(ConditionType.MODEL_RESOLVED, "True", Reason.RESOLVED, f"version {wanted.version}"),)
        told = (*self._progress(wanted, ready, total), *model, *self._available())
        changes = {"resolved": resolved, **self._places(wanted, ready, total)}
        return self._say(told, changes=changes, apply=tuple(apply), delete=delete)

    def _serving(self) -> str:
        """The revision that the Service leads to; empty as long as there is none."""
        service = next(iter(self.facts.of(SERVICE)), None)
        return "" if service is None else str(service["spec"].get("selector", {}).get(Label.REVISION, ""))

    def _deployments(self) -> dict[str, Manifest]:
        return {objects.labels(one).get(Label.REVISION, ""): one for one in self.facts.of(DEPLOYMENT)}

    def _ready(self, revision: str) -> int:
        found = self._deployments().get(revision, {})
        return int(found.get("status", {}).get("readyReplicas") or 0)

    def _others(self, revision: str) -> tuple[Delete, ...]:
        others = [one for label, one in self._deployments().items() if label != revision]
        return tuple(Delete(objects.ref_of(DEPLOYMENT, one), objects.uid(one)) for one in others)

    def _available(self) -> tuple[Said, ...]:
        serving = self._serving()
        ready = self._ready(serving) if serving else 0
        if ready:
            reason, message = Reason.MINIMUM_REPLICAS_AVAILABLE, f"{ready} pods are ready"
            return (Said(ConditionType.AVAILABLE, "True", reason, message),)
        return (Said(ConditionType.AVAILABLE, "False", Reason.NO_READY_REPLICAS, "no pod is ready yet"),)

    def _progress(self, wanted: _Wanted, ready: int, total: int) -> tuple[Said, ...]:
        if ready >= total and self._serving() == wanted.revision:
            return settled(Reason.ROLLOUT_COMPLETE, f"version {wanted.version} serves with {ready} of {total} pods")
        words = f"version {wanted.version} has {ready} of {total} pods ready"
        return progressing(Reason.SCALING, words, ready="False" if self._serving() else "Unknown")

    def _places(self, wanted: _Wanted, ready: int, total: int) -> dict[str, object]:
        serving = self._serving() == wanted.revision
        place = RevisionStatus(
            revision=wanted.revision,
            version=wanted.version,
            image=wanted.image,
            registry_uri=self.server.uri,
            replicas=total,
            ready_replicas=ready,
            weight=100 if serving else 0,
            since=self._since(wanted),
        )
        selector = f"{Label.MODEL_DEPLOYMENT}={self.resource.metadata.name},{Label.REVISION}={wanted.revision}"
        if serving:
            return {"stable": place, "canary": None, "replicas": ready, "selector": selector}
        return {"canary": place}

    def _since(self, wanted: _Wanted) -> datetime:
        places = (self.status.stable, self.status.canary)
        known = (one.since for one in places if one is not None and one.revision == wanted.revision)
        return next(known, None) or self.facts.now

    def _say(
        self,
        said: tuple[Said, ...],
        *,
        changes: Mapping[str, object] | None = None,
        apply: tuple[Apply, ...] = (),
        delete: tuple[Delete, ...] = (),
    ) -> Plan:
        generation = self.resource.metadata.generation
        after = conditions(self.status.conditions, said, generation, self.facts.now)
        truths = {one.type: one.status for one in after}
        status = updated(
            self.status,
            **{
                "observed_generation": generation,
                "phase": _phase(truths),
                "message": said[0].message,
                "conditions": after,
                **(changes or {}),
            },
        )
        events = transitions(self.status.conditions, after)
        return Plan(status=status, apply=apply, delete=delete, events=events, ask=(self.ask,))


def _phase(truths: Mapping[str, str]) -> str:
    if truths.get(ConditionType.STALLED) == "True":
        return "Degraded"
    if truths.get(ConditionType.READY) == "True":
        return "Healthy"
    return "Progressing" if ConditionType.AVAILABLE in truths else "Pending"


_TROUBLES = {
    TroubleKind.UNREACHABLE: Reason.UNREACHABLE,
    TroubleKind.UNAUTHORIZED: Reason.UNAUTHORIZED,
    TroubleKind.CREDENTIALS_MISSING: Reason.UNAUTHORIZED,
    TroubleKind.REFUSED: Reason.VERSION_NOT_FOUND,
}


def _why_not(answer: Answer[ModelVersion | Absent]) -> tuple[Reason, str]:
    if isinstance(answer, Trouble):
        return _TROUBLES[answer.kind], answer.message
    if isinstance(answer.value, Absent):
        return _absent(answer.value)
    return Reason.VERSION_NOT_READY, f"version {answer.value.version} is {answer.value.status}, not READY"


def _absent(absent: Absent) -> tuple[Reason, str]:
    word = absent.what.split(" ", 1)[0]
    reasons = {"model": Reason.MODEL_NOT_FOUND, "alias": Reason.ALIAS_NOT_FOUND}
    return reasons.get(word, Reason.VERSION_NOT_FOUND), f"the registry has no {absent.what}"
