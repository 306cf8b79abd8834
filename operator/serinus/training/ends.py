"""How training ended: as the Job tells it, or as the run remembers it when the Job is gone."""

from dataclasses import dataclass
from typing import Final

from serinus.api import names
from serinus.api.conditions import Reason
from serinus.asks import Run
from serinus.objects import Manifest

# The tag of a run that says why it ended.
REASON_TAG: Final = f"{names.TAG_PREFIX}reason"


@dataclass(frozen=True)
class End:
    """How it ended."""

    ok: bool
    reason: Reason
    message: str


_COMPLETE = End(ok=True, reason=Reason.COMPLETED, message="training is complete")


def of_job(job: Manifest) -> End | None:
    """How a Job ended, if it has."""
    for one in job.get("status", {}).get("conditions") or ():
        if one["status"] == "True" and one["type"] == "Complete":
            return _COMPLETE
        if one["status"] == "True" and one["type"] == "Failed":
            return End(ok=False, reason=_reason(one.get("reason")), message=one.get("message") or "training failed")
    return None


def of_run(run: Run) -> End:
    """How a run ended of which nothing else is left."""
    if run.status == "FINISHED":
        return _COMPLETE
    return End(ok=False, reason=_reason(run.tags.get(REASON_TAG)), message=f"run {run.id} failed")


def _reason(word: str | None) -> Reason:
    return Reason.DEADLINE_EXCEEDED if word == Reason.DEADLINE_EXCEEDED else Reason.BACKOFF_LIMIT_EXCEEDED
