"""What Kubernetes itself does: collects what has lost its owner, keeps Deployments going, and protects volumes."""

from collections.abc import Callable

from serinus import objects
from serinus.objects import DEPLOYMENT, POD, PVC, Manifest, Ref, ref_of
from tests.sim.fields import Json, get
from tests.sim.kinds import KINDS
from tests.sim.server import ApiServer, Change
from tests.sim.stage import Stage

TEMPLATE_HASH = "pod-template-hash"
_NOBODYS: Manifest = {"metadata": {}}


class Collector:
    """The garbage collector: what a deleted object controlled goes, and so does what is born without its owner."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._server = stage.server

    def seen(self, change: Change) -> None:
        """Take note of a change."""
        if change.after is None or change.verb == "delete slowly":
            self._collect(objects.uid(change.before or {}))
        owned_by = objects.controller(change.before or _NOBODYS)
        if owned_by and (change.after is None or objects.controller(change.after) != owned_by):
            # It is gone, or was taken from its owner, who may have waited for it.
            self._finish(owned_by)
        if change.after is None:
            return
        if objects.controller(change.after) not in {"", owned_by}:
            # It is new, or was given to somebody, who may be gone.
            self._collect(objects.controller(change.after))
        if change.verb == "delete slowly":
            self._finish(objects.uid(change.after))

    def _collect(self, owner: str) -> None:
        self._stage.later(0.01, 2.0, lambda: self._delete_children(owner))

    def _delete_children(self, owner: str) -> None:
        lives = self._of(owner)
        if lives is None or objects.is_going(lives):
            for child in self._children(owner):
                self._server.delete("collector", ref_of(KINDS[child["kind"]], child), objects.uid(child))

    def _finish(self, owner: str) -> None:
        self._stage.later(0.01, 1.0, lambda: self._finish_if_alone(owner))

    def _finish_if_alone(self, owner: str) -> None:
        lives = self._of(owner)
        if lives is None or lives["kind"] in {POD.kind, PVC.kind}:
            return
        if objects.is_going(lives) and not self._children(owner):
            self._server.delete("collector", ref_of(KINDS[lives["kind"]], lives), owner)

    def _of(self, uid: str) -> Manifest | None:
        return next((one for one in self._server.objects.values() if objects.uid(one) == uid), None)

    def _children(self, owner: str) -> list[Manifest]:
        return [one for one in self._server.objects.values() if objects.controller(one) == owner]


class Protector:
    """Keeps a claim that is being deleted until no pod has it any more. A pod that is lost has it for ever."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._server = stage.server

    def seen(self, change: Change) -> None:
        """Take note of a change."""
        if change.ref.kind in (PVC, POD):
            for claim in self._server.of(PVC):
                if objects.is_going(claim):
                    ref = ref_of(PVC, claim)
                    self._stage.once_later(("claim", ref), 1.0, lambda ref=ref: self._look(ref))  # type: ignore[misc]

    def _look(self, ref: Ref) -> None:
        claim = self._server.get(ref)
        if claim is not None and objects.is_going(claim) and not any(map(self._has(ref), self._server.of(POD))):
            self._server.delete("protector", ref, at_last=True)

    @staticmethod
    def _has(ref: Ref) -> Callable[[Manifest], bool]:
        """Whether a pod that may still run has the claim."""

        def has(pod: Manifest) -> bool:
            volumes = get(pod, "spec", "volumes") or ()
            claims = {get(one, "persistentVolumeClaim", "claimName") for one in volumes}
            return ref.name in claims and get(pod, "status", "phase") not in {"Succeeded", "Failed"}

        return has


class Deployments:
    """Looks at each Deployment after each change of it or of its pods."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._server = stage.server

    def seen(self, change: Change) -> None:
        """Take note of a change."""
        manifest = change.after or change.before or {}
        if change.ref.kind == DEPLOYMENT:
            self._look_later(change.ref)
        elif change.ref.kind == POD:
            for owner in manifest["metadata"].get("ownerReferences") or ():
                if owner["kind"] == DEPLOYMENT.kind:
                    self._look_later(Ref(DEPLOYMENT, change.ref.namespace, owner["name"]))

    def _look_later(self, ref: Ref) -> None:
        self._stage.once_later(("workload", ref), 0.5, lambda: self._look(ref))

    def _look(self, ref: Ref) -> None:
        live = self._server.get(ref)
        if live is None or objects.is_going(live):
            return
        pods = [pod for pod in self._server.of(POD) if objects.controller(pod) == objects.uid(live)]
        self._deployment(ref, live, pods)

    def _put(self, ref: Ref, live: Manifest, status: Json) -> None:
        if live.get("status") != status:
            self._server.put_status(f"{ref.kind.plural}", ref, status)

    def _deployment(self, ref: Ref, live: Manifest, pods: list[Manifest]) -> None:
        template, wanted = live["spec"].get("template", {}), live["spec"].get("replicas", 1)
        now = objects.digest(template)
        current = [pod for pod in pods if objects.labels(pod).get(TEMPLATE_HASH) == now]
        old = [pod for pod in pods if objects.labels(pod).get(TEMPLATE_HASH) != now]
        for number in range(wanted - len(current)):
            suffix = objects.digest(f"{now}-{self._server.now():.3f}-{number}", 5)
            make_pod(self._server, live, template, suffix, {TEMPLATE_HASH: now})
        ready = [pod for pod in current if is_ready(pod)]
        done = len(ready) >= wanted
        for pod in (old if done else []) + current[wanted:]:
            self._server.delete("deployments", ref_of(POD, pod), objects.uid(pod))
        count = len([pod for pod in pods if is_ready(pod)])
        status = {
            "observedGeneration": live["metadata"]["generation"],
            "replicas": max(len(pods), wanted),
            "updatedReplicas": wanted,
            "readyReplicas": count,
            "availableReplicas": count,
            "unavailableReplicas": max(0, wanted - count),
            "conditions": [{"type": "Available", "status": "True" if count >= wanted else "False"}],
        }
        self._put(ref, live, {key: value for key, value in status.items() if value != 0})


def make_pod(server: ApiServer, owner: Manifest, template: Manifest, suffix: str, labels: dict[str, str]) -> None:
    """A pod of a workload, unless its name is taken or its namespace is going."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": objects.uid(owner),
        "controller": True,
    }
    metadata = {
        "name": f"{owner['metadata']['name']}-{suffix}",
        "namespace": owner["metadata"]["namespace"],
        "labels": {**(get(template, "metadata", "labels") or {}), **labels},
        "annotations": get(template, "metadata", "annotations") or {},
        "ownerReferences": [reference],
    }
    ref = Ref(POD, metadata["namespace"], metadata["name"])
    if server.namespaces.get(ref.namespace) and ref not in server.objects:
        server.create("controller", POD, {"metadata": metadata, "spec": get(template, "spec") or {}})


def is_ready(pod: Manifest) -> bool:
    """Whether a pod takes requests."""
    conditions = get(pod, "status", "conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def job_end(job: Manifest) -> str:
    """How a Job has ended: Complete, Failed, or not yet."""
    conditions = get(job, "status", "conditions") or ()
    ends = (one["type"] for one in conditions if one["type"] in {"Complete", "Failed"} and one["status"] == "True")
    return next(ends, "")
