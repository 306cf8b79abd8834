"""What serves now, and where a rollout is."""

from typing import Annotated, Literal

from pydantic import Field

from serinus.api.action_status import LastAction
from serinus.api.base import Address, Items, Line, StatusPart, Word, clipped
from serinus.api.conditions import Conditions
from serinus.api.scalars import Time

DeploymentPhase = Literal["Pending", "Progressing", "Paused", "Healthy", "Degraded"]
Verdict = Literal["Pass", "Fail", "Inconclusive"]
RolloutOutcome = Literal["Promoted", "RolledBack", "Aborted", "Superseded"]
Weight = Annotated[int, Field(ge=0, le=100)]
Number = Annotated[int, Field(ge=0, le=2**31 - 1)]


class ResolvedModel(StatusPart):
    """The version that is desired, as the registry has it."""

    name: Word = Field(description="Name of the registered model.")
    alias: Word = Field(default="", description="Alias that led to it; empty where the version is pinned.")
    version: Word = Field(description="The version.")
    run_id: Word = Field(default="", description="Run that made it.")
    source: Address = Field(default="", description="Where its files are.")
    flavor: Word = Field(default="", description="Flavor that is served, such as sklearn.")
    resolved_at: Time | None = Field(default=None, description="When the registry said so.")


class RevisionStatus(StatusPart):
    """A revision that has pods, with what was resolved for it."""

    revision: Word = Field(description="Hash of the model version and of everything in `server` that changes the pod.")
    version: Word = Field(description="Model version that it serves.")
    image: Address = Field(default="", description="Image of its pods.")
    registry_uri: Address = Field(default="", description="Address of the MLflow server that it came from.")
    replicas: Number = Field(default=0, description="Number of pods that are wanted.")
    ready_replicas: Number = Field(default=0, description="Number of pods that are ready.")
    weight: Weight = Field(default=0, description="Percentage of the traffic that it is to get.")
    verified_weight: float | None = Field(
        default=None, ge=0, le=100, description="Percentage of the traffic that it really got, as measured."
    )
    since: Time | None = Field(default=None, description="Since when it is in this place.")


class StepStatus(StatusPart):
    """Where the rollout is."""

    index: Number = Field(description="Index of the current step; the first is 0.")
    total: Number = Field(description="Number of steps.")
    name: Word = Field(default="", description="The step in words, such as setWeight 10.")
    display: Word = Field(default="", description="The step for a table, such as 3/6.")
    hash: Word = Field(default="", description="Hash of the steps: when they change, the rollout starts over.")
    started_at: Time | None = Field(default=None, description="When this step started.")


class MetricResult(StatusPart):
    """What one metric says."""

    name: Word = Field(description="Name of the metric, such as errorRate or latency p95.")
    verdict: Verdict = Field(description="What it says.")
    canary: float | None = Field(default=None, description="Value of the canary.")
    stable: float | None = Field(default=None, description="Value of stable over the same time.")
    threshold: Word = Field(default="", description="What it is held against, such as max 0.01.")
    low: float | None = Field(default=None, description="Lower end of the confidence interval of what is judged.")
    high: float | None = Field(default=None, description="Upper end of the confidence interval of what is judged.")
    canary_samples: int = Field(default=0, description="Requests to the canary that it rests on.")
    stable_samples: int = Field(default=0, description="Requests to stable that it rests on.")
    measured_at: Time | None = Field(default=None, description="When it was read.")
    message: Line = Field(default="", description="What it says in one line, with the numbers.")


class AnalysisStatus(StatusPart):
    """How the canary is judged so far."""

    verdict: Verdict = Field(description="Fail if any metric fails, Pass if all pass.")
    message: Line = Field(default="", description="The verdict in one line.")
    started_at: Time | None = Field(default=None, description="Since when evidence is gathered.")
    metrics: Annotated[Items[MetricResult], Field(max_length=16), clipped(16)] = Field(
        default=(), description="The metrics, in the order of the spec."
    )


class RejectedVersion(StatusPart):
    """A revision that was rolled back: it gets no traffic again unless asked for."""

    revision: Word = Field(description="The revision.")
    version: Word = Field(description="Its model version.")
    reason: Word = Field(description="Why, in one word.")
    message: Line = Field(default="", description="Why, with the numbers that condemned it.")
    rejected_at: Time | None = Field(default=None, description="When.")


class PastRollout(StatusPart):
    """A rollout that is over."""

    revision: Word = Field(description="The revision that was rolled out.")
    version: Word = Field(description="Its model version.")
    image: Address = Field(default="", description="Image of its pods.")
    outcome: RolloutOutcome = Field(description="How it ended.")
    message: Line = Field(default="", description="How it ended, in one line.")
    started_at: Time | None = Field(default=None, description="When it started.")
    finished_at: Time | None = Field(default=None, description="When it ended.")


class ModelDeploymentStatus(StatusPart):
    """What serves now, and where a rollout is."""

    observed_generation: int = Field(default=-1, ge=-1, description="Generation of the spec that this status is about.")
    phase: DeploymentPhase | None = Field(default=None, description="Where the deployment is, in one word.")
    message: Line = Field(default="", description="Where the deployment is, in one line.")
    conditions: Conditions = Field(default=(), description="What was observed, by type.")
    resolved: ResolvedModel | None = Field(
        default=None, description="The version that is desired, as the registry has it."
    )
    stable: RevisionStatus | None = Field(default=None, description="The revision that serves.")
    canary: RevisionStatus | None = Field(default=None, description="The revision that is rolled out.")
    previous: RevisionStatus | None = Field(
        default=None, description="The revision that served before: warm during the soak, and the way back."
    )
    step: StepStatus | None = Field(default=None, description="Where the rollout is.")
    analysis: AnalysisStatus | None = Field(default=None, description="How the canary is judged so far.")
    paused_since: Time | None = Field(default=None, description="Since when the rollout is held.")
    soak_since: Time | None = Field(default=None, description="Since when the previous revision is kept warm.")
    last_action: LastAction | None = Field(default=None, description="The answer to the last action.")
    rejected_versions: Annotated[Items[RejectedVersion], Field(max_length=20), clipped(20)] = Field(
        default=(), description="Revisions that were rolled back, oldest first."
    )
    history: Annotated[Items[PastRollout], Field(max_length=10), clipped(10)] = Field(
        default=(), description="Rollouts that are over, oldest first."
    )
    url: Address = Field(default="", description="Where it answers.")
    replicas: Number = Field(default=0, description="Number of pods of stable.")
    selector: Annotated[str, Field(max_length=1024)] = Field(
        default="", description="Label selector of the pods, for the scale subresource."
    )
