"""Conditions as metav1.Condition, and the closed lists of their reasons."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from serinus.api.base import Items, KeyedBy, StatusPart, clipped
from serinus.api.scalars import Time

MESSAGE_LENGTH: Final = 1024


class ConditionType(StrEnum):
    """What a condition is about. `Reconciling` and `Stalled` are True or absent, and never both there."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    # of a TrainingJob
    SUSPENDED = "Suspended"
    DATA_VALID = "DataValid"
    TRAINED = "Trained"
    GATE_PASSED = "GatePassed"
    REGISTERED = "Registered"
    MLFLOW_AVAILABLE = "MLflowAvailable"
    COMPLETE = "Complete"
    FAILED = "Failed"
    # of a ModelDeployment
    AVAILABLE = "Available"
    PAUSED = "Paused"
    MODEL_RESOLVED = "ModelResolved"
    ROUTE_READY = "RouteReady"


class Reason(StrEnum):
    """Why a condition has its status. `TRAINING_JOB` and `MODEL_DEPLOYMENT` say which belongs to which."""

    # the resource itself
    PENDING = "Pending"
    INVALID_SPEC = "InvalidSpec"
    NAME_TAKEN = "NameTaken"
    FORBIDDEN = "Forbidden"
    # pods
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CONFIGURATION_MISSING = "ConfigurationMissing"
    QUOTA_EXCEEDED = "QuotaExceeded"
    INSUFFICIENT_CAPACITY = "InsufficientCapacity"
    # training
    QUEUED = "Queued"
    STARTING = "Starting"
    TRAINING = "Training"
    RETRYING = "Retrying"
    EVALUATING = "Evaluating"
    REGISTERING = "Registering"
    STOPPING = "Stopping"
    SUCCEEDED = "Succeeded"
    SUSPENDED = "Suspended"
    RESUMED = "Resumed"
    ALL_EXPECTATIONS_MET = "AllExpectationsMet"
    EXPECTATIONS_BROKEN = "ExpectationsBroken"
    DIGEST_MISMATCH = "DigestMismatch"
    INPUT_UNREADABLE = "InputUnreadable"
    SOURCE_UNREADABLE = "SourceUnreadable"
    COMPLETED = "Completed"
    OOM_KILLED = "OOMKilled"
    ERROR = "Error"
    EVICTED = "Evicted"
    PREEMPTED = "Preempted"
    NODE_LOST = "NodeLost"
    POD_DELETED = "PodDeleted"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded"
    ALL_CHECKS_PASSED = "AllChecksPassed"
    CHECKS_FAILED = "ChecksFailed"
    METRIC_MISSING = "MetricMissing"
    NO_CHECKS = "NoChecks"
    GATE_REJECTED = "GateRejected"
    VERSION_REGISTERED = "VersionRegistered"
    NOT_REQUESTED = "NotRequested"
    ARTIFACT_MISSING = "ArtifactMissing"
    # the registry
    REACHABLE = "Reachable"
    UNREACHABLE = "Unreachable"
    UNAUTHORIZED = "Unauthorized"
    RESOLVED = "Resolved"
    MODEL_NOT_FOUND = "ModelNotFound"
    ALIAS_NOT_FOUND = "AliasNotFound"
    VERSION_NOT_FOUND = "VersionNotFound"
    VERSION_NOT_READY = "VersionNotReady"
    # serving and rolling out
    MINIMUM_REPLICAS_AVAILABLE = "MinimumReplicasAvailable"
    NO_READY_REPLICAS = "NoReadyReplicas"
    ROLLOUT_COMPLETE = "RolloutComplete"
    ROLLOUT_IN_PROGRESS = "RolloutInProgress"
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"
    RESOLVING_MODEL = "ResolvingModel"
    PREPARING_ENVIRONMENT = "PreparingEnvironment"
    SCALING = "Scaling"
    CANARY_STEP = "CanaryStep"
    ANALYZING = "Analyzing"
    PROMOTING = "Promoting"
    ROLLING_BACK = "RollingBack"
    SOAKING = "Soaking"
    ANALYSIS_FAILED = "AnalysisFailed"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    MODEL_LOAD_FAILED = "ModelLoadFailed"
    PREDICTION_FAILED = "PredictionFailed"
    INCOMPATIBLE_SIGNATURE = "IncompatibleSignature"
    PAUSE_STEP = "PauseStep"
    PAUSE_REQUESTED = "PauseRequested"
    INCONCLUSIVE = "Inconclusive"
    NO_DATA = "NoData"
    PROVIDER_ERROR = "ProviderError"
    ROLLBACK_REQUESTED = "RollbackRequested"
    ROUTE_ACCEPTED = "RouteAccepted"
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
    GATEWAY_NOT_FOUND = "GatewayNotFound"
    REPLICA_RATIO = "ReplicaRatio"


