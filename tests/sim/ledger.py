"""What really became of training: only the simulator knows, and what the operator says is measured by it."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from serinus import objects
from serinus.api.names import Label
from serinus.objects import JOB, Manifest
from tests.sim.kinds import TRAINING_JOB
from tests.sim.server import Change

OPERATOR: Final = "operator"
# Who changes Jobs and does not take them away.
CONTROLLERS: Final = frozenset({"jobs", "kueue"})
# Of the backoffLimit and of the deadline, where a spec says nothing.
DEFAULT_LIMIT: Final = 2
NEVER: Final = float("inf")


@dataclass(frozen=True)
class Attempt:
    """One attempt of a revision of a TrainingJob."""

    uid: str
    revision: str
    number: int

    @property
    def key(self) -> str:
        """The key of its run."""
        return f"{self.uid}.{self.revision}.{self.number}"


class Ledger:
    """Every Job that there was, and how it ended in truth."""

    def __init__(self) -> None:
        # By the uid of the Job.
        self.attempts: dict[str, Attempt] = {}
        # Attempts whose Job has done its work, those of which a pod did, and those whose Job somebody took away.
        self.completed: set[Attempt] = set()
        self.promising: set[Attempt] = set()
        self.taken: set[Attempt] = set()
        # Those whose Job the operator has stopped.
        self.stopped: set[Attempt] = set()
        # How many attempts of a revision have failed by themselves, in all and when a retry was asked for last.
        self.failures: Counter[tuple[str, str]] = Counter()
        self._failed: set[str] = set()
        # Attempts that have failed by themselves, and those that were disrupted: of which it may be either.
        self.own: set[Attempt] = set()
        self.disrupted: set[Attempt] = set()
        self._forgiven: Counter[tuple[str, str]] = Counter()
        # Revisions of which a retry was promised, and not begun yet: who loses the status then loses the promise.
        self._promised: set[tuple[str, str]] = set()
        # Revisions whose data was found to be unfit for good.
        self.unfit: set[tuple[str, str]] = set()
        # What the specs of a TrainingJob have said so far.
        self.limits: dict[str, int] = {}
        self.deadlines: dict[str, set[float]] = {}
        # How often the status was lost.
        self.wiped: Counter[str] = Counter()

    def seen(self, change: Change) -> None:
        """Take note of a change."""
        if change.ref.kind == JOB:
            self._job(change)
        elif change.ref.kind == TRAINING_JOB and change.after is not None and not change.actor.startswith(OPERATOR):
            self._resource(change, change.after)

    def of_pod(self, pod: Manifest) -> Attempt | None:
        """The attempt that a pod is of."""
        return self.attempts.get(objects.controller(pod))

    def failed(self, pod: Manifest, *, for_good: bool = False) -> None:
        """A pod has failed by itself; of several of one Job the first counts."""
        job, attempt = objects.controller(pod), self.of_pod(pod)
        if attempt is not None and job not in self._failed:
            self._failed.add(job)
            self.failures[attempt.uid, attempt.revision] += 1
            self.own.add(attempt)
        if attempt is not None and for_good:
            self.unfit.add((attempt.uid, attempt.revision))

    def disrupt(self, pod: Manifest) -> None:
        """A pod is ended from outside, and told so."""
        attempt = self.of_pod(pod)
        self.disrupted |= set() if attempt is None else {attempt}

    def succeeded(self, pod: Manifest) -> None:
        """A pod has done its work: should its Job be gone before it is over, the run alone says so."""
        attempt = self.of_pod(pod)
        self.promising |= set() if attempt is None else {attempt}

    def completes(self, job: Manifest) -> None:
        """A Job has done its work."""
        if attempt := self.attempts.get(objects.uid(job)):
            self.completed.add(attempt)

    def forgive(self, uid: str, revision: str) -> None:
        """A retry is executed: what failed before counts no more."""
        self._forgiven[uid, revision] = self.failures[uid, revision]
        self._promised.add((uid, revision))

    def counted(self, uid: str, revision: str) -> int:
        """How many attempts have failed by themselves since the last retry."""
        return self.failures[uid, revision] - self._forgiven[uid, revision]

    def ended_well(self, uid: str, revision: str) -> bool:
        """Whether an attempt of the revision is complete, or may be for all that anybody can know."""
        may_be = self.completed | self.promising | self.taken
        return any((one.uid, one.revision) == (uid, revision) for one in may_be)

    def _job(self, change: Change) -> None:
        if change.before is None and change.after is not None and change.actor.startswith(OPERATOR):
            number = objects.labels(change.after).get(Label.ATTEMPT, "")
            revision = objects.labels(change.after).get(Label.REVISION, "")
            made = Attempt(objects.controller(change.after), revision, int(number) if number.isdecimal() else -1)
            self.attempts[objects.uid(change.after)] = made
            self._promised.discard((made.uid, made.revision))
        elif change.after is None and change.actor.startswith(OPERATOR) and change.before is not None:
            stopped = self.attempts.get(objects.uid(change.before))
            self.stopped |= set() if stopped is None else {stopped}
        elif change.actor not in CONTROLLERS and not change.actor.startswith(OPERATOR) and change.before is not None:
            before = self.attempts.get(objects.uid(change.before))
            self.taken |= set() if before is None else {before}

    def _resource(self, change: Change, after: Manifest) -> None:
        uid, spec = objects.uid(after), after["spec"]
        if change.verb == "status" or change.before is None or change.before.get("spec") != spec:
            # Who changes the spec before a retry has begun may leave it behind.
            for lost in [one for one in self._promised if one[0] == uid]:
                self._promised.discard(lost)
                self._forgiven.pop(lost)
        if change.verb == "status":
            self.wiped[uid] += 1
            return
        limit = spec.get("backoffLimit", DEFAULT_LIMIT)
        self.limits[uid] = min(self.limits.get(uid, limit), limit)
        self.deadlines.setdefault(uid, set()).add(spec.get("activeDeadlineSeconds", NEVER))
