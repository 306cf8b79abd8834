"""The Job controller of Kubernetes 1.34, as far as Jobs of this world go: backoffLimit, deadline, suspension, indexes.

What is subtle there and matters here:

- With podReplacementPolicy Failed a pod that is being deleted is waited for: it counts when it has reached its end, and
  until then there is no other in its place.
- The verdict comes first (SuccessCriteriaMet, FailureTarget), and the end (Complete, Failed) only when every pod has
  reached its own. With a lost node that is never.
- Pods have a finalizer until they are counted, so none goes unseen; of the pods that a suspension deletes it is taken
  off before, so that they do not count as failed.
- The clock of a deadline starts anew when a Job is resumed.
"""

from typing import Final

from serinus import objects
from serinus.objects import JOB, POD, Manifest, Ref, ref_of
from tests.sim.controllers import job_end, make_pod
from tests.sim.fields import Json, get
from tests.sim.kinds import is_of_job
from tests.sim.ledger import Ledger
from tests.sim.server import Change
from tests.sim.stage import Stage

ENDED: Final = frozenset({"Succeeded", "Failed"})
INDEX: Final = "batch.kubernetes.io/job-completion-index"
ENDS: Final = {"SuccessCriteriaMet": "Complete", "FailureTarget": "Failed"}


class Jobs:
    """Looks at each Job after each change of it or of its pods, and when its time is over."""

    def __init__(self, stage: Stage, ledger: Ledger) -> None:
        self._stage = stage
        self._server = stage.server
        self._ledger = ledger
        # By uid of the Job: since when it runs, and the pods that are counted, and how they ended.
        self._since: dict[str, float] = {}
        self._counted: dict[str, dict[str, tuple[str, str]]] = {}
        # Pods that were deleted by a suspension.
        self._let_go: set[str] = set()

    def seen(self, change: Change) -> None:
        """Take note of a change."""
        manifest = change.after or change.before or {}
        if change.ref.kind == JOB:
            self._look_later(change.ref)
            if change.after is None or objects.is_going(change.after):
                self._orphaned(objects.uid(manifest))
        elif change.ref.kind == POD and is_of_job(manifest):
            owner = next(one for one in manifest["metadata"]["ownerReferences"] if one["kind"] == JOB.kind)
            self._look_later(Ref(JOB, change.ref.namespace, owner["name"]))
            if objects.is_going(manifest):
                self._release_later(change.ref, objects.uid(manifest))

    def _orphaned(self, uid: str) -> None:
        for pod in self._server.of(POD):
            if objects.controller(pod) == uid and objects.is_going(pod):
                self._release_later(ref_of(POD, pod), objects.uid(pod))

    def _release_later(self, ref: Ref, uid: str) -> None:
        self._stage.later(0.1, 1.0, lambda: self._release_orphan(ref, uid))

    def _look_later(self, ref: Ref) -> None:
        self._stage.once_later(("workload", ref), 0.5, lambda: self._look(ref))

    def _look(self, ref: Ref) -> None:
        live = self._server.get(ref)
        if live is None or objects.is_going(live):
            return
        pods = [pod for pod in self._server.of(POD) if objects.controller(pod) == objects.uid(live)]
        counted = self._count(live, pods)
        for pod in pods:
            if objects.is_going(pod) and _has_ended(pod):
                self._server.delete("jobs", ref_of(POD, pod), objects.uid(pod), at_last=True)
        if job_end(live):
            return
        active = [pod for pod in pods if not _has_ended(pod)]
        verdict = _verdict(live) or self._decide(live, counted)
        if verdict is not None:
            self._end(ref, live, verdict, active)
        elif live["spec"].get("suspend"):
            self._suspend(ref, live, active)
        else:
            self._go_on(ref, live, active, counted)

    def _count(self, live: Manifest, pods: list[Manifest]) -> dict[str, tuple[str, str]]:
        """The pods that have ended, each once, be they there or gone: index and phase by uid."""
        counted = self._counted.setdefault(objects.uid(live), {})
        for pod in pods:
            if _has_ended(pod) and objects.uid(pod) not in self._let_go:
                counted[objects.uid(pod)] = (objects.labels(pod).get(INDEX, ""), str(get(pod, "status", "phase")))
        return counted

    def _decide(self, live: Manifest, counted: dict[str, tuple[str, str]]) -> Json:
        spec, ends = live["spec"], list(counted.values())
        if sum(phase == "Failed" for _, phase in ends) > spec.get("backoffLimit", 6):
            return self._condition("FailureTarget", "BackoffLimitExceeded")
        since, deadline = self._since.get(objects.uid(live)), spec.get("activeDeadlineSeconds")
        if not spec.get("suspend") and since is not None and deadline and self._stage.now >= since + deadline:
            return self._condition("FailureTarget", "DeadlineExceeded")
        if sum(phase == "Succeeded" for _, phase in ends) >= spec.get("completions", 1):
            return self._condition("SuccessCriteriaMet", "CompletionsReached")
        return None

    def _end(self, ref: Ref, live: Manifest, verdict: Json, active: list[Manifest]) -> None:
        """In two steps: first it is decided, and what runs is stopped; it is over when everything has stopped."""
        conditions = [one for one in get(live, "status", "conditions") or [] if one["type"] != "Suspended"]
        if verdict not in conditions:
            conditions.append(verdict)
        elif not active:
            conditions.append(self._condition(ENDS[verdict["type"]], verdict["reason"]))
            if verdict["type"] == "SuccessCriteriaMet":
                self._ledger.completes(live)
        self._stop(active)
        self._put(ref, live, {**(live.get("status") or {}), "conditions": conditions})

    def _suspend(self, ref: Ref, live: Manifest, active: list[Manifest]) -> None:
        """Its pods go without having failed, and its clock stops."""
        self._let_go |= {objects.uid(pod) for pod in active}
        self._since.pop(objects.uid(live), None)
        self._stop(active)
        self._put(ref, live, {"conditions": [self._suspended(live, "True")]})

    def _go_on(self, ref: Ref, live: Manifest, active: list[Manifest], counted: dict[str, tuple[str, str]]) -> None:
        uid, deadline = objects.uid(live), live["spec"].get("activeDeadlineSeconds")
        if uid not in self._since:
            self._since[uid] = self._stage.now
            if deadline:
                self._stage.later(deadline, deadline + 0.5, lambda: self._look_later(ref))
        taken = [index for index, phase in counted.values() if phase == "Succeeded"]
        taken += [objects.labels(pod).get(INDEX, "") for pod in active]
        for index in self._missing(live, taken):
            self._make(live, index)
        ready = sum(get(pod, "status", "phase") == "Running" for pod in active)
        status = {"startTime": self._server.time(self._since[uid]), "active": len(active), "ready": ready}
        conditions = {"conditions": [self._suspended(live, "False")]} if get(live, "status", "conditions") else {}
        self._put(ref, live, {**{key: value for key, value in status.items() if value != 0}, **conditions})

    def _missing(self, live: Manifest, taken: list[str]) -> list[str]:
        """The indexes of which there is no pod; without indexes, an empty one for each."""
        completions = live["spec"].get("completions", 1)
        if live["spec"].get("completionMode") == "Indexed":
            return [str(index) for index in range(completions) if str(index) not in taken]
        return [""] * (completions - len(taken))

    def _make(self, live: Manifest, index: str) -> None:
        labels = {
            "batch.kubernetes.io/job-name": live["metadata"]["name"],
            "batch.kubernetes.io/controller-uid": objects.uid(live),
        }
        labels |= {INDEX: index} if index else {}
        part = f"{index}-" if index else ""
        suffix = f"{part}{objects.digest([self._stage.now, index], 5)}"
        make_pod(self._server, live, live["spec"].get("template", {}), suffix, labels)

    def _stop(self, active: list[Manifest]) -> None:
        for pod in active:
            self._server.delete("jobs", ref_of(POD, pod), objects.uid(pod))

    def _release_orphan(self, ref: Ref, uid: str) -> None:
        """A pod whose Job is gone, and that has ended, is let go."""
        pod = self._server.get(ref)
        if pod is None or objects.uid(pod) != uid or not _has_ended(pod):
            return
        owner = objects.controller(pod)
        jobs = (one for one in self._server.of(JOB) if objects.uid(one) == owner)
        if not any(not objects.is_going(one) for one in jobs):
            self._server.delete("jobs", ref, uid, at_last=True)

    def _suspended(self, live: Manifest, truth: str) -> Json:
        before = next((one for one in get(live, "status", "conditions") or () if one["type"] == "Suspended"), None)
        if before is not None and before["status"] == truth:
            return before
        return {**self._condition("Suspended", "JobSuspended" if truth == "True" else "JobResumed"), "status": truth}

    def _condition(self, kind: str, reason: str) -> Json:
        when = self._server.time(self._stage.now)
        return {"type": kind, "status": "True", "reason": reason, "message": reason, "lastTransitionTime": when}

    def _put(self, ref: Ref, live: Manifest, status: Json) -> None:
        if live.get("status") != status:
            self._server.put_status("jobs", ref, status)


def _verdict(job: Manifest) -> Json:
    """What was decided already."""
    return next((one for one in get(job, "status", "conditions") or () if one["type"] in ENDS), None)


def _has_ended(pod: Manifest) -> bool:
    return get(pod, "status", "phase") in ENDED
