"""What pods do: servers become ready and fall out again, trainers log to the registry and end well or badly."""

from serinus import objects
from serinus.api.names import Environment
from serinus.objects import POD, Manifest, Ref
from tests.sim.controllers import is_ready
from tests.sim.fields import Json, get
from tests.sim.mlflow import Mlflow
from tests.sim.server import Change
from tests.sim.stage import Stage

READY = {"type": "Ready", "status": "True"}
UNREADY = {"type": "Ready", "status": "False"}


class Kubelet:
    """Runs the pods."""

    def __init__(self, stage: Stage, mlflow: Mlflow) -> None:
        self._stage = stage
        self._server = stage.server
        self._mlflow = mlflow

    def seen(self, change: Change) -> None:
        """Start what is new."""
        if change.ref.kind != POD or change.before is not None or change.after is None:
            return
        ref, uid = change.ref, objects.uid(change.after)
        owner = change.after["metadata"]["ownerReferences"][0]["kind"]
        start = self._start_trainer if owner == "Job" else self._start_server
        self._stage.later(0.1, self._stage.weather.slow_pods, lambda: start(ref, uid))

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

    # --- trainers

    def _start_trainer(self, ref: Ref, uid: str) -> None:
        pod = self._live(ref, uid)
        if pod is None:
            return
        self._put(ref, "Running", READY)
        run = _environment(pod).get(Environment.RUN_ID, "")
        self._mlflow.joined(run)
        if self._stage.chance(self._stage.weather.pod_lost):
            self._stage.later(0.1, 5.0, lambda: self._lose(ref, uid))
        fails = self._stage.chance(self._stage.weather.training_fails)
        self._stage.later(1.0, 40.0, lambda: self._end_trainer(ref, uid, run, fails=fails))

    def _end_trainer(self, ref: Ref, uid: str, run: str, *, fails: bool) -> None:
        if self._live(ref, uid) is None:
            return
        code = 1 if fails else 0
        self._mlflow.left(run, "FAILED" if fails else "FINISHED")
        state = {
            "name": "trainer",
            "state": {"terminated": {"exitCode": code, "reason": "Error" if fails else "Completed"}},
        }
        self._put(ref, "Failed" if fails else "Succeeded", UNREADY, {"containerStatuses": [state]})


def _environment(pod: Manifest) -> dict[str, str]:
    containers = get(pod, "spec", "containers") or ()
    return {one["name"]: one.get("value", "") for container in containers for one in container.get("env") or ()}


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
