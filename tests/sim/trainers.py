"""What the pods of training do: they wait for a node and an image, fetch, train, and end well, badly or from outside.

What is subtle in Kubernetes and matters here:

- A pod that is being deleted gets its end from the kubelet (Failed, exit code 143), be it late; on a node that is lost
  nobody says so, and the pod stays as it is until the node comes back or somebody forces it.
- A disruption is told by the condition DisruptionTarget before the pod is deleted. The kubelet under pressure ends pods
  with it and does not delete them; over its own limits a pod is evicted without it, and one that the node will not
  have fails without it, too.
- Containers are told in any order, some before they have a state.
"""

from typing import Final

from serinus import objects
from serinus.objects import POD, Manifest, Ref
from tests.sim import code, fetching
from tests.sim.fields import Json, get
from tests.sim.jobs import ENDED
from tests.sim.kinds import is_of_job
from tests.sim.ledger import Ledger
from tests.sim.mlflow import Mlflow
from tests.sim.server import Change
from tests.sim.stage import Stage

IMAGE_ID: Final = "docker.io/mine/trainer@sha256:" + "ab" * 32
NODES: Final = ("node-1", "node-2", "node-3")
GRACE: Final = (0.05, 30.0)
# How long a lost node is away, if it comes back.
AWAY: Final = (30.0, 900.0)
TERMINATED: Final = 143
# By which condition a disruption is told, and whether the node goes with it.
DELETING: Final = {
    "preempted": "PreemptionByScheduler",
    "evicted": "EvictionByEvictionAPI",
    "tainted": "DeletionByTaintManager",
    "lost": "DeletionByTaintManager",
}
STAYING: Final = {"pressed": "Evicted", "greedy": "Evicted", "not admitted": "OutOfcpu"}


