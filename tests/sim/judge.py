"""Invariants of what the operator does to objects, checked with every change it makes."""

from typing import Final

from serinus import objects
from serinus.api.names import MANAGER, RESOURCE_NAME_LENGTH, Label
from serinus.objects import DEPLOYMENT, JOB, SERVICE, Manifest, ObjectKind, Ref
from tests.sim.fields import get
from tests.sim.judge_jobs import JobJudge
from tests.sim.judge_status import StatusJudge
from tests.sim.judge_training import TrainingJudge
from tests.sim.kinds import CHILDREN, KINDS, OURS
from tests.sim.ledger import Ledger
from tests.sim.mlflow import Mlflow
from tests.sim.pods import reached
from tests.sim.server import Change
from tests.sim.stage import Stage

OPERATOR: Final = "operator"
LABEL_LENGTH: Final = 63
# A pass takes this long at most, so the operator may act upon what it saw so long ago.
A_PASS: Final = 75.0
LABEL_OF: Final = {"TrainingJob": Label.TRAINING_JOB, "ModelDeployment": Label.MODEL_DEPLOYMENT}


class Judge:
    """Sees every change, and says what must never be."""

    def __init__(self, stage: Stage, mlflow: Mlflow, ledger: Ledger) -> None:
        self._stage = stage
        self._mlflow = mlflow
        self._fail = stage.story.fail
        self._training = TrainingJudge(mlflow, ledger, self._fail)
        self._jobs = JobJudge(stage, mlflow, ledger, self._training)
        self._status = StatusJudge(stage, mlflow, self._training)
        self._made: set[str] = set()
        # When the operator last saw ready pods, by their labels.
        self._seen_ready: dict[frozenset[tuple[str, str]], float] = {}
        self._moved_by_user: set[str] = set()
        mlflow.listeners.append(self._registry)

    def seen(self, change: Change) -> None:
        """One change of one object."""
        if change.verb != "status" or change.actor.startswith(OPERATOR):
            metadata = (change.after or change.before or {})["metadata"]
            self._stage.story.tell(change.actor, change.verb, change.ref, f"is at {metadata['resourceVersion']}")
        if not change.actor.startswith(OPERATOR):
            self._note_user(change)
        elif change.ref.kind in OURS:
            self._resource(change)
        else:
            self._child(change)

    def knows_nothing(self) -> None:
        """A new process of the operator."""
        self._jobs.knows_nothing()

    def shown(self, kind: ObjectKind, manifest: Manifest, gone: bool = False) -> None:  # noqa: FBT001, FBT002 (a feed's)
        """The operator sees an object."""
        self._jobs.shown(kind, manifest, gone=gone)
        if kind == DEPLOYMENT and get(manifest, "status", "readyReplicas"):
            labels = get(manifest, "spec", "template", "metadata", "labels") or {}
            self._seen_ready[frozenset(labels.items())] = self._stage.now

    def answered(self, manifest: Manifest) -> None:
        """The operator gets an object for an answer."""
        self.shown(KINDS[manifest["kind"]], manifest)

    # --- who wrote what

    def _note_user(self, change: Change) -> None:
        if change.ref.kind == SERVICE and change.after is not None:
            self._moved_by_user.add(objects.uid(change.after))

    def _resource(self, change: Change) -> None:
        if change.verb != "status" or change.after is None:
            self._fail(f"the operator writes to what is the user's: {change.verb} {change.ref}")
        elif change.before is not None:
            self._status.check(change.ref, change.before, change.after)

    def _child(self, change: Change) -> None:
        if change.ref.kind not in CHILDREN:
            self._fail(f"the operator writes to what is not its business: {change.verb} {change.ref}")
        if change.before is not None:
            self._was_ours(change.ref, change.before, change.after)
        if change.after is None or change.verb == "delete slowly":
            self._deleted(change.ref, change.before or {})
            return
        if change.before is None:
            self._made.add(objects.uid(change.after))
        self._is_ours(change.ref, change.after)
        if change.ref.kind == JOB and change.before is None:
            self._jobs.made(change.ref, change.after)
        if change.ref.kind == SERVICE:
            self._traffic(change.ref, change.before, change.after)
            self._moved_by_user.discard(objects.uid(change.after))

    def _was_ours(self, ref: Ref, before: Manifest, after: Manifest | None) -> None:
        if objects.uid(before) not in self._made and objects.labels(before).get(Label.MANAGED_BY) != MANAGER:
            self._fail(f"{ref} is somebody else's, and the operator {'deletes' if after is None else 'changes'} it")
        owner = objects.controller(before)
        if after is not None and owner and objects.controller(after) != owner:
            self._fail(f"{ref} belonged to {owner}, and the operator gives it to {objects.controller(after)}")

    def _is_ours(self, ref: Ref, after: Manifest) -> None:
        labels = objects.labels(after)
        owner: Manifest = next(iter(after["metadata"].get("ownerReferences") or ()), {})
        name = labels.get(LABEL_OF.get(owner.get("kind", ""), ""), "")
        if len(ref.name) > LABEL_LENGTH:
            self._fail(f"{ref} has a name of {len(ref.name)} characters")
        if not owner.get("uid") or not owner.get("controller"):
            self._fail(f"{ref} has no owner: it would outlive its resource")
        if labels.get(Label.MANAGED_BY) != MANAGER or not name or len(name) > RESOURCE_NAME_LENGTH:
            self._fail(f"{ref} lacks a label by which it is found again: {dict(labels)}")

    # --- traffic

    def _traffic(self, ref: Ref, before: Manifest | None, after: Manifest) -> None:
        """Traffic is never taken from ready pods to none; what was seen ready within one pass counts as ready."""
        old, new = get(before, "spec", "selector"), get(after, "spec", "selector")
        if before is None or old == new or not reached(self._stage, before) or reached(self._stage, after):
            return
        wanted = set((new or {}).items())
        last = max((when for labels, when in self._seen_ready.items() if wanted and wanted <= labels), default=-A_PASS)
        if self._stage.now - last >= A_PASS:
            self._fail(f"{ref} takes the traffic from ready pods {old} to none {new}")

    def _deleted(self, ref: Ref, before: Manifest) -> None:
        if ref.kind != DEPLOYMENT:
            return
        for service in self._stage.server.of(SERVICE):
            mine = objects.controller(service) == objects.controller(before)
            selector = get(service, "spec", "selector") or {}
            if mine and _serves(before, selector) and objects.uid(service) not in self._moved_by_user:
                self._fail(f"{ref} is deleted while {service['metadata']['name']} sends traffic to it")

    # --- the registry

    def _registry(self, what: str) -> None:
        self._training.registry(what)
        for key, count in self._mlflow.keys().items():
            if key and count > 1:
                self._fail(f"there are {count} runs with the key {key} ({what})")
        for (model, key), count in self._mlflow.version_counts().items():
            if count > 1:
                self._fail(f"there are {count} versions of {model} with the key {key} ({what})")


def _serves(deployment: Manifest, selector: Manifest) -> bool:
    """Whether a Service with this selector sends traffic to the pods of the Deployment."""
    labels = get(deployment, "spec", "template", "metadata", "labels") or {}
    return bool(selector) and selector.items() <= labels.items()
