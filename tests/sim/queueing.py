"""A queue as Kueue's: lets suspended Jobs that name it go, one time or another, and takes some of them back."""

from typing import Final

from serinus import objects
from serinus.objects import JOB, Manifest, Ref
from tests.sim.controllers import job_end
from tests.sim.fields import get
from tests.sim.server import Change
from tests.sim.stage import Stage

QUEUE: Final = "kueue.x-k8s.io/queue-name"


class Admitter:
    """Suspends and resumes Jobs; who suspends one stops its pods is the Job controller's business."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._server = stage.server

    def seen(self, change: Change) -> None:
        """Take note of a change."""
        job = change.after
        if change.ref.kind != JOB or job is None or not objects.labels(job).get(QUEUE):
            return
        if get(job, "spec", "suspend"):
            self._stage.once_later(("admit", change.ref), 60.0, lambda: self._admit(change.ref))
        elif get(change.before, "spec", "suspend") and self._stage.chance(self._stage.weather.taken_back):
            self._stage.later(1.0, 60.0, lambda: self._take_back(change.ref))

    def _admit(self, ref: Ref) -> None:
        if (job := self._waiting(ref)) is not None and get(job, "spec", "suspend"):
            self._server.patch("kueue", ref, {"spec": {"suspend": False}})

    def _take_back(self, ref: Ref) -> None:
        job = self._waiting(ref)
        if job is not None and not get(job, "spec", "suspend") and self._stage.weather.taken_back:
            self._server.patch("kueue", ref, {"spec": {"suspend": True}})

    def _waiting(self, ref: Ref) -> Manifest | None:
        job = self._server.get(ref)
        return job if job is not None and not objects.is_going(job) and not job_end(job) else None
