"""Operators that train in a way that is broken on purpose, each in one: the simulator has to catch every one of them.

A plan is pure, so a bug in it is planted by replacing one name for as long as the plan is made.
"""

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, Final
from unittest.mock import patch

from serinus import rollout, training
from serinus.api.conditions import Reason
from serinus.api.trainingjob import TrainingJob
from serinus.api.trainingjob_status import GateResult, TrainingJobStatus
from serinus.asks import Run
from serinus.objects import JOB, SERVICE
from serinus.plan import Defaults, Facts, Plan
from serinus.training import actions, attempts, closing, ends, fetched, gate, lifecycle, opening, outcome
from serinus.training.ends import End
from serinus.training.step import Step
from tests.sim.planted import Planted
from tests.sim.world import Assembly

type Replacement = tuple[object, str, object]


def _with(*replaced: Replacement) -> Assembly:
    """An operator with other parts while it plans for a TrainingJob."""

    def plan(resource: Any, facts: Facts, defaults: Defaults) -> Plan:  # noqa: ANN401 (as the kind's own)
        with ExitStack() as stack:
            for target, name, other in replaced:
                stack.enter_context(patch.object(target, name, other))
            return training.KIND.plan(resource, facts, defaults)

    return Assembly(kinds=(dataclasses.replace(training.KIND, plan=plan), rollout.KIND))


def _changed(change: Callable[[Any, Facts, Plan], Plan]) -> Assembly:
    """An operator whose plans for a TrainingJob are changed before they are executed."""

    def plan(resource: Any, facts: Facts, defaults: Defaults) -> Plan:  # noqa: ANN401 (as the kind's own)
        return change(resource, facts, training.KIND.plan(resource, facts, defaults))

    return Assembly(kinds=(dataclasses.replace(training.KIND, plan=plan), rollout.KIND))


# --- how attempts end


def _counted(reason: Reason, message: str) -> End:
    return End(ok=False, reason=reason, message=message)


_orders = closing.orders


def _well(*given: Any, **named: Any) -> Any:  # noqa: ANN401 (as the part that it replaces)
    step, attempt, resolved, _, *more = given
    return _orders(step, attempt, resolved, "FINISHED", *more, **named)


def _not_for_failures(*given: Any, **named: Any) -> Any:  # noqa: ANN401 (likewise)
    """Only the run of an attempt that ended well is closed."""
    return () if given[3] == "FAILED" else _orders(*given, **named)


_parent_order = closing.parent_order


def _well_above(*given: Any, **named: Any) -> Any:  # noqa: ANN401 (likewise)
    step, run, attempt, _, *more = given
    return _parent_order(step, run, attempt, "FINISHED", *more, **named)


_record = closing.record


def _uncounted(step: Any, attempt: Any, end: End) -> Plan:  # noqa: ANN401 (likewise)
    made = _record(step, attempt, end)
    return dataclasses.replace(made, status=made.status.model_copy(update={"failures": 0}))


# --- how they begin

_begun = opening.begun


def _without_parent(step: Any, number: int, runs: Sequence[Run] = ()) -> Plan:  # noqa: ANN401 (likewise)
    """Every attempt has a run for itself alone."""
    ensure = opening._ensure  # noqa: SLF001 (it is this that is broken)
    with patch.object(opening, "_ensure", lambda of, attempt, _="": ensure(of, attempt or 1)):
        return _begun(step, number, runs)


def _from_the_first(step: Any, _mine: Sequence[Run]) -> Plan:  # noqa: ANN401 (likewise)
    return _begun(step, 1)


def _another_one(step: Any, mine: Sequence[Run]) -> Plan:  # noqa: ANN401 (likewise)
    return _begun(step, len(mine) + 1, mine)


def _the_same(step: Any, number: int, runs: Sequence[Run] = ()) -> Plan:  # noqa: ANN401 (likewise)
    return _begun(step, max(number - 1, 1), runs)


# --- what becomes of them


class _OfTheParent(outcome._Outcome):  # noqa: SLF001 (it is this that is broken)
    """The gate reads the run above the attempts."""

    def __init__(self, step: Any, run: Any, attempt: Any, found: Any) -> None:  # noqa: ANN401 (likewise)
        super().__init__(step, run, attempt, found)
        self.run = Run(run.id, run.experiment_id, "FINISHED")


class _NewKeys(outcome._Outcome):  # noqa: SLF001 (likewise)
    """Each process that registers does so under a key of its own."""

    @property
    def _key(self) -> str:
        return f"{super()._key}.{self.step.facts.now:%H%M%S}"


