"""How a new revision of a ModelDeployment takes over the traffic: steps, and the analysis that judges it."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from serinus.api.base import Items, SpecPart
from serinus.api.rules import Rule, count, exactly_one, rule
from serinus.api.scalars import Percentage, Within
from serinus.api.texts import AliasOrNone

StepTime = Annotated[timedelta, Within("1s", "720h")]
SoakTime = Annotated[timedelta, Within("0s", "168h")]
Interval = Annotated[timedelta, Within("1s", "1h")]
Latency = Annotated[timedelta, Within("1ms", "10m")]


class AnalysisStep(SpecPart):
    """Waits for a verdict."""

    duration: StepTime = Field(
        default=timedelta(minutes=5), description="How long evidence is gathered at least before the verdict."
    )


class Pause(SpecPart):
    """Waits."""

    duration: StepTime | None = Field(
        default=None, description="How long to wait. Default: until the action `promote`."
    )


class Step(SpecPart):
    """One step of a rollout: exactly one verb."""

    set_weight: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Percentage of the traffic that the canary gets from here on; 0: none, it only stands ready.",
    )
    analysis: AnalysisStep | None = Field(default=None, description="Wait for a verdict of the analysis.")
    pause: Pause | None = Field(default=None, description="Wait for some time, or with {} for the action `promote`.")

    @rule(
        exactly_one("setWeight", "analysis", "pause"),
        "a step has exactly one of setWeight, analysis and pause: make each a step of its own",
    )
    def _one_verb(self) -> bool:
        return count(self.set_weight, self.analysis, self.pause) == 1


FULL_WEIGHT = 100


def _weights(steps: tuple[Step, ...]) -> list[int]:
    return [step.set_weight for step in steps if step.set_weight is not None]


def _full_weight_is_last(steps: tuple[Step, ...]) -> bool:
    return FULL_WEIGHT not in _weights(steps[:-1])


def _weight_before_analysis(steps: tuple[Step, ...]) -> bool:
    first = next((step for step in steps if step.set_weight or step.analysis is not None), None)
    return first is None or first.analysis is None


_WEIGHTS = "self.filter(step, has(step.setWeight)).map(step, step.setWeight)"
_TRAFFIC = "self.map(step, has(step.setWeight) && step.setWeight > 0)"
Steps = Annotated[
    Items[Step],
    Field(min_length=1, max_length=32),
    Rule(
        f"{_WEIGHTS}.isSorted()",
        "weights must not decrease from step to step: put them in ascending order",
        lambda steps: _weights(steps) == sorted(_weights(steps)),
    ),
    Rule(
        f"self.map(step, has(step.setWeight) && step.setWeight == {FULL_WEIGHT}).indexOf(true)"
        " in [-1, self.size() - 1]",
        "setWeight: 100 must be the last step, for stable has no traffic then; soak goes on judging",
        _full_weight_is_last,
    ),
    Rule(
        "self.map(step, has(step.analysis)).indexOf(true) == -1"
        f" || ({_TRAFFIC}.exists(gets, gets) && {_TRAFFIC}.indexOf(true)"
        " < self.map(step, has(step.analysis)).indexOf(true))",
        "an analysis step needs traffic to judge: put a setWeight above 0 before it",
        _weight_before_analysis,
    ),
]


class ErrorRate(SpecPart):
    """The share of requests that failed."""

    max: float | None = Field(default=None, ge=0, le=1, description="The canary's rate is at most this.")
    worse_than_stable: float | None = Field(
        default=None, ge=0, le=1, description="The canary's rate exceeds stable's over the same time by at most this."
    )

    @rule(exactly_one("max", "worseThanStable"), "errorRate needs exactly one of max and worseThanStable")
    def _one_threshold(self) -> bool:
        return count(self.max, self.worse_than_stable) == 1


class LatencyLimit(SpecPart):
    """The time that requests take."""

    quantile: float = Field(gt=0, lt=1, description="Which requests: 0.95 is about the slowest 5 %.")
    max: Latency | None = Field(default=None, description="The canary's quantile is at most this.")
    worse_than_stable: Annotated[Decimal, Percentage()] | None = Field(
        default=None, description="The canary's quantile exceeds stable's over the same time by at most this, as 20%."
    )

    @rule(exactly_one("max", "worseThanStable"), "latency needs exactly one of max and worseThanStable")
    def _one_threshold(self) -> bool:
        return count(self.max, self.worse_than_stable) == 1


class PredictionDrift(SpecPart):
    """How far the canary's outputs are distributed differently from stable's."""

    max: float = Field(gt=0, le=10, description="The population stability index (PSI) is at most this; 0.2 is usual.")


class Prometheus(SpecPart):
    """A number out of Prometheus."""

    query: Annotated[str, Field(min_length=1, max_length=4096)] = Field(
        description="PromQL that gives one number for the canary."
    )
    max: float = Field(description="The number is at most this.")


class Metric(SpecPart):
    """One thing that the canary is judged by: exactly one kind."""

    error_rate: ErrorRate | None = Field(default=None, description="The share of requests that failed.")
    latency: LatencyLimit | None = Field(default=None, description="The time that requests take.")
    prediction_drift: PredictionDrift | None = Field(
        default=None, description="How far the outputs are distributed differently from stable's."
    )
    prometheus: Prometheus | None = Field(default=None, description="A number out of Prometheus.")

    @rule(
        exactly_one("errorRate", "latency", "predictionDrift", "prometheus"),
        "a metric has exactly one of errorRate, latency, predictionDrift and prometheus: make each an item of its own",
    )
    def _one_kind(self) -> bool:
        return count(self.error_rate, self.latency, self.prediction_drift, self.prometheus) == 1


class Analysis(SpecPart):
    """How the canary is judged, the whole time that it has traffic."""

    interval: Interval = Field(default=timedelta(seconds=10), description="How often the metrics are read.")
    min_samples: int = Field(
        default=200, ge=1, le=10**6, description="Requests to the canary before any verdict but a hard failure."
    )
    confidence: float = Field(
        default=0.99,
        ge=0.5,
        lt=1,
        description="How sure a verdict is: a good canary is rolled back in one of 100 rollouts at most with 0.99, "
        "however often the metrics are read.",
    )
    metrics: Annotated[Items[Metric], Field(min_length=1, max_length=16)] = Field(
        default=(Metric(error_rate=ErrorRate(worse_than_stable=0.01)),),
        description="What the canary is judged by: it fails with any of them. Default: errorRate with "
        "worseThanStable 0.01.",
    )
    on_no_data: Literal["Hold", "Pass", "Fail"] = Field(
        default="Hold", description="What becomes of an analysis step when there are too few requests."
    )
    on_provider_error: Literal["Hold"] = Field(
        default="Hold",
        description="What happens while a metric cannot be read: weights stay as they are, for an outage says nothing "
        "about the canary.",
    )
    dry_run: bool = Field(default=False, description="Whether verdicts are only shown, and never act.")


class Soak(SpecPart):
    """The time after promotion in which the old revision stays warm."""

    duration: SoakTime = Field(
        default=timedelta(minutes=15),
        description="How long the old revision stays warm and the analysis goes on; 0s: not at all.",
    )


DEFAULT_STEPS = (
    Step(set_weight=10),
    Step(analysis=AnalysisStep()),
    Step(set_weight=50),
    Step(analysis=AnalysisStep()),
    Step(set_weight=100),
)


class Rollout(SpecPart):
    """How a new revision takes over the traffic."""

    steps: Steps = Field(
        default=DEFAULT_STEPS,
        description="What happens, in this order; after the last step the canary is promoted. Default: 10 %, "
        "50 % and 100 %, each but the last with an analysis.",
    )
    analysis: Analysis = Field(default=Analysis(), description="How the canary is judged.")
    progress_deadline_seconds: int = Field(
        default=600, ge=1, le=86_400, description="Seconds in which the pods of a canary must become ready."
    )
    soak: Soak = Field(default=Soak(), description="The time after promotion in which the old revision stays warm.")
    promoted_alias: AliasOrNone = Field(
        default="", description='Alias that is set on the version once it is promoted, such as champion. "": none.'
    )
    revision_history_limit: int = Field(
        default=5, ge=1, le=10, description="Number of old revisions that can be gone back to."
    )
    allow_incompatible_signature: bool = Field(
        default=False,
        description="Whether to roll out a version whose signature has a new required column or a narrower type.",
    )
