"""The names by which users, the cluster and the registry know what is ours."""

from typing import Final

GROUP: Final = "serinus.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CATEGORY: Final = "serinus"

# Who we are in server-side apply and in the label by which our children are found.
MANAGER: Final = "serinus"

# Children carry the resource's name in their own, with a revision, an attempt and an index behind it, in 63 characters.
RESOURCE_NAME_LENGTH: Final = 40


class Label:
    """Labels on children: from them a lost status is rebuilt."""

    MANAGED_BY: Final = "app.kubernetes.io/managed-by"
    TRAINING_JOB: Final = f"{GROUP}/training-job"
    MODEL_DEPLOYMENT: Final = f"{GROUP}/model-deployment"
    REVISION: Final = f"{GROUP}/revision"
    ATTEMPT: Final = f"{GROUP}/attempt"
    VERSION: Final = f"{GROUP}/version"


class Annotation:
    """Annotations: `ACTION` is written by users on a resource, the others by us on children."""

    ACTION: Final = f"{GROUP}/action"
    APPLIED: Final = f"{GROUP}/applied"
    PARAMETERS: Final = f"{GROUP}/parameters"


class Environment:
    """What the container of a run finds in its environment, and may therefore not be given otherwise."""

    TRACKING_URI: Final = "MLFLOW_TRACKING_URI"
    EXPERIMENT_ID: Final = "MLFLOW_EXPERIMENT_ID"
    RUN_ID: Final = "MLFLOW_RUN_ID"
    PARAMETER_PREFIX: Final = "PARAM_"
    USERNAME: Final = "MLFLOW_TRACKING_USERNAME"
    PASSWORD: Final = "MLFLOW_TRACKING_PASSWORD"  # noqa: S105 (the name of a variable)
    TOKEN: Final = "MLFLOW_TRACKING_TOKEN"  # noqa: S105 (the name of a variable)


# Tags with this prefix are ours, on runs and on versions: by them a run or version is found again, never made twice.
TAG_PREFIX: Final = f"{MANAGER}."
# The key of a run or version: what it was made for, once.
CLUSTER_TAG: Final = f"{TAG_PREFIX}cluster"
KEY_TAG: Final = f"{TAG_PREFIX}key"
