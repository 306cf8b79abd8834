"""What must be true once the storm is over: each resource is as its spec and the world want it."""

from typing import Final

from serinus import objects
from serinus.api.invalid import Invalid
from serinus.api.modeldeployment import ModelDeployment
from serinus.api.names import CLUSTER_TAG, MANAGER, Label
from serinus.api.trainingjob import TrainingJob
from serinus.asks import Run
from serinus.objects import DEPLOYMENT, SERVICE, Manifest, Ref
from tests.sim.fields import get
from tests.sim.kinds import CHILDREN, MODEL_DEPLOYMENT, TRAINING_JOB
from tests.sim.ledger import Ledger
from tests.sim.mlflow import Mlflow
from tests.sim.pods import reached
from tests.sim.settled_training import SettledTraining, condition, expect
from tests.sim.specs import BROKEN_IMAGE
from tests.sim.stage import Stage

OPEN: Final = {"RUNNING", "SCHEDULED"}


class Settled:
    """Looks at everything; `problems` is empty when all is as it should be."""

    def __init__(self, stage: Stage, mlflow: Mlflow, ledger: Ledger) -> None:
        self._stage = stage
        self._server = stage.server
        self._mlflow = mlflow
        self._training = SettledTraining(stage, mlflow, ledger)
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
        found += [f"{run.id}: {self._open_run(run)}" for run in self._mlflow.runs.values()]
        return [problem for problem in found if not problem.endswith(": ")]

    def may_look(self) -> bool:
        """Whether the operator has reason to look at single objects: there are some that its watches do not show."""
        there = (one for ref, one in self._server.objects.items() if ref.kind in CHILDREN)
        return any(objects.labels(one).get(Label.MANAGED_BY) != MANAGER for one in there)

    def is_held_up(self) -> bool:
        """Whether something waits for a volume that somebody deleted and a pod that is lost has."""
        return any(map(self._training.is_stuck, self._server.of(TRAINING_JOB)))

    # --- both

    def _told(self, resource: Manifest) -> str:
        """What must be true of the status of anything that has come to rest."""
        status = resource.get("status") or {}
        if status.get("observedGeneration") != resource["metadata"]["generation"]:
            return f"observedGeneration is {status.get('observedGeneration')} of {resource['metadata']['generation']}"
        if condition(resource, "Reconciling"):
            return f"it is still at it: {condition(resource, 'Reconciling')['message']}"
        if not condition(resource, "Ready"):
            return "it does not say whether it is ready"
        return ""

    def _taken(self, resource: Manifest) -> bool:
        """Whether the resource rightly says that somebody has its name."""
        stalled = condition(resource, "Stalled")
        theirs = {str(ref) for ref, one in self._server.objects.items() if not objects.controller(one)}
        return stalled.get("reason") == "NameTaken" and any(f"{name} is there" in stalled["message"] for name in theirs)

    def _children(self, resource: Manifest, kind: objects.ObjectKind) -> list[Manifest]:
        """Its children, without those that somebody took our labels off: they are out of sight."""
        mine = (one for one in self._server.of(kind) if objects.controller(one) == objects.uid(resource))
        return [one for one in mine if objects.labels(one).get(Label.MANAGED_BY) == MANAGER]

    # --- training

    def _training_job(self, resource: Manifest) -> str:
        if isinstance(TrainingJob.parse(resource), Invalid):
            return self._told(resource) or expect(resource, "Stalled", "InvalidSpec")
        if self._taken(resource) or self._training.is_stuck(resource):
            return ""
        return self._told(resource) or self._training.problem(resource)

    def _open_run(self, run: Run) -> str:
        """No run of ours is open whose resource is gone or finished, whoever left it so."""
        if run.status not in OPEN or run.id in self._mlflow.deleted or CLUSTER_TAG not in run.tags:
            return ""
        jobs = (one for one in self._server.of(TRAINING_JOB) if objects.uid(one) == run.tags.get("serinus.uid"))
        job = next(jobs, None)
        if job is None:
            return f"it is {run.status}, and its TrainingJob is gone"
        return f"it is {run.status}, and its TrainingJob is finished" if get(job, "status", "finishedAt") else ""

    # --- serving

    def _model_deployment(self, resource: Manifest) -> str:
        parsed = ModelDeployment.parse(resource)
        if isinstance(parsed, Invalid):
            return self._told(resource) or expect(resource, "Stalled", "InvalidSpec")
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
        if condition(resource, "ModelResolved").get("status") != "False":
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
        return expect(resource, "Ready", "RolloutComplete") or expect(resource, "Available", "")

    def _service(self, resource: Manifest) -> Manifest | None:
        service = self._server.get(_service_of(resource))
        return service if service and objects.controller(service) == objects.uid(resource) else None


def _service_of(resource: Manifest) -> Ref:
    return Ref(SERVICE, resource["metadata"]["namespace"], resource["metadata"]["name"])


def _name(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"
