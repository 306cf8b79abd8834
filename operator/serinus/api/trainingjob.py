"""TrainingJob: from training code to a registered model version."""

import re
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from serinus.api.base import OUTSIDE_REVISION, Items, KeyedBy, SpecPart
from serinus.api.names import Environment
from serinus.api.pod import Env, EnvFromList, PodTemplate, Resources
from serinus.api.resource import AGE, LOST_IF_UNREADABLE, Definition, PrinterColumn, Resource
from serinus.api.rules import Rule, broken, count, rule
from serinus.api.texts import (
    Alias,
    AliasOrNone,
    HttpAddressOrNone,
    ImageOrNone,
    LabelNameOrNone,
    MetricName,
    ModelName,
    NameOrNone,
    RelativePath,
    Tags,
)
from serinus.api.training_inputs import Input, Parameters, Source
from serinus.api.trainingjob_status import TrainingJobStatus

# $(params.depth), $(run.id): with a dot, so that the shell's $(date) and the kubelet's $(HOME) stay theirs.
REFERENCE = r"[$][(][a-z]+[.][-A-Za-z0-9_.]+[)]"
RUN_REFERENCE = "$(run.id)"
ATTEMPT_REFERENCE = "$(attempt)"

RUN_VARIABLES = (Environment.TRACKING_URI, Environment.EXPERIMENT_ID, Environment.RUN_ID)


def references(text: str) -> list[str]:
    """The references of ours in an argument; `$$(` is a literal `$(`, as in core/v1."""
    return re.findall(REFERENCE, text.replace("$$", ""))


Argument = Annotated[str, Field(max_length=16384)]


class Tracking(SpecPart):
    """Where the run is logged."""

    uri: HttpAddressOrNone = Field(default="", description='Address of the MLflow server. "": the operator\'s.')
    experiment: Annotated[str, Field(max_length=500)] = Field(
        default="", description='Experiment of the run, made if it is missing. "": <namespace>/<name> of this resource.'
    )
    credentials_secret: NameOrNone = Field(
        default="",
        description="Name of a Secret with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
        'MLFLOW_TRACKING_TOKEN. "": the operator\'s credentials for its own server, and none for another.',
    )
    tags: Tags = Field(default={}, description="Tags of the run.")


class Checkpoints(SpecPart):
    """A volume at /checkpoints that is kept over the attempts of a revision."""

    size: Annotated[str, Field(min_length=1, max_length=11, pattern="^[1-9][0-9]{0,8}(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$")] = (
        Field(description="Size of the volume, such as 1Gi.")
    )
    storage_class: NameOrNone = Field(
        default="",
        description='StorageClass of the volume. "": the cluster\'s default. With several workers it must provide '
        "ReadWriteMany.",
    )


class Versus(SpecPart):
    """The version to compare with."""

    alias: Alias = Field(
        description="Alias of `register.model`. Where there is no such alias yet the check passes, and says so."
    )


class Check(SpecPart):
    """One check of the gate: a metric within bounds, or compared with another version's."""

    metric: MetricName = Field(description="Name of the metric, as the run logged it. One that was not logged rejects.")
    min: float | None = Field(default=None, description="The metric is at least this.")
    max: float | None = Field(default=None, description="The metric is at most this.")
    versus: Versus | None = Field(default=None, description="Compare with the same metric of this version.")
    min_delta: float | None = Field(
        default=None, description="The metric less the other version's is at least this; -0.005 allows a small loss."
    )
    max_delta: float | None = Field(
        default=None, description="The metric less the other version's is at most this: for metrics that should be low."
    )

    @rule(
        "has(self.versus) || has(self.min) || has(self.max)",
        "a check needs a bound: set min, max, or versus with minDelta or maxDelta",
        expression="self.metric + ': a check needs a bound: set min, max, or versus with minDelta or maxDelta'",
    )
    def _has_bound(self) -> bool:
        return count(self.versus, self.min, self.max) > 0

    @rule(
        "!has(self.versus) || !(has(self.min) || has(self.max))",
        "min and max do not go with versus: make them a check of their own",
    )
    def _absolute_or_relative(self) -> bool:
        return self.versus is None or count(self.min, self.max) == 0

    @rule(
        "has(self.versus) == (has(self.minDelta) || has(self.maxDelta))",
        "versus and minDelta or maxDelta go together: add the one that is missing",
    )
    def _versus_with_delta(self) -> bool:
        return (self.versus is not None) == (count(self.min_delta, self.max_delta) > 0)

    @rule("!has(self.min) || !has(self.max) || self.min <= self.max", "min must not exceed max: swap them")
    def _min_at_most_max(self) -> bool:
        return self.min is None or self.max is None or self.min <= self.max

    @rule(
        "!has(self.minDelta) || !has(self.maxDelta) || self.minDelta <= self.maxDelta",
        "minDelta must not exceed maxDelta: swap them",
    )
    def _min_delta_at_most_max_delta(self) -> bool:
        return self.min_delta is None or self.max_delta is None or self.min_delta <= self.max_delta


class Register(SpecPart):
    """What becomes of a run that passes the gate: exactly one version for each revision."""

    model: ModelName = Field(description="Registered model that gets the version; made if it is missing.")
    artifact: Annotated[RelativePath, Field(min_length=1)] = Field(
        default="model", description="Name of the logged model, or its path among the artifacts of the run."
    )
    alias: AliasOrNone = Field(
        default="", description='Alias that is set on the version, such as challenger. "": none.'
    )
    tags: Tags = Field(default={}, description="Tags of the version.")
    description: Annotated[str, Field(max_length=5000)] = Field(default="", description="Description of the version.")


