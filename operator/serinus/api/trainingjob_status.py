"""What became of a TrainingJob so far."""

from typing import Annotated, Literal

from pydantic import Field

from serinus.api.action_status import LastAction
from serinus.api.base import Address, Items, KeyedBy, Line, StatusPart, Word, clipped
from serinus.api.conditions import Conditions
from serinus.api.scalars import Time

JobPhase = Literal[
    "Pending",
    "Queued",
    "Running",
    "Evaluating",
    "Registering",
    "Succeeded",
    "Rejected",
    "Failed",
    "Suspended",
]
Outcome = Literal["Succeeded", "Rejected", "Failed", "Killed"]
GateVerdict = Literal["Passed", "Rejected"]


class ResolvedInput(StatusPart):
    """What an input turned out to be."""

    name: Word = Field(description="Name of the input.")
    sha256: Word = Field(default="", description="Digest of what was read.")
    rows: int | None = Field(default=None, description="Number of rows, where it is a table.")


class ResolvedRun(StatusPart):
    """What was resolved for this revision, and is used until the next."""

    image: Address = Field(default="", description="Image of the training container.")
    image_digest: Word = Field(default="", description="Digest of the image that ran, from the pod.")
    commit: Word = Field(default="", description="Commit of the code.")
    tracking_uri: Address = Field(default="", description="Address of the MLflow server.")
    experiment: Word = Field(default="", description="Name of the experiment.")
    inputs: Annotated[Items[ResolvedInput], Field(max_length=32), clipped(32), KeyedBy("name")] = Field(
        default=(), description="The inputs, by name."
    )


class Run(StatusPart):
    """The MLflow run of this revision."""

    id: Word = Field(description="Id of the run; of the parent run where there is more than one attempt.")
    experiment_id: Word = Field(default="", description="Id of its experiment.")
    url: Address = Field(default="", description="Where MLflow shows it.")


class Attempt(StatusPart):
    """One attempt of this revision."""

    number: int = Field(description="Number of the attempt; the first is 1.")
    run_id: Word = Field(default="", description="Id of its MLflow run.")
    started_at: Time | None = Field(default=None, description="When its pods started.")
    finished_at: Time | None = Field(default=None, description="When its pods ended.")
    reason: Word = Field(default="", description="Why it ended, such as Completed, OOMKilled, Error or Evicted.")
    exit_code: int | None = Field(default=None, description="Exit code of the container.")
    counted: bool = Field(default=True, description="Whether it counts towards `backoffLimit`.")
    final: bool = Field(default=False, description="Whether it makes no sense to try again.")
    message: Line = Field(default="", description="How it ended, in one line.")
    node: Word = Field(default="", description="Node of its pod; of its first one, if it has several.")


class BrokenExpectation(StatusPart):
    """An expectation that an input did not meet."""

    input: Word = Field(description="Name of the input.")
    column: Word = Field(default="", description="Name of the column; empty where it is about the table.")
    expected: Line = Field(description="What was expected.")
    found: Line = Field(description="What was found.")


class Metric(StatusPart):
    """A metric, as the run logged it last."""

    name: Word = Field(description="Name of the metric.")
    value: float = Field(description="Its last value.")


class Progress(StatusPart):
    """How far training is, from what the code logs anyway."""

    percent: float | None = Field(
        default=None,
        description="From a metric named progress, which goes from 0 to 1 or from 0 to 100; missing without one.",
    )
    step: int | None = Field(default=None, description="Highest step of any metric.")
    metrics: Annotated[Items[Metric], Field(max_length=8), clipped(8), KeyedBy("name")] = Field(
        default=(), description="Metrics, those of the gate first; 8 at most."
    )
    at: Time | None = Field(default=None, description="When this was seen to have changed.")


class CheckResult(StatusPart):
    """How one check of the gate went."""

    metric: Word = Field(description="Name of the metric.")
    verdict: GateVerdict = Field(description="How it went.")
    value: float | None = Field(default=None, description="The metric of this run; missing if it was not logged.")
    versus: float | None = Field(default=None, description="The metric of the version that it was compared with.")
    version: Word = Field(default="", description="The version that it was compared with.")
    message: Line = Field(default="", description="The check in one line, with its numbers.")


class GateResult(StatusPart):
    """How the gate judged the run."""

    verdict: GateVerdict = Field(description="Passed if every check passed.")
    summary: Line = Field(default="", description="The verdict in one line.")
    checks: Annotated[Items[CheckResult], Field(max_length=32), clipped(32)] = Field(
        default=(), description="The checks, in the order of the spec."
    )


class Registered(StatusPart):
    """The version that was registered."""

    model: Word = Field(description="Name of the registered model.")
    version: Word = Field(description="The version.")
    alias: Word = Field(default="", description="Alias that was set on it.")
    registered_at: Time | None = Field(default=None, description="When it was registered.")


class PastRun(StatusPart):
    """A revision that was finished earlier: going back to it does not train again."""

    revision: Word = Field(description="The revision.")
    outcome: Outcome = Field(description="How it ended.")
    reason: Word = Field(default="", description="Why it ended so, in one word.")
    run_id: Word = Field(default="", description="Id of its MLflow run.")
    version: Word = Field(default="", description="The version that was registered.")
    finished_at: Time | None = Field(default=None, description="When it ended.")
    message: Line = Field(default="", description="How it ended, in one line.")


class TrainingJobStatus(StatusPart):
    """What became of a TrainingJob so far."""

    observed_generation: int = Field(default=-1, ge=-1, description="Generation of the spec that this status is about.")
    phase: JobPhase | None = Field(default=None, description="Where the run is, in one word.")
    message: Line = Field(default="", description="Where the run is, in one line.")
    conditions: Conditions = Field(default=(), description="What was observed, by type.")
    revision: Word = Field(default="", description="Hash of everything in spec that changes the result.")
    resolved: ResolvedRun | None = Field(
        default=None, description="What was resolved for this revision, and is used until the next."
    )
    started_at: Time | None = Field(default=None, description="When the first attempt started.")
    finished_at: Time | None = Field(default=None, description="When the revision was finished.")
    attempt: int | None = Field(default=None, ge=0, le=2**31 - 1, description="Number of the current attempt.")
    failures: int = Field(
        default=0, ge=0, le=2**31 - 1, description="Number of attempts that count towards `backoffLimit`."
    )
    attempts: Annotated[Items[Attempt], Field(max_length=10), clipped(10)] = Field(
        default=(), description="The last attempts, oldest first."
    )
    run: Run | None = Field(default=None, description="The MLflow run of this revision.")
    progress: Progress | None = Field(default=None, description="How far the current attempt is.")
    last_log_lines: Annotated[Items[Line], Field(max_length=10), clipped(10)] = Field(
        default=(), description="The last lines that a failed attempt logged."
    )
    broken_expectations: Annotated[Items[BrokenExpectation], Field(max_length=32), clipped(32)] = Field(
        default=(), description="Expectations that the inputs did not meet."
    )
    gate: GateResult | None = Field(default=None, description="How the gate judged the run.")
    registered: Registered | None = Field(default=None, description="The version that was registered.")
    history: Annotated[Items[PastRun], Field(max_length=10), clipped(10)] = Field(
        default=(), description="Revisions that were finished earlier, oldest first."
    )
    last_action: LastAction | None = Field(default=None, description="The answer to the last action.")
