"""How an attempt ended: as its Job and its pods tell it, or as its run remembers it when they are gone."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from serinus import objects
from serinus.api import names
from serinus.api.conditions import Reason
from serinus.api.scalars import parsed_time
from serinus.api.trainingjob_status import Attempt, BrokenExpectation
from serinus.asks import Run
from serinus.objects import Manifest
from serinus.training import fetched

# Tags of a run that say how it ended, and what became of its revision.
REASON_TAG: Final = f"{names.TAG_PREFIX}reason"
COUNTED_TAG: Final = f"{names.TAG_PREFIX}counted"
MESSAGE_TAG: Final = f"{names.TAG_PREFIX}message"
EXIT_CODE_TAG: Final = f"{names.TAG_PREFIX}exitCode"
OUTCOME_TAG: Final = f"{names.TAG_PREFIX}outcome"

LOG_LINES: Final = 10
# A pod that should have ended so long ago is on a node that nobody hears of any more.
LOST_AFTER: Final = timedelta(seconds=60)
# How long the news of a pod may take after the news of its Job.
LATE: Final = timedelta(seconds=15)

_DISRUPTIONS: Final[Mapping[str, Reason]] = {
    "PreemptionByScheduler": Reason.PREEMPTED,
    "DeletionByTaintManager": Reason.NODE_LOST,
    "DeletionByPodGC": Reason.NODE_LOST,
}
_UNCOUNTED: Final = frozenset({Reason.PREEMPTED, Reason.EVICTED, Reason.NODE_LOST, Reason.POD_DELETED})
_OVER: Final = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True)
class End:
    """How it ended. `final` means that another attempt would end no better."""

    ok: bool
    reason: Reason
    message: str
    counted: bool = True
    final: bool = False
    exit_code: int | None = None
    log: tuple[str, ...] = ()
    broken: tuple[BrokenExpectation, ...] = ()


COMPLETE: Final = End(ok=True, reason=Reason.COMPLETED, message="training is complete")


def taken(reason: Reason, message: str) -> End:
    """The attempt was ended from outside, through no fault of its own."""
    return End(ok=False, reason=reason, message=message, counted=False)


def late(message: str) -> End:
    """The run's time is over."""
    return End(ok=False, reason=Reason.DEADLINE_EXCEEDED, message=message, final=True)


def is_over(job: Manifest) -> bool:
    """Whether a Job has ended."""
    return _condition(job, "Complete") is not None or _condition(job, "Failed") is not None


def is_complete(job: Manifest) -> bool:
    """Whether a Job has done its work."""
    return _condition(job, "Complete") is not None


def is_live(pod: Manifest, now: datetime) -> bool:
    """Whether a pod runs, or may run yet: it has not ended, and is not lost with its node."""
    return pod.get("status", {}).get("phase") not in _OVER and not _is_lost(pod, now)


def of_going(pods: Sequence[Manifest]) -> End | None:
    """What takes away a pod that is on its way out: it may be gone when its Job comes to its end."""
    going = (pod for pod in pods if objects.is_going(pod) and pod.get("status", {}).get("phase") not in _OVER)
    return next(map(of_pod, going), None)


def of_job(job: Manifest, pods: Sequence[Manifest], now: datetime, noted: End | None = None) -> End | timedelta | None:
    """How the attempt ended; after how long that is to be looked at again; None while it goes on.

    `noted` is what was seen of pods that are gone.
    """
    if _condition(job, "Complete") is not None:
        return COMPLETE
    failed = _condition(job, "Failed")
    if failed is None:
        return _of_lost(pods, now)
    if failed.get("reason") == "DeadlineExceeded":
        return late(failed.get("message") or "activeDeadlineSeconds are over")
    return _of_failed(failed, pods, now, noted)


def _of_failed(
    failed: Mapping[str, Any], pods: Sequence[Manifest], now: datetime, noted: End | None
) -> End | timedelta:
    """How the attempt of a Job that has failed ended; after how long there may be news of its pods."""
    culprit = min((pod for pod in pods if pod.get("status", {}).get("phase") == "Failed"), key=_ended_at, default=None)
    if culprit is not None:
        return of_pod(culprit)
    if noted is not None and not pods:
        return noted
    waited = now - (parsed_time(failed.get("lastTransitionTime")) or now)
    if any(is_live(pod, now) for pod in pods) or waited < LATE:
        return LATE - waited if waited < LATE else timedelta(seconds=5)
    # A pod that failed by itself is kept with its Job.
    return taken(Reason.POD_DELETED, "the pod was deleted before it had ended")


