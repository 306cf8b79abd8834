"""What Kubernetes itself does: collects what has lost its owner, and keeps Deployments and Jobs going."""

from serinus import objects
from serinus.objects import DEPLOYMENT, JOB, POD, Manifest, Ref, ref_of
from tests.sim.fields import Json, get
from tests.sim.kinds import KINDS
from tests.sim.server import Change
from tests.sim.stage import Stage

TEMPLATE_HASH = "pod-template-hash"


class Collector:
    """The garbage collector: what a deleted object controlled goes, and so does what is born without its owner."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._server = stage.server

    def seen(self, change: Change) -> None:
        """Take note of a change."""
        if change.after is None or change.verb == "delete slowly":
            self._collect(objects.uid(change.before or {}))
        if change.after is None:
            self._finish(objects.controller(change.before or {}))
        elif change.before is None and (owner := objects.controller(change.after)):
            self._collect(owner)
        if change.verb == "delete slowly" and change.after is not None:
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
        if lives is not None and objects.is_going(lives) and not self._children(owner):
            self._server.delete("collector", ref_of(KINDS[lives["kind"]], lives), owner)

    def _of(self, uid: str) -> Manifest | None:
        return next((one for one in self._server.objects.values() if objects.uid(one) == uid), None)

    def _children(self, owner: str) -> list[Manifest]:
        return [one for one in self._server.objects.values() if objects.controller(one) == owner]


class Workloads:
    """What Deployments and Jobs have in common: they are looked at after each change of them or of their pods."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._server = stage.server

    def seen(self, change: Change) -> None:
        """Take note of a change."""
        manifest = change.after or change.before or {}
        if change.ref.kind in (DEPLOYMENT, JOB):
            self._look_later(change.ref)
        elif change.ref.kind == POD:
            for owner in manifest["metadata"].get("ownerReferences") or ():
                self._look_later(Ref(KINDS[owner["kind"]], change.ref.namespace, owner["name"]))

    def _look_later(self, ref: Ref) -> None:
        self._stage.once_later(("workload", ref), 0.5, lambda: self._look(ref))

    def _look(self, ref: Ref) -> None:
        live = self._server.get(ref)
        if live is None or objects.is_going(live):
            return
        pods = [pod for pod in self._server.of(POD) if objects.controller(pod) == objects.uid(live)]
        if ref.kind == DEPLOYMENT:
            self._deployment(ref, live, pods)
        else:
            self._job(ref, live, pods)

    def _put(self, ref: Ref, live: Manifest, status: Json) -> None:
        if live.get("status") != status:
            self._server.put_status(f"{ref.kind.plural}", ref, status)

    # --- Deployments

    def _deployment(self, ref: Ref, live: Manifest, pods: list[Manifest]) -> None:
        template, wanted = live["spec"].get("template", {}), live["spec"].get("replicas", 1)
        now = objects.digest(template)
        current = [pod for pod in pods if objects.labels(pod).get(TEMPLATE_HASH) == now]
        old = [pod for pod in pods if objects.labels(pod).get(TEMPLATE_HASH) != now]
        for number in range(wanted - len(current)):
            self._make_pod(live, template, f"{now}-{self._server.now():.3f}-{number}", {TEMPLATE_HASH: now})
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

    # --- Jobs

    def _job(self, ref: Ref, live: Manifest, pods: list[Manifest]) -> None:
        if job_end(live):
            return
        spec, ended = live["spec"], {"Succeeded": 0, "Failed": 0}
        for pod in pods:
            ended[get(pod, "status", "phase") or ""] = ended.get(get(pod, "status", "phase") or "", 0) + 1
        active = [pod for pod in pods if get(pod, "status", "phase") not in {"Succeeded", "Failed"}]
        if spec.get("suspend"):
            for pod in active:
                self._server.delete("jobs", ref_of(POD, pod), objects.uid(pod))
            self._put(ref, live, {"conditions": [_condition("Suspended", "JobSuspended")]})
        elif ended["Succeeded"]:
            self._end(ref, live, "SuccessCriteriaMet", "Complete", "CompletionsReached")
        elif ended["Failed"] > spec.get("backoffLimit", 6):
            self._end(ref, live, "FailureTarget", "Failed", "BackoffLimitExceeded")
        else:
            self._go_on(ref, live, active, ended["Failed"])

    def _go_on(self, ref: Ref, live: Manifest, active: list[Manifest], failed: int) -> None:
        if not active:
            labels = {"batch.kubernetes.io/job-name": ref.name, "batch.kubernetes.io/controller-uid": objects.uid(live)}
            self._make_pod(live, live["spec"].get("template", {}), f"{self._server.now():.3f}", labels)
        ready = sum(get(pod, "status", "phase") == "Running" for pod in active)
        started = get(live, "status", "startTime") or live["metadata"]["creationTimestamp"]
        status = {"startTime": started, "active": 1, "ready": ready, "failed": failed}
        self._put(ref, live, {key: value for key, value in status.items() if value != 0})

    def _end(self, ref: Ref, live: Manifest, first: str, last: str, reason: str) -> None:
        """In two steps, as the Job controller does: first it is decided, and then it is over."""
        conditions = get(live, "status", "conditions") or []
        started = get(live, "status", "startTime") or live["metadata"]["creationTimestamp"]
        counts = {"succeeded" if last == "Complete" else "failed": 1, "startTime": started}
        if not any(one["type"] == first for one in conditions):
            self._put(ref, live, {**counts, "conditions": [_condition(first, reason)]})
        else:
            self._put(ref, live, {**counts, "conditions": [*conditions, _condition(last, reason)]})
            ttl = live["spec"].get("ttlSecondsAfterFinished")
            if ttl is not None:
                self._stage.later(ttl, ttl + 1.0, lambda: self._server.delete("ttl", ref, objects.uid(live)))

    # --- both

    def _make_pod(self, owner: Manifest, template: Manifest, suffix: str, labels: dict[str, str]) -> None:
        metadata = {
            "name": f"{owner['metadata']['name']}-{objects.digest(suffix, 5)}",
            "namespace": owner["metadata"]["namespace"],
            "labels": {**(get(template, "metadata", "labels") or {}), **labels},
            "annotations": get(template, "metadata", "annotations") or {},
            "ownerReferences": [
                {
                    "apiVersion": owner["apiVersion"],
                    "kind": owner["kind"],
                    "name": owner["metadata"]["name"],
                    "uid": objects.uid(owner),
                    "controller": True,
                }
            ],
        }
        if (
            self._server.namespaces.get(metadata["namespace"])
            and Ref(POD, metadata["namespace"], metadata["name"]) not in self._server.objects
        ):
            self._server.create("controller", POD, {"metadata": metadata, "spec": get(template, "spec") or {}})


def is_ready(pod: Manifest) -> bool:
    """Whether a pod takes requests."""
    conditions = get(pod, "status", "conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def job_end(job: Manifest) -> str:
    """How a Job has ended: Complete, Failed, or not yet."""
    conditions = get(job, "status", "conditions") or ()
    ends = (one["type"] for one in conditions if one["type"] in {"Complete", "Failed"} and one["status"] == "True")
    return next(ends, "")


def _condition(kind: str, reason: str) -> dict[str, str]:
    return {"type": kind, "status": "True", "reason": reason, "message": reason}
