"""What becomes of an attempt that has failed: its run is closed with the reason, and another one follows or none.

How it ended is written into status first, in a status of its own, so that what follows rests on one verdict: pods and
Jobs may be gone the next moment.
"""

from dataclasses import replace

from serinus.api import names
from serinus.api.conditions import ConditionType, Reason
from serinus.api.trainingjob_status import Attempt, ResolvedRun
from serinus.api.trainingjob_status import Run as RunStatus
from serinus.asks import Absent, EndRun, Known, LogInputs, RegistryAsk, Run, RunEnd, pairs
from serinus.objects import JOB
from serinus.plan import Plan
from serinus.progress import Said, progressing, stalled, updated
from serinus.training import attempts, capsule, ends, fetched
from serinus.training.attempts import Over
from serinus.training.ends import End
from serinus.training.step import Step


def record(step: Step, attempt: Attempt, end: End) -> Plan:
    """The end is written down, with all that the pods can tell, and nothing else is done yet."""
    pods, now = step.pods_of(attempt.number), step.facts.now
    ended = updated(
        attempt,
        started_at=attempt.started_at or now,
        finished_at=now,
        reason=end.reason,
        exit_code=end.exit_code,
        counted=end.counted,
        final=end.final,
        message=end.message,
        node=attempt.node or capsule.node_of(pods),
    )
    changes: dict[str, object] = {
        "attempts": step.attempts_with(ended),
        "failures": step.status.failures + (1 if end.counted else 0),
        "started_at": step.status.started_at or now,
        "resolved": capsule.observed(step.job, pods, step.status.resolved or ResolvedRun()),
        "last_log_lines": end.log,
        "broken_expectations": end.broken,
    }
    message = f"attempt {attempt.number} failed: {end.message}"
    is_last = isinstance(attempts.after(step.job.spec, updated(step.status, **changes)), Over)
    reason = Reason.EVALUATING if is_last else Reason.RETRYING
    said = (*progressing(reason, message), *_why(end), step.reachable())
    job = step.job_of(attempt.number)
    # Beyond its time, or on a node that is lost: the Job itself would go on.
    stops = (step.deletion(JOB, job),) if job is not None and not ends.is_over(job) else ()
    return step.say("Pending", said, changes=changes, delete=stops)


def orders(
    step: Step, attempt: Attempt, resolved: ResolvedRun, end: RunEnd, outcome: str = ""
) -> tuple[RegistryAsk[Run | Absent], ...]:
    """What is ordered for the run of an attempt that has ended: its inputs, its end, and what made it."""
    found = capsule.datasets(step.job, resolved)
    reads = (LogInputs(server=step.server, run_id=attempt.run_id, inputs=found),) if found else ()
    told = {ends.REASON_TAG: attempt.reason, ends.OUTCOME_TAG: outcome, **capsule.tags(step.job, resolved, attempt)}
    if end != "FINISHED":
        told |= _of_failure(step, attempt)
    known = pairs({key: value[: capsule.LENGTH] for key, value in told.items() if value})
    return (*reads, EndRun(server=step.server, run_id=attempt.run_id, end=end, tags=known))


def _of_failure(step: Step, attempt: Attempt) -> dict[str, str]:
    return {
        ends.COUNTED_TAG: "" if attempt.counted else "false",
        ends.MESSAGE_TAG: attempt.message,
        f"{names.TAG_PREFIX}log": "\n".join(step.status.last_log_lines),
        ends.EXIT_CODE_TAG: "" if attempt.exit_code is None else str(attempt.exit_code),
    }


def parent_order(step: Step, run: RunStatus, attempt: Attempt, end: RunEnd, outcome: str) -> tuple[EndRun, ...]:
    """The run that has the attempts' runs below it ends as the last of them does; none where there is only one."""
    if attempt.run_id in {"", run.id}:
        return ()
    told = {ends.REASON_TAG: attempt.reason, f"{names.TAG_PREFIX}result": attempt.run_id}
    told[ends.OUTCOME_TAG] = outcome
    known = pairs(told)
    return (EndRun(server=step.server, run_id=run.id, end=end, tags=known),)


def plan(step: Step, run: RunStatus, attempt: Attempt) -> Plan | None:
    """Close the run; then the failure of the whole, or a pause before the next attempt. None: it is time for that."""
    if step.at_work():
        # Until they have ended their code may tell MLflow of another end.
        return replace(step.wait(None, Reason.RETRYING, "waiting for its pods"), requeue_after=ends.LOST_AFTER)
    after = attempts.after(step.job.spec, step.status)
    outcome = after.end.reason if isinstance(after, Over) else ""
    resolved = step.status.resolved or ResolvedRun()
    wanted = [*orders(step, attempt, resolved, "FAILED", outcome)]
    if outcome:
        wanted += parent_order(step, run, attempt, "FAILED", outcome)
    for answer in [step.ask(order) for order in wanted]:
        if not isinstance(answer, Known):
            return step.wait(answer, Reason.RETRYING, "closing the run in MLflow")
    if isinstance(after, Over):
        return _failed(step, after.end)
    if step.facts.now >= after.at:
        return None
    message = f"attempt {attempt.number} failed: {attempt.message}; the next starts {after.at:%H:%M:%S} UTC"
    waiting = step.say("Pending", (*progressing(Reason.RETRYING, message), step.reachable()))
    return replace(waiting, requeue_after=after.at - step.facts.now)


def _failed(step: Step, end: End) -> Plan:
    failed = Said(ConditionType.FAILED, "True", end.reason, end.message)
    said = (*stalled(end.reason, end.message), failed, *_why(end), step.reachable())
    return step.finish("Failed", said, {})


def _why(end: End) -> tuple[Said, ...]:
    """Data that was not as expected is told as such; beside it, training has not come to an end."""
    trained = Said(ConditionType.TRAINED, "False", end.reason, _with_log(end))
    if end.reason in fetched.INPUT_REASONS:
        return (trained, Said(ConditionType.DATA_VALID, "False", end.reason, end.message))
    return (trained,)


def _with_log(end: End) -> str:
    """The end in words, with what was logged last."""
    last = " | ".join(end.log[-3:])
    return f"{end.message}; it said last: {last}" if last and last not in end.message else end.message