class TrainingJobSpec(SpecPart):
    """What to train, what counts as good, and what becomes of it."""

    image: ImageOrNone = Field(
        default="",
        description='Image of the training container, any that has the code or runs /src. "": the operator\'s.',
    )
    command: Annotated[Items[Argument], Field(max_length=64)] = Field(
        default=(), description="Program and first arguments. Default: the entrypoint of the image."
    )
    args: Annotated[Items[Argument], Field(max_length=256)] = Field(
        default=(),
        description="Arguments. $(params.NAME), $(run.id) and $(attempt) are substituted here and in `command`; "
        "write $$( for a literal $(.",
    )
    source: Source | None = Field(default=None, description="Code that is not in the image. Default: none.")
    parameters: Parameters = Field(
        default={},
        description="Parameters of the run. The container finds depth as PARAM_DEPTH in its environment, and all in "
        "/serinus/parameters.json.",
    )
    env: Annotated[
        Env,
        Rule(
            f"!self.exists(variable, variable.name in {list(RUN_VARIABLES)})",
            f"{', '.join(RUN_VARIABLES)} are set by the operator, so that the code joins its run: leave them out",
            lambda env: not any(variable.name in RUN_VARIABLES for variable in env),
        ),
    ] = Field(default=(), description="Environment variables, as in core/v1.")
    env_from: EnvFromList = Field(default=(), description="Environment variables out of ConfigMaps and Secrets.")
    resources: Resources = Field(default=Resources(), description="Resources of the training container.")
    pod_template: PodTemplate = Field(default=PodTemplate(), description="Overrides for the pod.")
    workers: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Number of pods that train together. More than 1: an Indexed Job, a headless Service, and the "
        "environment that torchrun reads.",
    )
    tracking: Tracking = Field(default=Tracking(), description="Where the run is logged.")
    inputs: Annotated[
        Items[Input],
        Field(max_length=32),
        KeyedBy("name"),
        Rule(
            "self.all(one, self.exists_one(other, other.mountPath == one.mountPath))",
            "two inputs have the same mountPath: give each its own",
            lambda inputs: len({one.mount_path for one in inputs}) == len(inputs),
        ),
    ] = Field(default=(), description="Data that the run reads.")
    backoff_limit: Annotated[int, OUTSIDE_REVISION] = Field(
        default=2,
        ge=0,
        le=100,
        description="Attempts after the first; preemption, eviction and node loss do not count.",
    )
    active_deadline_seconds: Annotated[int | None, OUTSIDE_REVISION] = Field(
        default=None,
        ge=1,
        le=31_536_000,
        description="Seconds after which the run is stopped and failed, all attempts together. Default: no deadline.",
    )
    ttl_seconds_after_finished: Annotated[int, OUTSIDE_REVISION] = Field(
        default=86_400,
        ge=0,
        le=31_536_000,
        description="Seconds after the end at which pods and volumes are removed; this resource stays, with its "
        "results.",
    )
    suspend: Annotated[bool, OUTSIDE_REVISION] = Field(
        default=False, description="Whether to stop the pods and start none."
    )
    queue: Annotated[LabelNameOrNone, OUTSIDE_REVISION] = Field(
        default="", description='Kueue LocalQueue that admits the pods. "": none.'
    )
    checkpoints: Checkpoints | None = Field(
        default=None, description="A volume at /checkpoints that is kept over attempts. Default: none."
    )
    gate: Annotated[Items[Check], Field(max_length=32)] = Field(
        default=(), description="What counts as good: the run passes if every check does. Default: every run passes."
    )
    registration: Register | None = Field(
        default=None,
        validation_alias="register",
        serialization_alias="register",
        description="What becomes of a run that passes. Default: nothing is registered.",
    )

    @rule(
        "!has(self.gate) || has(self.register) || !self.gate.exists(check, has(check.versus))",
        "gate compares with a version of register.model, but register is missing: add it, or leave out versus",
    )
    def _versus_needs_model(self) -> bool:
        return self.registration is not None or not any(check.versus for check in self.gate)

    # The API server cannot look into `parameters`, so this is checked by `parse` alone.
    @model_validator(mode="after")
    def _references_are_known(self) -> Self:
        known = {RUN_REFERENCE, *(f"$(params.{name})" for name in self.parameters)}
        unknown = [one for text in (*self.command, *self.args) for one in references(text) if one not in known]
        if unknown:
            raise broken(f"command or args say {unknown[0]}, which is unknown: {_remedy(unknown[0])}")
        return self


def _remedy(reference: str) -> str:
    if reference.startswith("$(params."):
        return "parameters has no such name; add it there, or correct it here"
    return "$(params.NAME), $(run.id) and $(attempt) are known; write $$( for a literal $("


class TrainingJob(Resource):
    """Trains a model, judges it, and registers it as a version.

    The hash of everything in spec that changes the result is the revision; each revision is trained once.
    """

    definition: ClassVar = Definition(
        kind="TrainingJob",
        plural="trainingjobs",
        short="tj",
        columns=(
            PrinterColumn("Phase", ".status.phase"),
            PrinterColumn("Attempt", ".status.attempt", type="integer"),
            PrinterColumn("Gate", ".status.gate.verdict"),
            PrinterColumn("Version", ".status.registered.version"),
            PrinterColumn("Run", ".status.run.id"),
            AGE,
            PrinterColumn("Progress", ".status.progress.percent", type="number", wide=True),
            PrinterColumn("Step", ".status.progress.step", type="integer", wide=True),
            PrinterColumn("Message", ".status.message", wide=True),
        ),
    )

    spec: TrainingJobSpec = Field(description="What to train, what counts as good, and what becomes of it.")
    status: Annotated[TrainingJobStatus, LOST_IF_UNREADABLE] = Field(
        default=TrainingJobStatus(), description="What became of it so far."
    )
