"""Invariants of training, checked with every status that is written, and every change of the registry."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from serinus import objects
from serinus.api.names import TAG_PREFIX
from serinus.asks import Run
from serinus.objects import Manifest
from serinus.training import ends
from tests.sim.fields import Json, get
from tests.sim.ledger import DEFAULT_LIMIT, Attempt, Ledger
from tests.sim.mlflow import Mlflow

ENDED: Final = frozenset({"Succeeded", "Rejected", "Failed"})
DATA_REASONS: Final = frozenset({"ExpectationsBroken", "DigestMismatch"})
OPEN: Final = frozenset({"RUNNING", "SCHEDULED"})
OWN_REASONS: Final = DATA_REASONS | {"Error", "OOMKilled", "InputUnreadable", "SourceUnreadable"}
DISRUPTIONS: Final = frozenset({"Preempted", "Evicted"})


@dataclass(frozen=True)
class _Verdict:
    """How a revision was told to be over, and how often a retry was asked for then, or the status lost."""

    phase: str
    retried: int
    wiped: int
    finished_at: str
    # A run of it was open then that nobody knew of: made, and not written down before the operator died.
    left_open: bool


class TrainingJudge:
    """Knows what the operator has said so far."""

    def __init__(self, mlflow: Mlflow, ledger: Ledger, fail: Callable[[str], None]) -> None:
        self._mlflow = mlflow
        self._ledger = ledger
        self._fail = fail
        # Revisions that were told to be over.
        self._over: dict[tuple[str, str], _Verdict] = {}
        # Retries that were executed: by id, and how many of each revision.
        self._done: set[tuple[str, str]] = set()
        self._retried: Counter[tuple[str, str]] = Counter()

    def over(self, uid: str, revision: str) -> str:
        """How a revision was told to be over, if nobody has asked for a retry since."""
        told = self._over.get((uid, revision))
        if told is None or (told.phase != "Succeeded" and told.retried != self._retried[uid, revision]):
            return ""
        # Who loses the status then finds an attempt that seems to go on.
        return "" if told.left_open and self._ledger.wiped[uid] > told.wiped else told.phase

    # --- status

    def told(self, before: Manifest, after: Manifest) -> str:
        """What is wrong with a status that the operator has written; empty if nothing is."""
        status, uid = after.get("status") or {}, objects.uid(after)
        return (
            self._actions(uid, get(before, "status", "lastAction"), status)
            or self._counts(uid, after, status)
            or self._attempts(uid, status)
            or self._verdicts(uid, status)
        )

    def _actions(self, uid: str, before: Json, status: Json) -> str:
        action = status.get("lastAction") or {}
        if action == (before or {}) or action.get("result") != "Done":
            return ""
        if (uid, action["id"]) in self._done:
            return f"{action['verb']}@{action['id']} is executed twice"
        self._done.add((uid, action["id"]))
        self._retried[uid, status["revision"]] += 1
        self._ledger.forgive(uid, status["revision"])
        return ""

    def _counts(self, uid: str, after: Manifest, status: Json) -> str:
        """What failed through no fault of its own is not counted, and what is counted did fail."""
        failures, truth = status.get("failures", 0), self._ledger.counted(uid, status.get("revision", ""))
        # It ends everything, and is counted, though the code may have done no wrong.
        truth += any(one.get("reason") == "DeadlineExceeded" for one in status.get("attempts") or ())
        if failures > truth:
            return f"it counts {failures} failures, and there were {truth}"
        is_new = all(one != uid for one, _ in self._done) and not self._ledger.wiped[uid]
        ended = [one for one in status.get("attempts") or () if one.get("finishedAt") and one.get("counted", True)]
        if is_new and failures < len([one for one in ended if one.get("reason") != "Completed"]):
            return f"it counts {failures} failures, and tells of {len(ended)}"
        is_exceeded = any(one["reason"] == "BackoffLimitExceeded" for one in status.get("conditions") or ())
        limit = get(after, "spec", "backoffLimit")
        is_current = status.get("observedGeneration") == after["metadata"]["generation"]
        was_over = get(status, "finishedAt") and (uid, status.get("revision", "")) in self._over
        is_known = is_current and not was_over and not self._ledger.wiped[uid]
        if is_exceeded and is_known and failures <= (DEFAULT_LIMIT if limit is None else limit):
            return f"backoffLimit {limit} is exceeded by {failures} failures"
        return ""

    def _attempts(self, uid: str, status: Json) -> str:
        records = status.get("attempts") or ()
        numbers = [one["number"] for one in records]
        if numbers != sorted(set(numbers)):
            return f"the attempts are {numbers}"
        for one in records:
            if wrong := self._reason(Attempt(uid, status.get("revision", ""), one["number"]), one.get("reason", "")):
                return wrong
        unfit = [one for one in records if one.get("reason") in DATA_REASONS]
        if len(unfit) > 1 + self._retried[uid, status.get("revision", "")]:
            return f"data that is unfit was read {len(unfit)} times"
        return ""

    def _reason(self, attempt: Attempt, reason: str) -> str:
        """An attempt ended as it did, and not as another one."""
        if reason in OWN_REASONS and attempt not in self._ledger.own:
            return f"attempt {attempt.number} ended with {reason}, and did not fail by itself"
        if reason in DISRUPTIONS and attempt not in self._ledger.disrupted:
            return f"attempt {attempt.number} ended with {reason}, and was not disrupted"
        return ""

    def _verdicts(self, uid: str, status: Json) -> str:
        """A verdict stands: it is only another one after a retry, or when nobody knows any more that there was one."""
        phase, key = status.get("phase"), (uid, status.get("revision", ""))
        if phase not in ENDED or not status.get("finishedAt"):
            return ""
        known = {status.get("run", {}).get("id"), *(one.get("runId") for one in status.get("attempts") or ())}
        mine = [run for run in self._mlflow.runs.values() if (run.tags.get(_UID), run.tags.get(_REVISION)) == key]
        left_open = any(run.status in OPEN and run.id not in known for run in mine)
        now = _Verdict(str(phase), self._retried[key], self._ledger.wiped[uid], status["finishedAt"], left_open)
        before = self._over.get(key, now)
        self._over[key] = now
        if (before.retried, before.wiped) != (now.retried, now.wiped):
            return ""
        if before.phase != now.phase:
            return f"revision {key[1]} was {before.phase}, and now it is {phase}"
        # What has succeeded is looked at again, and its alias set.
        if before.finished_at != now.finished_at and phase != "Succeeded":
            return f"revision {key[1]} was {phase}, and is judged again"
        return ""

    # --- the registry

    def registry(self, what: str) -> None:
        """The registry has changed."""
        if what.startswith("made run"):
            self._new_run(next(reversed(self._mlflow.runs.values())))
        elif what.startswith("made version"):
            self._new_version()

    def _new_run(self, run: Run) -> None:
        attempt = _attempt_of(run)
        if attempt is None:
            return
        for other in self._mlflow.runs.values():
            is_older = (other.tags.get(_UID), other.tags.get(_REVISION) != attempt.revision) == (attempt.uid, True)
            if is_older and other.status in OPEN and not other.tags.get(ends.REASON_TAG):
                self._fail(f"{run.id} is made while {other.id} of an earlier revision is {other.status}")
        if attempt.number <= 1:
            return
        if self._run(f"{attempt.uid}.{attempt.revision}.0") is None:
            self._fail(f"{run.id} is for attempt {attempt.number}, and there is no run above it")
        for number in range(1, attempt.number):
            earlier = self._run(f"{attempt.uid}.{attempt.revision}.{number}")
            is_taken = Attempt(attempt.uid, attempt.revision, number) in self._ledger.taken
            # A pod that starts while its Job is deleted opens its run once more: that is the code's doing.
            is_open = earlier is not None and earlier.status in OPEN and not earlier.tags.get(ends.REASON_TAG)
            if earlier is not None and is_open and not is_taken:
                self._fail(f"{run.id} is made while {earlier.id} of attempt {number} is {earlier.status}")

    def _new_version(self) -> None:
        version = next(reversed(self._mlflow.versions.values()))
        run = self._mlflow.runs.get(version.run_id)
        attempt = _attempt_of(run) if run is not None else None
        if run is None or attempt is None:
            return
        if run.status != "FINISHED" or attempt.number == 0:
            self._fail(f"version {version.version} is made of {run.id}: attempt {attempt.number}, {run.status}")
        ours = [
            one
            for one in self._mlflow.versions.values()
            if (one.tags.get(_UID), one.tags.get(_REVISION)) == (attempt.uid, attempt.revision)
        ]
        if len(ours) > 1:
            self._fail(f"there are {len(ours)} versions of revision {attempt.revision} of {attempt.uid}")

    def _run(self, key: str) -> Run | None:
        runs = (self._mlflow.runs[one] for one, of in self._mlflow.run_keys.items() if of == key)
        return next((one for one in runs if one.id not in self._mlflow.deleted), None)


_UID: Final = f"{TAG_PREFIX}uid"
_REVISION: Final = f"{TAG_PREFIX}revision"


def _attempt_of(run: Run) -> Attempt | None:
    tags: Any = run.tags
    number = tags.get(f"{TAG_PREFIX}attempt", "")
    return Attempt(tags[_UID], tags[_REVISION], int(number)) if number.isdecimal() else None
