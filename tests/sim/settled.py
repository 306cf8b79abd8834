"""What must be true once the storm is over: each resource is as its spec and the world want it."""

from typing import Final

from serinus import objects
from serinus.api.invalid import Invalid
from serinus.api.modeldeployment import ModelDeployment
from serinus.api.names import MANAGER, Label
from serinus.api.trainingjob import TrainingJob
from serinus.asks import Run
from serinus.objects import DEPLOYMENT, JOB, SERVICE, Manifest, Ref
from tests.sim.controllers import job_end
from tests.sim.fields import Json, get
from tests.sim.kinds import CHILDREN, MODEL_DEPLOYMENT, TRAINING_JOB
from tests.sim.mlflow import Mlflow
from tests.sim.pods import reached
from tests.sim.stage import Stage
from tests.sim.users import BROKEN_IMAGE

# Children that are kept for longer are there at the end.
LONG: Final = 43_200
RUN_OF_END: Final = {"Succeeded": "FINISHED", "Rejected": "FINISHED", "Failed": "FAILED"}
TOLD: Final = {
    "Succeeded": ("Complete", "Succeeded"),
    "Rejected": ("Complete", "GateRejected"),
    "Failed": ("Failed", ""),
}


class Settled:
    """Looks at everything; `problems` is empty when all is as it should be."""

    def __init__(self, stage: Stage, mlflow: Mlflow) -> None:
        self._stage = stage
        self._server = stage.server
        self._mlflow = mlflow
        self._looked_at = (-1, -1)
        self._found: list[str] = []

    def problems(self) -> list[str]:
        """What is not as it should be."""
        there = (self._server.version, self._mlflow.changes)
        if there != self._looked_at:
            self._looked_at, self._found = there, self._look()
        return self._found

    def _look(self) -> list[str]:
        found = [f"{_name(one)}: {self._training_job(one)}" for one in self._server.of(TRAINING_JOB)]
        found += [f"{_name(one)}: {self._model_deployment(one)}" for one in self._server.of(MODEL_DEPLOYMENT)]
        return [problem for problem in found if not problem.endswith(": ")]

    def may_look(self) -> bool:
        """Whether the operator has reason to look at single objects: there are some that its watches do not show."""
        there = (one for ref, one in self._server.objects.items() if ref.kind in CHILDREN)
        return any(objects.labels(one).get(Label.MANAGED_BY) != MANAGER for one in there)

    # --- both

    def _told(self, resource: Manifest) -> str:
        """What must be true of the status of anything that has come to rest."""
        status = resource.get("status") or {}
        if status.get("observedGeneration") != resource["metadata"]["generation"]:
            return f"observedGeneration is {status.get('observedGeneration')} of {resource['metadata']['generation']}"
        if _condition(resource, "Reconciling"):
            return f"it is still at it: {_condition(resource, 'Reconciling')['message']}"
        if not _condition(resource, "Ready"):
            return "it does not say whether it is ready"
        return ""

    def _taken(self, resource: Manifest) -> bool:
        """Whether the resource rightly says that somebody has its name."""
        stalled = _condition(resource, "Stalled")
        theirs = {str(ref) for ref, one in self._server.objects.items() if not objects.controller(one)}
        return stalled.get("reason") == "NameTaken" and any(f"{name} is there" in stalled["message"] for name in theirs)

    def _children(self, resource: Manifest, kind: objects.ObjectKind) -> list[Manifest]:
        """Its children, without those that somebody took our labels off: they are out of sight."""
        mine = (one for one in self._server.of(kind) if objects.controller(one) == objects.uid(resource))
        return [one for one in mine if objects.labels(one).get(Label.MANAGED_BY) == MANAGER]

    # --- training

    def _training_job(self, resource: Manifest) -> str:
        parsed = TrainingJob.parse(resource)
        jobs = self._children(resource, JOB)
        if isinstance(parsed, Invalid):
            return self._told(resource) or _expect(resource, "Stalled", "InvalidSpec")
        if self._taken(resource):
            return ""
        if told := self._told(resource) or self._runs(resource, jobs):
            return told
        if parsed.spec.suspend and get(resource, "status", "phase") == "Suspended":
            return "a Job is there though it is suspended" if jobs else _expect(resource, "Suspended", "Suspended")
        if jobs and parsed.spec.ttl_seconds_after_finished < LONG:
            return "its Job is there after its time"
        return "there is more than one Job" if len(jobs) > 1 else self._end(resource)

    def _end(self, resource: Manifest) -> str:
        phase = get(resource, "status", "phase")
        if phase not in RUN_OF_END:
            return f"its phase is {phase}"
        run = self._mlflow.runs.get(get(resource, "status", "run", "id") or "")
        if run is None:
            return "it has no run"
        if run.status != RUN_OF_END[phase]:
            return f"{run.id} is {run.status} though the job has {phase}"
        wanted = {
            "Succeeded": ("Complete", "Succeeded"),
            "Rejected": ("Complete", "GateRejected"),
            "Failed": ("Failed", ""),
        }
        return _expect(resource, *wanted[phase]) or self._verdict(resource, run, phase)

    def _verdict(self, resource: Manifest, run: Run, phase: str) -> str:
        """What is good is registered under its key, what is not is not."""
        spec = resource["spec"]
        bounds = [check["min"] for check in spec.get("gate", ()) if "min" in check]
        if phase != "Failed" and (phase == "Rejected") != any(run.metrics.get("val_f1", 0.0) < low for low in bounds):
            return f"it is {phase} with {run.metrics}, and its bounds are {bounds}"
        if phase != "Succeeded" or "register" not in spec:
            return "it says that it has registered something" if get(resource, "status", "registered") else ""
        model, version = spec["register"]["model"], get(resource, "status", "registered", "version") or ""
        key = f"{objects.uid(resource)}.{get(resource, 'status', 'revision')}"
        return "" if self._mlflow.version_keys.get((model, version)) == key else f"version {version!r} is not its own"

    def _runs(self, resource: Manifest, jobs: list[Manifest]) -> str:
        """No run is left open with nobody who works on it."""
        working = [one for one in jobs if not job_end(one)]
        mine = (run for run in self._mlflow.runs.values() if run.tags.get("serinus.uid") == objects.uid(resource))
        left = [run.id for run in mine if run.status == "RUNNING" and run.id not in self._mlflow.deleted]
        return f"{', '.join(left)} is left RUNNING" if left and not working else ""

    # --- serving

    def _model_deployment(self, resource: Manifest) -> str:
        parsed = ModelDeployment.parse(resource)
        if isinstance(parsed, Invalid):
            return self._told(resource) or _expect(resource, "Stalled", "InvalidSpec")
        if self._taken(resource):
            return ""
        model = parsed.spec.model
        version = self._mlflow.resolve(model.name, model.alias or "", model.version or "")
        if version is None:
            return self._unresolved(resource)
        if parsed.spec.server.image == BROKEN_IMAGE:
            return self._kept(resource)
        return self._told(resource) or self._serves(resource, version.version, parsed.spec.server.replicas or 1)

    def _unresolved(self, resource: Manifest) -> str:
        """What serves goes on serving; and it is said that the version is not known."""
        if _condition(resource, "ModelResolved").get("status") != "False":
            return "its version cannot be resolved, and ModelResolved is not False"
        return self._kept(resource)

    def _kept(self, resource: Manifest) -> str:
        """If stable has ready pods, traffic goes to ready pods; another revision gets it only when it is stable."""
        stable = get(resource, "status", "stable", "revision")
        there = (one for one in self._children(resource, DEPLOYMENT) if get(one, "status", "readyReplicas"))
        ready = [one for one in there if objects.labels(one).get(Label.REVISION) == stable]
        service = self._service(resource)
        theirs = service is None and self._server.get(_service_of(resource)) is not None
        if ready and not theirs and not reached(self._stage, service):
            return f"nobody is served, though {ready[0]['metadata']['name']} has ready pods"
        return ""

    def _serves(self, resource: Manifest, version: str, replicas: int) -> str:
        deployments = self._children(resource, DEPLOYMENT)
        if [objects.labels(one).get(Label.VERSION) for one in deployments] != [version]:
            return f"its Deployments are of other versions than {version}: {len(deployments)}"
        pods = reached(self._stage, self._service(resource))
        if {objects.labels(pod).get(Label.VERSION) for pod in pods} != {version}:
            return f"its Service does not lead to version {version} but to {[_name(pod) for pod in pods]}"
        if len(pods) != replicas:
            return f"{len(pods)} of {replicas} pods are ready"
        return _expect(resource, "Ready", "RolloutComplete") or _expect(resource, "Available", "")

    def _service(self, resource: Manifest) -> Manifest | None:
        service = self._server.get(_service_of(resource))
        return service if service and objects.controller(service) == objects.uid(resource) else None


def _service_of(resource: Manifest) -> Ref:
    return Ref(SERVICE, resource["metadata"]["namespace"], resource["metadata"]["name"])


def _name(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def _condition(resource: Manifest, name: str) -> Json:
    conditions = get(resource, "status", "conditions") or ()
    return next((one for one in conditions if one["type"] == name), {})


def _expect(resource: Manifest, name: str, reason: str) -> str:
    """That a condition is True, for a reason if one is given."""
    found = _condition(resource, name)
    if found.get("status") == "True" and (not reason or found["reason"] == reason):
        return ""
    return f"{name} is {found.get('status', 'missing')} ({found.get('reason', '')}: {found.get('message', '')})"
