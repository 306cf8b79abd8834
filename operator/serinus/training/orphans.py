"""Which open runs nobody works on any more, and how each of them ends. Pure.

A TrainingJob has no finalizer: it goes at once, whether MLflow answers or not, and so may its Job. What it leaves open
is found by its tags. The runs of a TrainingJob that is being worked on are the business of its plan, and left alone.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from serinus import objects
from serinus.api import names
from serinus.api.conditions import Reason
from serinus.api.invalid import Invalid
from serinus.api.revision import significant
from serinus.api.trainingjob import TrainingJob
from serinus.api.trainingjob_status import TrainingJobStatus
from serinus.asks import Pairs, Run, RunEnd, Server, pairs
from serinus.objects import JOB, Manifest, Ref, kind_of
from serinus.plan import Defaults, Gone, Leftovers, Orphan, Owned
from serinus.training import ends

DELETED: Final = "Deleted"
SUPERSEDED: Final = "Superseded"

_UID: Final = f"{names.TAG_PREFIX}uid"
_REVISION: Final = f"{names.TAG_PREFIX}revision"
_ATTEMPT: Final = f"{names.TAG_PREFIX}attempt"
_RESOURCE: Final = f"{names.TAG_PREFIX}resource"
_REASON: Final = f"{names.TAG_PREFIX}reason"
# The attempt of a run that has the runs of the attempts below it.
_PARENT: Final = "0"
_BY_REASON: Final[Mapping[str, RunEnd]] = {Reason.COMPLETED: "FINISHED", Reason.SUSPENDED: "KILLED"}
_ENDS: Final[Mapping[str, RunEnd]] = {"Succeeded": "FINISHED", "Rejected": "FINISHED", "Failed": "FAILED"}


def orphans(runs: Iterable[Run], owned: Mapping[str, Owned], defaults: Defaults) -> tuple[Orphan, ...]:
    """The open runs that nobody works on, given all TrainingJobs that there are, by uid, with their Jobs and pods."""
    found = (_orphan(run, owned, defaults.namespaces) for run in runs)
    return tuple(one for one in found if one is not None)


def servers(job: Manifest, defaults: Defaults) -> tuple[Server, ...]:
    """Where the runs of a TrainingJob may be: on the server of its current revision, and on that of its spec."""
    secret = _text(job, "spec", "tracking", "credentialsSecret")
    wanted = _text(job, "spec", "tracking", "uri") or defaults.tracking_uri
    named = dict.fromkeys((_text(job, "status", "resolved", "trackingUri"), wanted))
    return tuple(Server.of(uri, _text(job, "metadata", "namespace"), secret) for uri in named if uri)


def may_leave(job: Manifest) -> bool:
    """Whether a TrainingJob that goes now may leave a run open: one that is finished has closed its own."""
    return not _text(job, "status", "finishedAt")


LEFTOVERS: Final = Leftovers(servers, may_leave, orphans)


def _orphan(run: Run, owned: Mapping[str, Owned], namespaces: tuple[str, ...]) -> Orphan | None:
    uid = run.tags.get(_UID, "")
    namespace, _, name = run.tags.get(_RESOURCE, "").partition("/")
    if not (uid and namespace and name) or (namespaces and namespace not in namespaces):
        return None
    if uid in owned:
        return _of_resource(run, owned[uid])
    gone = Gone(Ref(kind_of(TrainingJob), namespace, name), uid)
    return Orphan(run.id, "KILLED", _because(DELETED), gone)


def _of_resource(run: Run, owned: Owned) -> Orphan | None:
    """A run of a TrainingJob that is there: an orphan if it is none of those that are worked on."""
    status = _status(owned.resource)
    if status is None:
        return None
    if _refers(status, run):
        return None if status.finished_at is None else _as_recorded(run, status)
    if _is_wanted(owned.resource, status, run):
        # Whatever came of it earlier: it may have been come back to.
        return None
    past = next((one.outcome for one in status.history if one.run_id == run.id), None)
    if past is not None:
        return Orphan(run.id, _ENDS.get(past, "KILLED"))
    if any(_works_on(child, run) for child in owned.children):
        return None
    return Orphan(run.id, "KILLED", _because(SUPERSEDED))


def _refers(status: TrainingJobStatus, run: Run) -> bool:
    is_whole = status.run is not None and status.run.id == run.id
    return is_whole or any(attempt.run_id == run.id for attempt in status.attempts)


def _is_wanted(resource: Manifest, status: TrainingJobStatus, run: Run) -> bool:
    """Whether a run is of the revision that is worked towards: status may not say so yet, for as long as it takes."""
    job = TrainingJob.parse(resource)
    if isinstance(job, Invalid) or job.spec.suspend:
        return False
    revision = objects.digest(significant(job.spec))
    is_finished = status.finished_at is not None and status.revision == revision
    return run.tags.get(_REVISION) == revision and not is_finished


def _as_recorded(run: Run, status: TrainingJobStatus) -> Orphan:
    """The end of an attempt is that of its record; without one it is that of the whole."""
    reason = next((attempt.reason for attempt in status.attempts if attempt.run_id == run.id), "")
    if reason:
        return Orphan(run.id, _BY_REASON.get(reason, "FAILED"), _because(reason))
    return Orphan(run.id, _ENDS.get(status.phase or "", "KILLED"))


def _works_on(child: Manifest, run: Run) -> bool:
    """Whether a Job or pod that has not ended is for this run; for a parent those of all its attempts are."""
    labels, attempt = objects.labels(child), run.tags.get(_ATTEMPT)
    if labels.get(names.Label.REVISION) != run.tags.get(_REVISION):
        return False
    is_for_it = attempt == _PARENT or labels.get(names.Label.ATTEMPT) == attempt
    is_at_work = not ends.is_over(child) if child["kind"] == JOB.kind else _is_pod_at_work(child)
    return is_for_it and is_at_work


def _is_pod_at_work(child: Manifest) -> bool:
    return _text(child, "kind") == "Pod" and _text(child, "status", "phase") not in {"Succeeded", "Failed"}


def _status(job: Manifest) -> TrainingJobStatus | None:
    """What is said of it; None if that cannot be read, and so nothing can be concluded from it."""
    try:
        return TrainingJobStatus.model_validate(job.get("status") or {}, by_alias=True, by_name=False)
    except ValidationError:
        return None


def _because(reason: str) -> Pairs:
    return pairs({_REASON: reason})


def _text(manifest: Manifest, *path: str) -> str:
    """The text at the end of a path; empty if there is none, whatever else there is."""
    value: Any = manifest
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""
