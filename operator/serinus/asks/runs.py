"""Runs: what they are, what may be asked of them, and what may be ordered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from serinus.asks.base import Absent, Pairs, RegistryAsk

RunStatus = Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]
RunEnd = Literal["FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True)
class Run:
    """A run, as the registry has it now. Of a metric that was logged more than once, the last value."""

    id: str
    experiment_id: str
    status: RunStatus
    name: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoggedModel:
    """A model that a run logged: what a version is made from. Its metrics are those that were logged to itself."""

    source: str
    model_id: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ReadRun(RegistryAsk[Run | Absent]):
    """A run; `since` makes it another ask, whose answer is not older than that."""

    run_id: str
    since: str = ""


@dataclass(frozen=True, kw_only=True)
class FindRuns(RegistryAsk[tuple[Run, ...]]):
    """The runs of an experiment that have a tag, newest first; of no experiment if it is missing.

    `since` makes it another ask, whose answer is not older than that.
    """

    experiment: str
    tag: str
    value: str
    since: str = ""


@dataclass(frozen=True, kw_only=True)
class FindModel(RegistryAsk[LoggedModel | Absent]):
    """What a run logged under this name or path: the last one, if there are several. `Absent` says what there is.

    Whether the run itself is still there is not looked at where there is a model.

    `since` makes it another ask, whose answer is not older than that.
    """

    experiment_id: str
    run_id: str
    artifact: str
    since: str = ""


@dataclass(frozen=True, kw_only=True)
class EnsureRun(RegistryAsk[Run]):
    """There is one run with this key, in this experiment, both made if they are missing.

    The key is a tag of the run, by which it is found again. Where there are two by accident, the older one is meant.
    """

    order: ClassVar[bool] = True

    experiment: str
    key: str
    name: str = ""
    parent: str = ""
    params: Pairs = ()
    tags: Pairs = ()


@dataclass(frozen=True, kw_only=True)
class EndRun(RegistryAsk[Run | Absent]):
    """The run has this end and these tags. A run that has already ended otherwise gets this end."""

    order: ClassVar[bool] = True

    run_id: str
    end: RunEnd
    tags: Pairs = ()


@dataclass(frozen=True, kw_only=True)
class TagRun(RegistryAsk[Run | Absent]):
    """The run has these tags."""

    order: ClassVar[bool] = True

    run_id: str
    tags: Pairs


@dataclass(frozen=True)
class Dataset:
    """What a run read: where it came from, its digest, and how many rows it has where it is a table."""

    name: str
    uri: str
    sha256: str
    rows: int | None = None


@dataclass(frozen=True)
class Progress:
    """How far a run is: the last value of each metric, and the highest step of any; None without steps."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    step: int | None = None


@dataclass(frozen=True, kw_only=True)
class ReadProgress(RegistryAsk[Progress | Absent]):
    """How far a run is. Many of these together cost hardly more than one."""

    experiment_id: str
    run_id: str


@dataclass(frozen=True, kw_only=True)
class FindOpenRuns(RegistryAsk[tuple[Run, ...]]):
    """The runs of all experiments that have a tag and are not over: RUNNING or SCHEDULED."""

    tag: str
    value: str


@dataclass(frozen=True, kw_only=True)
class LogInputs(RegistryAsk[Run | Absent]):
    """The run has these dataset inputs."""

    order: ClassVar[bool] = True

    run_id: str
    inputs: tuple[Dataset, ...]


@dataclass(frozen=True, kw_only=True)
class QueueRun(RegistryAsk[Run | Absent]):
    """The run is not RUNNING but SCHEDULED: it waits for a place. A run that is over is left as it is.

    `since` makes it another order, given once more.
    """

    order: ClassVar[bool] = True

    run_id: str
    since: str = ""