class Trainers:
    """Schedules and runs the pods of Jobs."""

    def __init__(self, stage: Stage, mlflow: Mlflow, ledger: Ledger) -> None:
        self._stage = stage
        self._server = stage.server
        self._mlflow = mlflow
        self._ledger = ledger
        # Pods on nodes of which nothing is heard.
        self._lost: set[str] = set()

    def seen(self, change: Change) -> None:
        """Start what is new, and end what is to go."""
        if change.ref.kind != POD or change.after is None or not is_of_job(change.after):
            return
        ref, uid = change.ref, objects.uid(change.after)
        if change.before is None:
            self._stage.later(0.1, self._stage.weather.slow_pods, lambda: self._schedule(ref, uid))
            if self._stage.chance(self._stage.weather.disrupted):
                self._stage.later(0.1, 30.0, lambda: self._disrupt(ref, uid))
        elif objects.is_going(change.after) and not objects.is_going(change.before):
            self._stage.later(*GRACE, lambda: self._terminate(ref, uid))

    # --- its way

    def _schedule(self, ref: Ref, uid: str) -> None:
        """The scheduler finds a node, perhaps not at once; of pods that go it is none of its business."""
        if self._working(ref, uid) is None:
            return
        if self._stage.chance(self._stage.weather.unschedulable):
            message = "0/3 nodes are available: 3 Insufficient cpu."
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
            self._tell(ref, phase="Pending", conditions=[condition])
            self._stage.later(1.0, 60.0, lambda: self._schedule(ref, uid))
            return
        self._server.patch("scheduler", ref, {"spec": {"nodeName": self._stage.random.choice(NODES)}})
        self._tell(ref, phase="Pending", conditions=[{"type": "PodScheduled", "status": "True"}])
        self._stage.later(0.05, 1.0, lambda: self._pull(ref, uid))

    def _pull(self, ref: Ref, uid: str) -> None:
        pod = self._working(ref, uid)
        if pod is None:
            return
        if self._stage.chance(self._stage.weather.pull_fails):
            waiting = {"reason": self._stage.random.choice(("ErrImagePull", "ImagePullBackOff")), "message": "no image"}
            self._tell(ref, containerStatuses=[{"name": "main", "state": {"waiting": waiting}}])
            self._stage.later(1.0, 60.0, lambda: self._pull(ref, uid))
        elif (order := fetching.order_of(pod)) is not None:
            self._tell(ref, containerStatuses=[], initContainerStatuses=[fetching.at_work()])
            self._stage.later(0.1, 10.0, lambda: self._fetched(ref, uid, order))
        else:
            self._run(ref, uid)

    def _fetched(self, ref: Ref, uid: str, order: Json) -> None:
        pod = self._working(ref, uid)
        if pod is None:
            return
        code_of_end, said = fetching.carried_out(order, fails=self._stage.chance(self._stage.weather.fetch_fails))
        status = fetching.ended(code_of_end, said, self._server.time(self._stage.now))
        if code_of_end:
            self._ledger.failed(pod, for_good=code_of_end == fetching.PERMANENT)
            self._tell(ref, phase="Failed", initContainerStatuses=[status])
            return
        self._tell(ref, initContainerStatuses=[status])
        self._run(ref, uid)

    def _run(self, ref: Ref, uid: str) -> None:
        pod = self._working(ref, uid)
        if pod is None:
            return
        running = {"name": "main", "imageID": IMAGE_ID, "state": {"running": {}}}
        sidecar = {"name": "istio", "imageID": "proxy@sha256:00", "state": {"running": {}}}
        self._tell(ref, phase="Running", containerStatuses=[sidecar, running])
        main = code.of_pod(pod)
        if main.talks:
            self._mlflow.joined(main.run)
        self._stage.later(0.5, 30.0, lambda: self._log(ref, uid, main))
        fails = self._stage.chance(self._stage.weather.training_fails) or main.always_fails
        self._stage.later(1.0, 40.0, lambda: self._end(ref, uid, main, fails=fails))

    def _log(self, ref: Ref, uid: str, main: code.Code) -> None:
        if self._working(ref, uid) is not None:
            main.logs(self._mlflow)

    def _end(self, ref: Ref, uid: str, main: code.Code, *, fails: bool) -> None:
        """The main container ends by itself, and says so to the registry first."""
        pod = self._working(ref, uid)
        if pod is None:
            return
        main.ends(self._mlflow, fails=fails)
        (self._ledger.failed if fails else self._ledger.succeeded)(pod)
        state = main.terminated(fails=fails, now=self._server.time(self._stage.now))
        status = {"name": "main", "imageID": IMAGE_ID, "state": {"terminated": state}}
        self._tell(ref, phase="Failed" if fails else "Succeeded", containerStatuses=[status])

    # --- what is done to it

    def _disrupt(self, ref: Ref, uid: str) -> None:
        pod = self._working(ref, uid)
        if pod is None or not self._stage.weather.disrupted or not get(pod, "spec", "nodeName"):
            return
        self._ledger.disrupt(pod)
        how = self._stage.random.choice((*DELETING, *STAYING))
        if how in STAYING:
            self._kubelet_ends(ref, pod, how)
            return
        conditions = [*(get(pod, "status", "conditions") or ()), _disruption(DELETING[how], how)]
        self._tell(ref, conditions=conditions)
        if how == "lost":
            self._lose(ref, uid)
        self._server.delete("node", ref, uid)

    def _kubelet_ends(self, ref: Ref, pod: Manifest, how: str) -> None:
        """The pod stays, with its end."""
        if how == "pressed":
            condition = _disruption("TerminationByKubelet", how)
            self._tell(ref, conditions=[*(get(pod, "status", "conditions") or ()), condition])
        if how == "greedy":
            self._ledger.failed(pod)
        self._tell(ref, phase="Failed", reason=STAYING[how], message=f"The node was {how}.", containerStatuses=[])

    def _lose(self, ref: Ref, uid: str) -> None:
        """Nothing is heard of its node: for ever, until it comes back, or until somebody forces the pod."""
        self._lost.add(uid)
        if self._stage.chance(0.4):
            self._stage.later(*AWAY, lambda: self._found(ref, uid))

    def _found(self, ref: Ref, uid: str) -> None:
        self._lost.discard(uid)
        self._terminate(ref, uid)

    def _terminate(self, ref: Ref, uid: str) -> None:
        pod = self._live(ref, uid)
        if pod is None or uid in self._lost:
            return
        if get(pod, "status", "phase") not in ENDED:
            state = {"exitCode": TERMINATED, "reason": "Error", "finishedAt": self._server.time(self._stage.now)}
            running = any("running" in one["state"] for one in get(pod, "status", "containerStatuses") or ())
            containers = [{"name": "main", "imageID": IMAGE_ID, "state": {"terminated": state}}] if running else []
            self._tell(ref, phase="Failed", containerStatuses=containers)

    # --- inside

    def _live(self, ref: Ref, uid: str) -> Manifest | None:
        pod = self._server.get(ref)
        return pod if pod is not None and objects.uid(pod) == uid else None

    def _working(self, ref: Ref, uid: str) -> Manifest | None:
        """The pod, if it does what it does: who is told to go does no more."""
        pod = self._live(ref, uid)
        if pod is None or objects.is_going(pod) or get(pod, "status", "phase") in ENDED:
            return None
        return pod

    def _tell(self, ref: Ref, **fields: Json) -> None:
        """The status with these fields; what is empty is left out."""
        before = get(self._server.get(ref), "status") or {}
        after = {key: value for key, value in {**before, **fields}.items() if value}
        if after != before:
            self._server.put_status("kubelet", ref, after)


def _disruption(reason: str, message: str) -> Json:
    return {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
