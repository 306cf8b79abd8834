"""What the pods of servers do: they become ready, fall out again, and are lost."""

from serinus import objects
from serinus.objects import POD, Manifest, Ref
from tests.sim.controllers import is_ready
from tests.sim.fields import Json, get
from tests.sim.kinds import is_of_job
from tests.sim.server import Change
from tests.sim.stage import Stage

READY = {"type": "Ready", "status": "True"}
UNREADY = {"type": "Ready", "status": "False"}


class Kubelet:
    """Runs the pods of Deployments."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._server = stage.server

    def seen(self, change: Change) -> None:
        """Start what is new."""
        if change.ref.kind != POD or change.before is not None or change.after is None or is_of_job(change.after):
            return
        ref, uid = change.ref, objects.uid(change.after)
        self._stage.later(0.1, self._stage.weather.slow_pods, lambda: self._start_server(ref, uid))

    def _live(self, ref: Ref, uid: str) -> Manifest | None:
        pod = self._server.get(ref)
        return pod if pod is not None and objects.uid(pod) == uid else None

    def _put(self, ref: Ref, phase: str, condition: Json, more: Json = None) -> None:
        ip = f"10.1.0.{sum(ref.name.encode()) % 256}"
        status = {"phase": phase, "podIP": ip, "conditions": [condition], **(more or {})}
        if get(self._server.get(ref), "status") != status:
            self._server.put_status("kubelet", ref, status)

    # --- servers

    def _start_server(self, ref: Ref, uid: str) -> None:
        pod = self._live(ref, uid)
        if pod is None:
            return
        if any(one.get("image", "").startswith("broken") for one in get(pod, "spec", "containers") or ()):
            waiting = {"reason": "ImagePullBackOff", "message": "there is no such image"}
            self._put(
                ref, "Pending", UNREADY, {"containerStatuses": [{"name": "server", "state": {"waiting": waiting}}]}
            )
            return
        self._put(ref, "Running", READY)
        if self._stage.chance(self._stage.weather.flapping):
            self._stage.later(1.0, 60.0, lambda: self._stumble(ref, uid))
        if self._stage.chance(self._stage.weather.pod_lost):
            self._stage.later(1.0, 120.0, lambda: self._lose(ref, uid))

    def _stumble(self, ref: Ref, uid: str) -> None:
        if self._live(ref, uid) is not None and self._stage.weather.flapping:
            self._put(ref, "Running", UNREADY)
            self._stage.later(0.5, 20.0, lambda: self._start_server(ref, uid))

    def _lose(self, ref: Ref, uid: str) -> None:
        """The node is lost, or the pod is evicted."""
        if self._live(ref, uid) is not None and self._stage.weather.pod_lost:
            self._server.delete("node", ref, uid)


def reached(stage: Stage, service: Manifest | None) -> list[Manifest]:
    """The ready pods that a Service sends requests to."""
    selector = get(service, "spec", "selector")
    if not selector or service is None:
        return []
    return [pod for pod in selected(stage, service["metadata"]["namespace"], selector) if is_ready(pod)]


def selected(stage: Stage, namespace: str, selector: Json) -> list[Manifest]:
    """The pods with these labels."""
    pods = (one for ref, one in stage.server.objects.items() if ref.kind == POD and ref.namespace == namespace)
    return [pod for pod in pods if selector.items() <= objects.labels(pod).items()]