def _always_good(checks: Any, _metrics: Any, _rivals: Any) -> Any:  # noqa: ANN401 (likewise)
    return GateResult(verdict="Passed", summary=f"{len(checks)} of {len(checks)} checks passed")


def _again_and_again(step: Any) -> Plan | None:  # noqa: ANN401 (likewise)
    """An id that was answered is answered again."""
    last = step.job.status.last_action
    if last is not None and last.result == "Done" and step.status.finished_at is not None:
        forgotten = step.job.status.model_copy(update={"last_action": None})
        step.job = step.job.model_copy(update={"status": forgotten})
    return _answered(step)


_answered = actions.answered


def _forgotten(*_: object, **__: object) -> Any:  # noqa: ANN401 (nothing, of whatever sort)
    return ()


def _no_pause(_attempts: object) -> timedelta:
    return timedelta(0)


def _with_job(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Assembly:
    """An operator whose Jobs have another spec."""

    def changed(_resource: object, _facts: Facts, plan: Plan) -> Plan:
        applies = tuple(
            dataclasses.replace(one, manifest={**one.manifest, "spec": change(one.manifest["spec"])})
            if one.kind == JOB
            else one
            for one in plan.apply
        )
        return dataclasses.replace(plan, apply=applies)

    return _changed(changed)


def _without(field: str) -> Assembly:
    return _with_job(lambda spec: {key: value for key, value in spec.items() if key != field})


def _awake(self: Any, job: TrainingJob, facts: Facts, defaults: Defaults) -> None:  # noqa: ANN401 (as the part's own)
    """Nothing is ever suspended."""
    spec = job.spec.model_copy(update={"suspend": False})
    Step.__init__(self, job.model_copy(update={"spec": spec}), facts, defaults)


def _kept(_resource: object, _facts: Facts, plan: Plan) -> Plan:
    """What is finished keeps its children."""
    is_over = isinstance(plan.status, TrainingJobStatus) and plan.status.finished_at is not None
    return dataclasses.replace(plan, delete=()) if is_over else plan


LIFE: Final = lifecycle._Lifecycle  # noqa: SLF001 (methods of it are broken)

TRAINING_BUGS: Final = (
    Planted("a preemption counts", _with((ends, "taken", _counted)), "it counts"),
    Planted("no failure counts", _with((closing, "record", _uncounted)), "and tells of"),
    Planted("the pause between attempts is forgotten", _with((attempts, "delay", _no_pause)), "after the last attempt"),
    Planted(
        "the next begins before the last is closed",
        _with((closing, "orders", _not_for_failures)),
        "is made while|which has|though attempt",
    ),
    Planted("the run above is forgotten", _with((opening, "begun", _without_parent)), "no run above it|though attempt"),
    Planted("the run above is closed well", _with((closing, "parent_order", _well_above)), "though the job has"),
    Planted("a failed Job's run is closed well", _with((closing, "orders", _well)), "though attempt|though the job"),
    Planted(
        "the gate reads the run above", _with((outcome, "_Outcome", _OfTheParent)), "Rejected with|Artifact|made of"
    ),
    Planted("a version under a new key", _with((outcome, "_Outcome", _NewKeys)), "versions of revision|not its own"),
    Planted("the gate lets everything through", _with((gate, "judge", _always_good)), "it is Succeeded with"),
    Planted(
        "the next has the number of the last",
        _with((opening, "begun", _the_same)),
        "was closed as|it counts|by a mistake",
    ),
    Planted("a retry is executed twice", _with((actions, "answered", _again_and_again)), "executed twice"),
    Planted("volumes of earlier specs are left", _with((lifecycle, "PVC", SERVICE)), "is left of an earlier"),
    Planted("Jobs of earlier specs are left", _with((LIFE, "_stale", _forgotten)), "is made while|earlier|seen to run"),
    Planted("suspension is ignored", _with((LIFE, "__init__", _awake)), "is suspended|its phase"),
    Planted("earlier runs are not closed", _with((opening, "_strays", _forgotten)), "is left RUNNING|is made while"),
    Planted(
        "a lost status begins anew", _with((opening, "_where_it_was", _from_the_first)), "was closed as|made while"
    ),
    Planted("a lost status begins another", _with((opening, "_where_it_was", _another_one)), "made while|which has"),
    Planted("what is unfit is read again", _with((fetched, "PERMANENT", -1)), "data that is unfit"),
    Planted("pods are not waited for", _with((Step, "at_work", _forgotten)), "is made while|though"),
    Planted("Jobs try again by themselves", _without("backoffLimit"), "tries again by itself"),
    Planted("the queue is jumped", _without("suspend"), "does not wait for its queue"),
    Planted("what is finished keeps its children", _changed(_kept), "after its time|of an earlier|at work"),
)