def of_pod(pod: Manifest) -> End:
    """How a pod that failed ended."""
    name, status = pod["metadata"]["name"], pod.get("status", {})
    for one in status.get("conditions") or ():
        if one["type"] == "DisruptionTarget" and one["status"] == "True":
            reason = _DISRUPTIONS.get(one.get("reason", ""), Reason.EVICTED)
            return taken(reason, f"pod {name}: {one.get('message') or reason}")
    if objects.is_going(pod):
        return taken(Reason.POD_DELETED, f"pod {name} was deleted before it had ended")
    if failure := fetched.failure(status):
        return End(
            ok=False, reason=failure.reason, message=failure.message, final=failure.permanent, broken=failure.broken
        )
    return _of_container(name, status)


def of_run(run: Run) -> End:
    """How a run ended of which nothing else is left."""
    if run.status == "FINISHED":
        return COMPLETE
    reason = _reason(run.tags.get(REASON_TAG, ""))
    if run.tags.get(OUTCOME_TAG) == Reason.DEADLINE_EXCEEDED:
        # It was the last one because the time was over, however it ended itself.
        reason = Reason.DEADLINE_EXCEEDED
    counted = run.tags.get(COUNTED_TAG, "true") == "true"
    code = run.tags.get(EXIT_CODE_TAG, "")
    return End(
        ok=False,
        reason=reason,
        message=run.tags.get(MESSAGE_TAG) or f"run {run.id} is {run.status}",
        counted=counted,
        final=OUTCOME_TAG in run.tags,
        exit_code=int(code) if re.fullmatch("[0-9]{1,3}", code) else None,
    )


def of_record(record: Attempt) -> End:
    """The end that was written down."""
    return End(
        ok=record.reason == Reason.COMPLETED,
        reason=_reason(record.reason),
        message=record.message,
        counted=record.counted,
        final=record.final,
        exit_code=record.exit_code,
    )


def _of_container(name: str, status: Manifest) -> End:
    """By the container that failed first, be it ours, the user's or a sidecar."""
    every = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    ended = [(one["name"], one.get("state", {}).get("terminated") or {}) for one in every]
    failed = [(whose, state) for whose, state in ended if state.get("exitCode")]
    if not failed:
        return _of_kubelet(name, status)
    whose, state = min(failed, key=lambda one: str(one[1].get("finishedAt", "")))
    code, log = int(state["exitCode"]), _lines(_last_words(state.get("message", "")))
    if state.get("reason") == "OOMKilled":
        reason, message = Reason.OOM_KILLED, f"container {whose} of pod {name} ran out of memory"
    else:
        tail = f": {log[-1]}" if log else ""
        reason, message = Reason.ERROR, f"container {whose} of pod {name} failed with exit code {code}{tail}"
    return End(ok=False, reason=reason, message=message, exit_code=code, log=log)


def _of_kubelet(name: str, status: Manifest) -> End:
    """Ended by the kubelet, without a condition that calls it a disruption."""
    why = status.get("reason") or "Failed"
    message = f"pod {name}: {status.get('message') or why}"
    if why == "Evicted":
        # Over its own limits, as of ephemeral storage.
        return End(ok=False, reason=Reason.EVICTED, message=message)
    # The node would not have it, for want of room or because it shuts down.
    return taken(Reason.EVICTED, message)


def _last_words(text: str) -> str:
    """What a container said; of a runtime that could not start it only what it says of the program."""
    return text.rpartition("unable to start container process: ")[2]


def _lines(text: str) -> tuple[str, ...]:
    """The last lines of a log, without what nobody can read."""
    lines = ("".join(letter for letter in line if letter.isprintable()).rstrip() for line in text.splitlines())
    return tuple(line[:300] for line in lines if line)[-LOG_LINES:]


def _of_lost(pods: Sequence[Manifest], now: datetime) -> End | timedelta | None:
    going = [pod for pod in pods if objects.is_going(pod) and pod.get("status", {}).get("phase") not in _OVER]
    for pod in going:
        if _is_lost(pod, now):
            node = pod.get("spec", {}).get("nodeName", "")
            return taken(Reason.NODE_LOST, f"pod {pod['metadata']['name']} is lost: node {node} does not answer")
    return LOST_AFTER if going else None


def _is_lost(pod: Manifest, now: datetime) -> bool:
    since = parsed_time(pod["metadata"].get("deletionTimestamp"))
    return since is not None and now >= since + LOST_AFTER


def _ended_at(pod: Manifest) -> tuple[str, bool, str]:
    """When it failed; within a second those come later that were deleted, as workers are once one has failed."""
    status = pod["status"]
    every = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    states = (one.get("state", {}).get("terminated") or {} for one in every)
    times = [str(state["finishedAt"]) for state in states if state.get("exitCode") and state.get("finishedAt")]
    return min(times, default="~"), objects.is_going(pod), str(pod["metadata"]["name"])


def _condition(job: Manifest, kind: str) -> Mapping[str, Any] | None:
    conditions = job.get("status", {}).get("conditions") or ()
    return next((one for one in conditions if one["type"] == kind and one["status"] == "True"), None)


def _reason(word: str) -> Reason:
    return Reason(word) if word in set(Reason) else Reason.ERROR
