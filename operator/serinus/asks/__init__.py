"""What a plan may ask of the registry and of pods, and what it may be answered.

An ask is a value: two asks that are equal are one, and share an answer. Some asks are orders (`order = True`): they
bring about what they name, and look before they write, so that an order given twice is carried out once. The answer to
an ask that is not there is a value too (`Absent`); only what keeps the answer from being known is a `Trouble`.
"""

from serinus.asks.base import Absent, Answer, Ask, Known, Pairs, RegistryAsk, Server, Trouble, TroubleKind, pairs
from serinus.asks.pods import PodAddress, PodSamples, ReadWarning, Sample, Scrape
from serinus.asks.runs import (
    Dataset,
    EndRun,
    EnsureRun,
    FindModel,
    FindOpenRuns,
    FindRuns,
    LoggedModel,
    LogInputs,
    Progress,
    QueueRun,
    ReadProgress,
    ReadRun,
    Run,
    RunEnd,
    RunStatus,
    TagRun,
)
from serinus.asks.versions import (
    EnsureVersion,
    FindVersions,
    ModelDetails,
    ModelVersion,
    ReadModel,
    ResolveVersion,
    SetAlias,
    TagVersion,
)

__all__ = [
    "Absent",
    "Answer",
    "Ask",
    "Dataset",
    "EndRun",
    "EnsureRun",
    "EnsureVersion",
    "FindModel",
    "FindOpenRuns",
    "FindRuns",
    "FindVersions",
    "Known",
    "LogInputs",
    "LoggedModel",
    "ModelDetails",
    "ModelVersion",
    "Pairs",
    "PodAddress",
    "PodSamples",
    "Progress",
    "QueueRun",
    "ReadModel",
    "ReadProgress",
    "ReadRun",
    "ReadWarning",
    "RegistryAsk",
    "ResolveVersion",
    "Run",
    "RunEnd",
    "RunStatus",
    "Sample",
    "Scrape",
    "Server",
    "SetAlias",
    "TagRun",
    "TagVersion",
    "Trouble",
    "TroubleKind",
    "pairs",
]
