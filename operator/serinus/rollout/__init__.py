"""From facts to a plan for a ModelDeployment. Pure."""

from serinus.api import names
from serinus.api.modeldeployment import ModelDeployment
from serinus.api.modeldeployment_status import ModelDeploymentStatus
from serinus.objects import DEPLOYMENT, SERVICE
from serinus.plan import Kind
from serinus.rollout.lifecycle import plan

KIND = Kind(ModelDeployment, ModelDeploymentStatus, (DEPLOYMENT, SERVICE), names.Label.MODEL_DEPLOYMENT, plan)

__all__ = ["KIND"]