_POD_TROUBLES = (Reason.IMAGE_PULL_FAILED, Reason.CONFIGURATION_MISSING, Reason.QUOTA_EXCEEDED)
_RUN_FAILURES = (Reason.BACKOFF_LIMIT_EXCEEDED, Reason.DEADLINE_EXCEEDED)
_INPUT_FAILURES = (Reason.EXPECTATIONS_BROKEN, Reason.DIGEST_MISMATCH, Reason.INPUT_UNREADABLE)
_ATTEMPT_ENDS = (
    Reason.OOM_KILLED,
    Reason.ERROR,
    Reason.EVICTED,
    Reason.PREEMPTED,
    Reason.NODE_LOST,
    Reason.POD_DELETED,
)
_REFUSED = (Reason.INVALID_SPEC, Reason.NAME_TAKEN, Reason.FORBIDDEN)
_TRAINING_PROGRESS = (
    Reason.PENDING,
    Reason.QUEUED,
    Reason.STARTING,
    Reason.TRAINING,
    Reason.RETRYING,
    Reason.EVALUATING,
    Reason.REGISTERING,
    Reason.STOPPING,
)
_ROLLOUT_PROGRESS = (
    Reason.PENDING,
    # A child is on its way out, and made anew when it is gone.
    Reason.STOPPING,
    Reason.RESOLVING_MODEL,
    Reason.PREPARING_ENVIRONMENT,
    Reason.SCALING,
    Reason.CANARY_STEP,
    Reason.ANALYZING,
    Reason.PROMOTING,
    Reason.ROLLING_BACK,
    Reason.SOAKING,
)
_ROLLOUT_FAILURES = (
    Reason.ANALYSIS_FAILED,
    Reason.PROGRESS_DEADLINE_EXCEEDED,
    Reason.MODEL_LOAD_FAILED,
    Reason.PREDICTION_FAILED,
    Reason.INSUFFICIENT_CAPACITY,
    Reason.ABORTED,
)
_JOB_STOPPED = (
    *_REFUSED,
    *_POD_TROUBLES,
    *_RUN_FAILURES,
    *_INPUT_FAILURES,
    Reason.SOURCE_UNREADABLE,
    Reason.GATE_REJECTED,
    Reason.ARTIFACT_MISSING,
    Reason.UNAUTHORIZED,
)
_UNRESOLVED = (
    Reason.MODEL_NOT_FOUND,
    Reason.ALIAS_NOT_FOUND,
    Reason.VERSION_NOT_FOUND,
    Reason.VERSION_NOT_READY,
    Reason.UNREACHABLE,
    Reason.UNAUTHORIZED,
)
_ROLLOUT_STOPPED = (*_REFUSED, *_POD_TROUBLES, *_ROLLOUT_FAILURES, Reason.INCOMPATIBLE_SIGNATURE, *_UNRESOLVED)
_HELD = (
    Reason.PAUSE_STEP,
    Reason.PAUSE_REQUESTED,
    Reason.INCONCLUSIVE,
    Reason.NO_DATA,
    Reason.PROVIDER_ERROR,
    Reason.INCOMPATIBLE_SIGNATURE,
    Reason.ROLLBACK_REQUESTED,
)

