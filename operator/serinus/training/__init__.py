"""From facts to a plan for a TrainingJob. Pure."""

from serinus.api import names
from serinus.api.trainingjob import TrainingJob
from serinus.api.trainingjob_status import TrainingJobStatus
from serinus.objects import JOB, POD, PVC, SERVICE
from serinus.plan import Kind
from serinus.training.lifecycle import plan
from serinus.training.orphans import LEFTOVERS

KIND = Kind(TrainingJob, TrainingJobStatus, (JOB, POD, SERVICE, PVC), names.Label.TRAINING_JOB, plan, LEFTOVERS)

__all__ = ["KIND"]
