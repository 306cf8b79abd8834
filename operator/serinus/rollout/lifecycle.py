"""Where a ModelDeployment is, and what comes next.

The registry says which version is desired; its pods are started beside those that serve, the Service is led to them
once they are ready, and only then those of before go.
"""

from collections.abc import Mapping
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
from serinus.progress import Said, Truth, conditions, progressing, settled, stalled, transitions, updated
from serinus.rollout import manifests
from serinus.rollout.manifests import Revision

_UNBUILT_OF_SERVER = ("autoscaling", "environment", "batching")


def plan(resource: ModelDeployment, facts: Facts, defaults: Defaults) -> Plan:
    """The next step of a ModelDeployment."""
    return _Step(resource, facts, defaults).plan()


class _Step:
    """One look at a ModelDeployment: what was observed, and what follows from it."""

    def __init__(self, resource: ModelDeployment, facts: Facts, defaults: Defaults) -> None:
        self.resource = resource
        self.facts = facts
        self.status = resource.status
        registry = resource.spec.registry
        uri = registry.uri or defaults.tracking_uri
        self.server = Server.of(uri, resource.metadata.namespace, registry.credentials_secret)
        self.image = resource.spec.server.image or defaults.server_image
        model = resource.spec.model
        self._model = model.name
        self.ask = ResolveVersion(
            server=self.server,
            model=model.name,
            alias=model.alias or "",
            version=model.version or "",
            every=defaults.registry_poll,
        )

    def plan(self) -> Plan:
        """What cannot be resolved leaves what serves alone."""
        if unbuilt := self._unbuilt():
            message = f"{', '.join(unbuilt)}: not built yet in this version of the operator; leave it out"
            return self._say(stalled(Reason.INVALID_SPEC, message))
        if not self.server.uri or not self.image:
            return self._say(stalled(Reason.CONFIGURATION_MISSING, self._missing()))
        answer = self.facts.answer(self.ask)
        if isinstance(answer, Known) and isinstance(answer.value, ModelVersion) and answer.value.ready:
            version = answer.value.version
            about = Said(ConditionType.MODEL_RESOLVED, "True", Reason.RESOLVED, f"version {version}")
            return self._serve(self._revision(self._model, version), self._resolved(answer.value), (about,))
        return self._unresolved(answer)

    def _unbuilt(self) -> list[str]:
        """What the spec asks for and this version does not do: a careful rollout must not become a careless one."""
        spec = self.resource.spec.wire()
        found = [f"spec.{field}" for field in ("traffic", "rollout") if spec.get(field)]
        server = spec.get("server") or {}
        return found + [f"spec.server.{field}" for field in _UNBUILT_OF_SERVER if server.get(field)]

    def _missing(self) -> str:
        if not self.server.uri:
            return "no MLflow server is known: set spec.registry.uri, or SERINUS_TRACKING_URI of the operator"
        return "no image is known: set spec.server.image, or SERINUS_SERVER_IMAGE of the operator"

    def _revision(self, model: str, version: str) -> Revision:
        """What was resolved for a revision stays with it; only a new one takes what the operator says today."""
        what = {
            "model": model,
            "version": version,
            "registry": self.resource.spec.registry.uri,
            "server": significant(self.resource.spec.server),
        }
        identity = objects.digest(what)
        places = (self.status.stable, self.status.canary)
        kept = next((one for one in places if one is not None and one.revision == identity), None)
        image, registry = (kept.image, kept.registry_uri) if kept else ("", "")
        return Revision(identity, model, version, image or self.image, registry or self.server.uri)

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
        if answer is None and self.status.observed_generation == self.resource.metadata.generation:
            # It comes in a moment, and what was said of this spec holds until then.
            return Plan(status=self.status, ask=(self.ask,))
        if answer is None:
            ready: Truth = "False" if self._serving() else "Unknown"
            return self._say(progressing(Reason.RESOLVING_MODEL, f"asking {self.server} for the version", ready))
        reason, message = _why_not(answer)
        about = Said(ConditionType.MODEL_RESOLVED, "False", reason, message)
        if self._serving() or self._stable_there() or self.status.canary:
            return self._keep((about,))
        if reason == Reason.UNREACHABLE:
            return self._say((*progressing(Reason.RESOLVING_MODEL, message), about))
        return self._say((*stalled(reason, message), about))

    def _keep(self, said: tuple[Said, ...]) -> Plan:
        """Go on with the version that was resolved last."""
        resolved = self.status.resolved
        if resolved is None:
            return self._say((*progressing(Reason.RESOLVING_MODEL, "asking for the version"), *said))
        return self._serve(self._revision(resolved.name, resolved.version), resolved, said)

    def _serve(self, wanted: Revision, resolved: ResolvedModel, said: tuple[Said, ...]) -> Plan:
        """The pods that are wanted are there, beside those that serve, until the Service leads to them."""
        ready, total = self._ready(wanted.id), manifests.replicas(self.resource)
        before = self._serving() or self._stable_there()
        serving = wanted.id if ready >= total or before == wanted.id else before
        # What serves comes first: the API server may refuse what is new.
        wants = [Apply(DEPLOYMENT, manifests.deployment(self.resource, one)) for one in self._kept(wanted)]
        if serving:
            wants.append(Apply(SERVICE, manifests.service(self.resource, serving)))
        wants.append(Apply(DEPLOYMENT, manifests.deployment(self.resource, wanted)))
        # Those of before go when the Service was seen to lead elsewhere, not in the moment in which it is moved.
        delete = self._others(wanted.id) if self._serving() == wanted.id else ()
        told = (*self._progress(wanted, ready, total), *said, *self._available())
        changes = {"resolved": resolved, **self._places(wanted, ready, total)}
        return self._say(told, changes=changes, apply=tuple(wants), delete=delete)

    def _kept(self, wanted: Revision) -> tuple[Revision, ...]:
        """The revision that serves, as far as the spec still says what it is: it is kept as it was until it goes."""
        stable = self.status.stable
        if stable is None or wanted.id in {stable.revision, self._serving()}:
            return ()
        same = self._revision(self._model, stable.version)
        return (same,) if same.id == stable.revision else ()

    def _serving(self) -> str:
        """The revision that the Service leads to; empty as long as there is none."""
        service = next(iter(self.facts.of(SERVICE)), None)
        return "" if service is None else str(service["spec"].get("selector", {}).get(Label.REVISION, ""))

    def _stable_there(self) -> str:
        """Who served before the Service was lost."""
        stable = self.status.stable
        return stable.revision if stable and stable.revision in self._deployments() else ""

    def _deployments(self) -> dict[str, Manifest]:
        """Those that stay; one that is going may still count ready pods."""
        stay = (one for one in self.facts.of(DEPLOYMENT) if not objects.is_going(one))
        return {objects.labels(one).get(Label.REVISION, ""): one for one in stay}

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

    def _progress(self, wanted: Revision, ready: int, total: int) -> tuple[Said, ...]:
        if ready >= total and self._serving() == wanted.id:
            return settled(Reason.ROLLOUT_COMPLETE, f"version {wanted.version} serves with {ready} of {total} pods")
        words = f"version {wanted.version} has {ready} of {total} pods ready"
        return progressing(Reason.SCALING, words, ready="False" if self._serving() else "Unknown")

    def _places(self, wanted: Revision, ready: int, total: int) -> dict[str, object]:
        serving = self._serving() == wanted.id
        place = RevisionStatus(
            revision=wanted.id,
            version=wanted.version,
            image=wanted.image,
            registry_uri=wanted.registry,
            replicas=total,
            ready_replicas=ready,
            weight=100 if serving else 0,
            since=self._since(wanted),
        )
        selector = f"{Label.MODEL_DEPLOYMENT}={self.resource.metadata.name},{Label.REVISION}={wanted.id}"
        if serving:
            return {"stable": place, "canary": None, "replicas": ready, "selector": selector}
        return {"canary": place}

    def _since(self, wanted: Revision) -> datetime:
        places = (self.status.stable, self.status.canary)
        known = (one.since for one in places if one is not None and one.revision == wanted.id)
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
        return Plan(
            status=status, apply=apply, delete=delete, events=events, ask=(self.ask,) if self.server.uri else ()
        )


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
