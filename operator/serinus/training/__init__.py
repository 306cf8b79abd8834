"""From facts to a plan for a TrainingJob. Pure."""

from serinus.api import names
from serinus.api.trainingjob import TrainingJob
from serinus.api.trainingjob_status import TrainingJobStatus
from serinus.objects import JOB, POD
from serinus.plan import Kind
from serinus.training.lifecycle import plan

KIND = Kind(TrainingJob, TrainingJobStatus, (JOB, POD), names.Label.TRAINING_JOB, plan)

__all__ = ["KIND"]