type Reasons = Mapping[ConditionType, AbstractSet[Reason]]

TRAINING_JOB: Final[Reasons] = {
    ConditionType.READY: {Reason.SUCCEEDED, Reason.SUSPENDED, *_TRAINING_PROGRESS, *_JOB_STOPPED},
    ConditionType.RECONCILING: {*_TRAINING_PROGRESS, Reason.UNREACHABLE},
    ConditionType.STALLED: {*_JOB_STOPPED},
    ConditionType.SUSPENDED: {Reason.SUSPENDED, Reason.RESUMED},
    ConditionType.DATA_VALID: {Reason.ALL_EXPECTATIONS_MET, *_INPUT_FAILURES},
    ConditionType.TRAINED: {
        Reason.COMPLETED,
        *_ATTEMPT_ENDS,
        *_RUN_FAILURES,
        *_INPUT_FAILURES,
        Reason.SOURCE_UNREADABLE,
    },
    ConditionType.GATE_PASSED: {
        Reason.ALL_CHECKS_PASSED,
        Reason.NO_CHECKS,
        Reason.CHECKS_FAILED,
        Reason.METRIC_MISSING,
    },
    ConditionType.REGISTERED: {Reason.VERSION_REGISTERED, Reason.NOT_REQUESTED, Reason.ARTIFACT_MISSING},
    ConditionType.MLFLOW_AVAILABLE: {Reason.REACHABLE, Reason.UNREACHABLE, Reason.UNAUTHORIZED},
    ConditionType.COMPLETE: {Reason.SUCCEEDED, Reason.GATE_REJECTED},
    ConditionType.FAILED: {
        *_RUN_FAILURES,
        *_INPUT_FAILURES,
        Reason.SOURCE_UNREADABLE,
        Reason.ARTIFACT_MISSING,
    },
}

MODEL_DEPLOYMENT: Final[Reasons] = {
    ConditionType.READY: {
        Reason.ROLLOUT_COMPLETE,
        Reason.ROLLOUT_IN_PROGRESS,
        Reason.ROLLED_BACK,
        Reason.NO_READY_REPLICAS,
        *_HELD,
        *_ROLLOUT_PROGRESS,
        *_ROLLOUT_STOPPED,
    },
    ConditionType.AVAILABLE: {Reason.MINIMUM_REPLICAS_AVAILABLE, Reason.NO_READY_REPLICAS},
    ConditionType.RECONCILING: {*_ROLLOUT_PROGRESS},
    ConditionType.STALLED: {*_ROLLOUT_STOPPED},
    ConditionType.PAUSED: {*_HELD},
    ConditionType.MODEL_RESOLVED: {Reason.RESOLVED, *_UNRESOLVED},
    ConditionType.ROUTE_READY: {
        Reason.ROUTE_ACCEPTED,
        Reason.ROUTE_NOT_ACCEPTED,
        Reason.GATEWAY_NOT_FOUND,
        Reason.REPLICA_RATIO,
        Reason.NAME_TAKEN,
    },
}


# Types and reasons are open on the wire: an older definition must not refuse what a newer operator writes.
class Condition(StatusPart):
    """One observation about a resource, as metav1.Condition."""

    type: Annotated[str, Field(min_length=1, max_length=64, pattern="^[A-Za-z]+$")] = Field(
        description="What it is about."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: Annotated[str, Field(min_length=1, max_length=64, pattern="^[A-Za-z]+$")] = Field(
        description="Why, as one word for programs."
    )
    message: Annotated[str, Field(max_length=MESSAGE_LENGTH), clipped(MESSAGE_LENGTH)] = Field(
        description="Why, as one line for people, with the numbers in it."
    )
    last_transition_time: Time = Field(description="When `status` last changed.")
    observed_generation: int = Field(default=0, ge=0, description="Generation of the resource that it is about.")


Conditions = Annotated[Items[Condition], Field(max_length=16), KeyedBy("type")]
