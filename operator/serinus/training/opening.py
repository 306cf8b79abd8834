"""How an attempt begins: what is there of earlier ones is found, and the run that it logs to is opened.

A revision has one run as long as one attempt is enough. With the second attempt there is a run above them, which has
neither metrics nor models of its own, so that what a failed attempt logged is never taken for a result.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from serinus.api import names
from serinus.api.conditions import ConditionType, Reason
from serinus.api.trainingjob_status import Attempt, ResolvedRun
from serinus.api.trainingjob_status import Run as RunStatus
from serinus.asks import EndRun, EnsureRun, FindRuns, Known, Run, RunEnd, TagRun, pairs
from serinus.objects import JOB
from serinus.plan import Plan
from serinus.progress import Said, progressing, settled, updated
from serinus.training import closing, ends, manifests, outcome, pod, running
from serinus.training.ends import End
from serinus.training.manifests import PARENT, PARENT_TAG
from serinus.training.step import Step, attempt_of

UID_TAG = f"{names.TAG_PREFIX}uid"
REVISION_TAG = f"{names.TAG_PREFIX}revision"
ATTEMPT_TAG = f"{names.TAG_PREFIX}attempt"
COMMIT_TAG = f"{names.TAG_PREFIX}commit"

# The number of an attempt that was asked for when only the runs know those before it.
UNKNOWN = 0

_OPENING = "opening the run in MLflow"
_OPEN = ("RUNNING", "SCHEDULED")
_END_OF: Final[Mapping[str, RunEnd]] = {"FINISHED": "FINISHED", "FAILED": "FAILED"}


def found(step: Step) -> Plan:
    """Find the runs that are there already; end those that nobody works on; go on where they show it was."""
    find = FindRuns(
        server=step.server,
        experiment=step.experiment,
        tag=UID_TAG,
        value=step.job.metadata.uid,
        since=str(step.job.metadata.generation),
    )
    runs = step.ask(find)
    if not isinstance(runs, Known):
        return step.wait(runs, Reason.PENDING, _OPENING)
    mine = [_as_closed(run) for run in runs.value if run.tags.get(REVISION_TAG) == step.revision]
    for closed in [step.ask(stray) for stray in _strays(step, runs.value, mine)]:
        if not isinstance(closed, Known):
            return step.wait(closed, Reason.STOPPING, "closing earlier runs")
    return _suspended(step) if step.must_rest else _where_it_was(step, mine)


def begun(step: Step, number: int, runs: Sequence[Run] = ()) -> Plan:
    """The run of this attempt is open, below a common one if it is not the first; then it is made to run."""
    if step.job_of(number) is None and (pods := step.at_work()):
        # Of an earlier attempt, or of a predecessor of the same name: two at a time would have one volume.
        message = f"waiting for {', '.join(pods)} to end before another attempt"
        return replace(step.say("Pending", progressing(Reason.STOPPING, message)), requeue_after=ends.LOST_AFTER)
    parent = ""
    if number > 1:
        above = step.ask(_ensure(step, PARENT))
        if not isinstance(above, Known):
            return step.wait(above, Reason.PENDING, _OPENING)
        parent = above.value.id
        for moved in [step.ask(order) for order in _moves(step, number, parent, runs)]:
            if not isinstance(moved, Known):
                return step.wait(moved, Reason.PENDING, _OPENING)
    run = step.ask(_ensure(step, number, parent))
    if not isinstance(run, Known):
        return step.wait(run, Reason.PENDING, _OPENING)
    if _is_left_behind(run.value) and step.job_of(number) is None:
        # Its Job went while this was asked for: nothing is made for a run that was closed.
        return begun(step, number + 1, runs)
    url = _url(step, run.value, parent)
    opened = RunStatus(id=parent or run.value.id, experiment_id=run.value.experiment_id, url=url)
    return _made_to_run(step, opened, Attempt(number=number, run_id=run.value.id), runs)


def _made_to_run(step: Step, opened: RunStatus, attempt: Attempt, runs: Sequence[Run]) -> Plan:
    """It is at work, or was while nothing was known of it."""
    changes: dict[str, object] = {
        "run": opened,
        "attempt": attempt.number,
        "attempts": step.attempts_with(attempt),
        "resolved": _resolved(step, runs),
        "progress": None,
    }
    job = step.job_of(attempt.number)
    end = ends.of_job(job, step.pods_of(attempt.number), step.facts.now) if job is not None else None
    if not isinstance(end, End):
        return running.plan(step, opened, attempt, changes)
    step.status = updated(step.status, **changes)
    return outcome.plan(step, opened, attempt, {}) if end.ok else closing.record(step, attempt, end)


def _strays(step: Step, runs: Sequence[Run], mine: Sequence[Run]) -> tuple[EndRun, ...]:
    """Runs that nobody works on: all but those of this revision, and these too while suspended."""
    # Of whatever revision: what was closed is closed again as it was.
    closed = {run.id: _END_OF[run.status] for run in map(_as_closed, runs) if run.status in _END_OF}
    kept = [] if step.must_rest else [run.id for run in mine if run.id not in closed]
    why = "Suspended" if step.job.spec.suspend else "Superseded"
    return tuple(
        EndRun(server=step.server, run_id=run.id, end=closed[run.id])
        if run.id in closed
        else EndRun(server=step.server, run_id=run.id, end="KILLED", tags=pairs({ends.REASON_TAG: why}))
        for run in runs
        if run.status in _OPEN and run.id not in kept
    )


def _is_left_behind(run: Run) -> bool:
    """Whether it was closed for what no code had a part in, whatever a pod on its way out said since."""
    return run.tags.get(ends.REASON_TAG) in {"Superseded", "Suspended"}


def _as_closed(run: Run) -> Run:
    """A run as it was closed, should a pod that was on its way out have opened it once more."""
    reason = run.tags.get(ends.REASON_TAG, "")
    if run.status not in _OPEN or not reason or _is_left_behind(run):
        return run
    return replace(run, status="FINISHED" if reason == Reason.COMPLETED else "FAILED")


def _where_it_was(step: Step, mine: Sequence[Run]) -> Plan:
    """By the Job, if there is one whose end was not written down yet, and else by the run of the last attempt."""
    runs = {number: run for run in reversed(mine) if (number := _number(run)) != PARENT}
    jobs = {attempt_of(one) for one in step.facts.of(JOB) if step.is_mine(one)}
    last = max([0, *runs, *jobs])
    if step.job.spec.suspend and last not in jobs:
        # The Job that is complete is that of an earlier attempt.
        return _suspended(step)
    # What the code told MLflow of its end is no word on the Job that it still runs in.
    over = (run for number, run in sorted(runs.items()) if number not in {last} & jobs or ends.REASON_TAG in run.tags)
    # After what was over there were others only because a retry was asked for: until then nothing counts any more.
    asked = (n for n, run in runs.items() if n < last and (ends.OUTCOME_TAG in run.tags or run.status == "FINISHED"))
    is_asked = step.status.attempt == UNKNOWN
    _remember(step, over, last if is_asked else max(asked, default=PARENT))
    ended = {one.number for one in step.status.attempts if one.finished_at is not None}
    run = runs.get(last)
    if last in jobs - ended or (run is not None and run.status in _OPEN):
        return begun(step, last, mine)
    if is_asked or run is None or run.status == "KILLED":
        return begun(step, last + 1, mine)
    return _after(step, run, last, mine)


def _after(step: Step, run: Run, number: int, mine: Sequence[Run]) -> Plan:
    """The last attempt is over, and nothing but its run is left."""
    above = next((one for one in mine if _number(one) == PARENT), run)
    whole = RunStatus(id=above.id, experiment_id=above.experiment_id, url=_url(step, above))
    known = {"run": whole, "attempt": number, "resolved": _resolved(step, mine)}
    if run.status == "FINISHED":
        attempt = step.attempt(number, RunStatus(id=run.id))
        return outcome.plan(step, whole, updated(attempt, run_id=run.id), known)
    message = f"attempt {number} failed: run {run.id} says so"
    known |= {"attempts": step.status.attempts, "failures": step.status.failures}
    return step.say("Pending", (*progressing(Reason.RETRYING, message), step.reachable()), changes=known)


def _remember(step: Step, runs: Iterable[Run], forgiven: int) -> None:
    """What runs tell of attempts that status does not know; those up to `forgiven` do not count."""
    known = {one.number for one in step.status.attempts}
    # Earlier ones than those that are kept were counted when they were.
    unknown = (run for run in runs if _number(run) not in known and _number(run) >= min(known, default=0))
    told = [_record(step, run) for run in unknown if run.status == "FAILED"]
    if told:
        every = tuple(sorted((*step.status.attempts, *told), key=lambda one: one.number))
        failures = step.status.failures + sum(one.counted and one.number > forgiven for one in told)
        step.status = updated(step.status, attempts=every, failures=failures)


def _record(step: Step, run: Run) -> Attempt:
    end = ends.of_run(run)
    return Attempt(
        number=_number(run),
        run_id=run.id,
        finished_at=step.facts.now,
        reason=end.reason,
        exit_code=end.exit_code,
        counted=end.counted,
        final=end.final,
        message=end.message,
    )


def _suspended(step: Step) -> Plan:
    said = settled(Reason.SUSPENDED, "suspended: set spec.suspend to false to train", ready="False")
    suspended = Said(ConditionType.SUSPENDED, "True", Reason.SUSPENDED, "nothing runs")
    cut = tuple(
        updated(one, finished_at=step.facts.now, reason=Reason.SUSPENDED, counted=False)
        if one.finished_at is None
        else one
        for one in step.status.attempts
    )
    changes = {"run": None, "attempt": None, "attempts": cut, "progress": None, "started_at": None}
    return step.say("Suspended", (*said, suspended, step.reachable()), changes=changes)


def _moves(step: Step, number: int, parent: str, runs: Sequence[Run]) -> tuple[TagRun, ...]:
    """The runs of earlier attempts that are not below the common one yet: those of the first, as a rule."""
    told = {run.id for run in runs if PARENT_TAG in run.tags or _number(run) in {PARENT, number}}
    earlier = [run.id for run in runs] or [one.run_id for one in step.status.attempts if one.number < number]
    above = step.status.run
    is_parent_known = above is not None and above.id not in {one.run_id for one in step.status.attempts}
    loose = [] if is_parent_known and not runs else [one for one in earlier if one and one not in told]
    tags = pairs({PARENT_TAG: parent})
    return tuple(TagRun(server=step.server, run_id=one, tags=tags) for one in loose if one != parent)


def _ensure(step: Step, attempt: int, parent: str = "") -> EnsureRun:
    params = {name: pod.text(value) for name, value in step.job.spec.parameters.items()}
    name = manifests.job_name(step.job, step.revision, attempt)
    return EnsureRun(
        server=step.server,
        experiment=step.experiment,
        key=f"{step.job.metadata.uid}.{step.revision}.{attempt}",
        name=name if attempt != PARENT else manifests.shared_name(step.job, step.revision),
        parent=parent,
        params=pairs(params),
        tags=pairs(manifests.tags(step.job, step.revision, attempt, step.defaults.cluster)),
    )


def _resolved(step: Step, runs: Iterable[Run]) -> ResolvedRun:
    """What was resolved for this revision; later attempts use what the first one found."""
    known = step.status.resolved or ResolvedRun()
    commit = known.commit or next((run.tags[COMMIT_TAG] for run in runs if COMMIT_TAG in run.tags), "")
    return updated(known, image=step.image, tracking_uri=step.server.uri, experiment=step.experiment, commit=commit)


def _url(step: Step, run: Run, parent: str = "") -> str:
    """Where MLflow's pages show the run."""
    return f"{step.server.uri.rstrip('/')}/#/experiments/{run.experiment_id}/runs/{parent or run.id}"


def _number(run: Run) -> int:
    text = run.tags.get(ATTEMPT_TAG, "")
    return int(text) if text.isdecimal() else 1
