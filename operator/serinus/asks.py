"""What a plan may ask of the registry and of pods, and what it may be answered.

An ask is a value: two asks that are equal are one, and share an answer. Some asks are orders (`order = True`): they
bring about what they name, and look before they write, so that an order given twice is carried out once. The answer to
an ask that is not there is a value too (`Absent`); only what keeps the answer from being known is a `Trouble`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Literal, Self

type Pairs = tuple[tuple[str, str], ...]


def pairs(mapping: Mapping[str, object]) -> Pairs:
    """A mapping of texts as part of a value."""
    return tuple(sorted((key, str(value)) for key, value in mapping.items()))


@dataclass(frozen=True)
class Server:
    """An MLflow server, and the Secret with the credentials for it; without one, the operator's own are used."""

    uri: str
    namespace: str = ""
    secret: str = ""

    @classmethod
    def of(cls, uri: str, namespace: str, secret: str) -> Self:
        """The server as a resource names it. Without a Secret of their own all namespaces mean the same."""
        return cls(uri, namespace, secret) if secret else cls(uri)

    def __str__(self) -> str:
        return self.uri


class TroubleKind(StrEnum):
    """Why an answer is not known."""

    UNREACHABLE = "Unreachable"
    UNAUTHORIZED = "Unauthorized"
    CREDENTIALS_MISSING = "CredentialsMissing"
    REFUSED = "Refused"


@dataclass(frozen=True)
class Trouble:
    """What keeps an answer from being known, in one line that says what to do."""

    kind: TroubleKind
    message: str


@dataclass(frozen=True)
class Known[T]:
    """An answer, and when it was true."""

    value: T
    at: datetime


type Answer[T] = Known[T] | Trouble


@dataclass(frozen=True, kw_only=True)
class Ask[T]:
    """Something to be answered with a T; again after `every`, if that is given."""

    order: ClassVar[bool] = False

    every: timedelta | None = None


@dataclass(frozen=True, kw_only=True)
class RegistryAsk[T](Ask[T]):
    """An ask of an MLflow server."""

    server: Server


@dataclass(frozen=True)
class Absent:
    """The registry has no such thing; `what` says which, as in `model 'churn'`."""

    what: str


@dataclass(frozen=True)
class ModelVersion:
    """A registered version, as the registry has it now."""

    model: str
    version: str
    ready: bool
    run_id: str = ""
    source: str = ""
    model_id: str = ""
    created_at: datetime | None = None
    status: str = "READY"
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelDetails:
    """What the files of a version say of it."""

    flavors: tuple[str, ...]
    signature: Mapping[str, Any] | None
    input_example: str | None
    requirements: tuple[str, ...]
    python: str
    size: int | None


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
class ResolveVersion(RegistryAsk[ModelVersion | Absent]):
    """Which version an alias points at, or what a version is; exactly one of the two is given."""

    model: str
    alias: str = ""
    version: str = ""


@dataclass(frozen=True, kw_only=True)
class ReadModel(RegistryAsk[ModelDetails | Absent]):
    """What the files of a version say of it."""

    model: str
    version: str


@dataclass(frozen=True, kw_only=True)
class FindVersions(RegistryAsk[tuple[ModelVersion, ...]]):
    """The versions of a model that have a tag, newest first."""

    model: str
    tag: str
    value: str


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


@dataclass(frozen=True, kw_only=True)
class EnsureVersion(RegistryAsk[ModelVersion]):
    """There is one version of the model with this key, made from this source if it is missing.

    The model is made if it is missing. The key is a tag of the version; of two by accident, the older one is meant.
    """

    order: ClassVar[bool] = True

    model: str
    key: str
    source: str
    run_id: str
    model_id: str = ""
    description: str = ""
    tags: Pairs = ()


@dataclass(frozen=True, kw_only=True)
class SetAlias(RegistryAsk[ModelVersion | Absent]):
    """The alias points at this version."""

    order: ClassVar[bool] = True

    model: str
    alias: str
    version: str


@dataclass(frozen=True, kw_only=True)
class TagVersion(RegistryAsk[ModelVersion | Absent]):
    """The version has these tags."""

    order: ClassVar[bool] = True

    model: str
    version: str
    tags: Pairs


@dataclass(frozen=True)
class PodAddress:
    """A pod, and where it answers."""

    name: str
    ip: str


@dataclass(frozen=True)
class Sample:
    """One number that a pod counts or measures, in Prometheus terms."""

    name: str
    labels: Pairs
    value: float


@dataclass(frozen=True)
class PodSamples:
    """What one pod said of itself, and when; no samples and a trouble if it did not answer."""

    pod: str
    at: datetime
    samples: tuple[Sample, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, kw_only=True)
class Scrape(Ask[tuple[PodSamples, ...]]):
    """What each of these pods counts, of the metrics whose names begin with `prefix`."""

    pods: tuple[PodAddress, ...]
    port: int
    path: str = "/metrics"
    prefix: str = ""
