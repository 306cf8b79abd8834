"""Operators that are broken on purpose, each in one way: the simulator has to catch every one of them."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from random import Random
from typing import Any, Final, override

from serinus import rollout, training
from serinus.objects import DEPLOYMENT, SERVICE, Ref, ref_of, uid
from serinus.plan import Apply, Defaults, Delete, Facts, Kind, Plan
from serinus.ports import Kube
from serinus.runtime.executor import Executor
from serinus.runtime.operator import Limits, Operator, Ports
from serinus.runtime.queue import WorkQueue
from tests.sim.lines import KubeLine
from tests.sim.planted_parts import (
    AnyName,
    AppliesOverAnything,
    Blind,
    BlindToVersions,
    Careless,
    DeletesFirst,
    Forgetful,
    GoesOn,
    Impatient,
    NewestGeneration,
    Polite,
    Remembers,
    StatusAnswerForgotten,
    StatusWithoutVersion,
    TakesOver,
    Timeless,
)
from tests.sim.world import Assembly


@dataclasses.dataclass(frozen=True)
class Planted:
    """One bug: how it is built in, and the words by which it is caught."""

    name: str
    assembly: Assembly
    caught_by: str
    # Where to begin: a bug that the rest of the loop almost makes up for shows in few seeds only.
    first_seed: int = 0


def _with_queue(queue: type[WorkQueue[Ref]]) -> Assembly:
    """An operator with another queue, wherever the queue goes."""

    class Queued(Operator):
        @override
        def __init__(
            self, kinds: Sequence[Kind[Any]], ports: Ports, defaults: Defaults, limits: Limits, random: Random
        ) -> None:
            super().__init__(kinds, ports, defaults, limits, random)
            # The parts hold on to the methods of the queue: it becomes another one in place.
            self.queue.__class__ = queue

    return Assembly(operator=Queued)


def _with_executor(executor: type[Executor]) -> Assembly:
    """An operator with another executor."""

    class Executed(Operator):
        @override
        def __init__(
            self, kinds: Sequence[Kind[Any]], ports: Ports, defaults: Defaults, limits: Limits, random: Random
        ) -> None:
            super().__init__(kinds, ports, defaults, limits, random)
            self.executor.__class__ = executor

    return Assembly(operator=Executed)


# --- in the plans

type Change = Callable[[Any, Facts, Plan], Plan]


def _planned(change: Change) -> Assembly:
    """An operator whose plans are changed before they are executed."""

    def changed(kind: Kind[Any]) -> Kind[Any]:
        def plan(resource: Any, facts: Facts, defaults: Defaults) -> Plan:  # noqa: ANN401 (either kind)
            return change(resource, facts, kind.plan(resource, facts, defaults))

        return dataclasses.replace(kind, plan=plan)

    return Assembly(kinds=tuple(changed(kind) for kind in (training.KIND, rollout.KIND)))


def _traffic_at_once(_resource: object, _facts: Facts, plan: Plan) -> Plan:
    """The Service leads to the revision that is wanted, ready or not."""
    wanted = next((one for one in plan.apply if one.kind == DEPLOYMENT), None)
    if wanted is None:
        return plan
    selector = wanted.manifest["spec"]["selector"]["matchLabels"]

    def led(apply: Apply) -> Apply:
        if apply.kind != SERVICE:
            return apply
        spec = {**apply.manifest["spec"], "selector": selector}
        return dataclasses.replace(apply, manifest={**apply.manifest, "spec": spec})

    return dataclasses.replace(plan, apply=tuple(map(led, plan.apply)))


def _stamped(_resource: object, facts: Facts, plan: Plan) -> Plan:
    """Children say when they were applied last."""

    def stamped(apply: Apply) -> Apply:
        metadata = {**apply.manifest["metadata"], "annotations": {"applied-at": facts.now.isoformat()}}
        return dataclasses.replace(apply, manifest={**apply.manifest, "metadata": metadata})

    return dataclasses.replace(plan, apply=tuple(map(stamped, plan.apply)), requeue_after=timedelta(seconds=60))


def _hasty(_resource: object, facts: Facts, plan: Plan) -> Plan:
    """The pods of before go in the pass that moves the traffic, not when it was seen to have moved."""
    wanted = [one.manifest["metadata"]["name"] for one in plan.apply if one.kind == DEPLOYMENT][-1:]
    moved = any(one.kind == SERVICE for one in plan.apply) and wanted
    others = [one for one in facts.of(DEPLOYMENT) if one["metadata"]["name"] not in wanted]
    return dataclasses.replace(
        plan, delete=tuple(Delete(ref_of(DEPLOYMENT, one), uid(one)) for one in others if moved) or plan.delete
    )


def _fresh_conditions(_resource: object, facts: Facts, plan: Plan) -> Plan:
    """Conditions have the time of the last look, not of the last change."""
    conditions = tuple(one.model_copy(update={"last_transition_time": facts.now}) for one in plan.status.conditions)
    return dataclasses.replace(plan, status=plan.status.model_copy(update={"conditions": conditions}))


def _talkative(resource: Any, _facts: Facts, plan: Plan) -> Plan:  # noqa: ANN401 (either kind)
    """The message repeats the spec."""
    message = json.dumps(resource.spec.wire())[:500]
    return dataclasses.replace(plan, status=plan.status.model_copy(update={"message": message}))


def _unowned(_resource: object, _facts: Facts, plan: Plan) -> Plan:
    """Children have no owner."""

    def unowned(apply: Apply) -> Apply:
        metadata = {key: value for key, value in apply.manifest["metadata"].items() if key != "ownerReferences"}
        return dataclasses.replace(apply, manifest={**apply.manifest, "metadata": metadata})

    return dataclasses.replace(plan, apply=tuple(map(unowned, plan.apply)))


def _kube(line: Callable[[KubeLine], Kube]) -> Assembly:
    return Assembly(kube=line)


# What the judge of statuses says: which of its complaints comes first is a matter of the seed.
STATUS: Final = "^status of|not at rest"

BUGS: Final = (
    Planted(
        "status is written without its version",
        _kube(StatusWithoutVersion),
        STATUS,
    ),
    Planted("the answer to a status write is forgotten", _kube(StatusAnswerForgotten), STATUS),
    Planted("observedGeneration of an object not looked at", _kube(NewestGeneration), STATUS),
    Planted(
        "names by generateName",
        _kube(AnyName),
        "second Job|is made while|is deleted while|not at rest|never comes to rest",
    ),
    Planted(
        "applies without saying which object", _kube(AppliesOverAnything), "somebody else's|belonged to|not at rest"
    ),
    Planted("no look before a run is made", Assembly(registry=Blind), "runs with the key"),
    Planted("no look before a version is made", Assembly(registry=BlindToVersions), "there are [0-9]+ versions"),
    Planted("runs are not ended", Assembly(registry=Polite), "left RUNNING|registry calls|though the|is made while"),
    Planted("an alias is resolved once", Assembly(registry=Remembers), "of other versions|does not lead to"),
    Planted("errors are dropped", _with_queue(Forgetful), "not at rest"),
    Planted("requeue_after is forgotten", _with_queue(Timeless), "after its time|not at rest|left alone"),
    Planted("two workers at one key", _with_queue(Careless), "two writes at once"),
    Planted(
        "deletes before applies",
        dataclasses.replace(_with_executor(DeletesFirst), kinds=_planned(_hasty).kinds),
        "is deleted while",
    ),
    Planted("deletes though an apply failed", _with_executor(GoesOn), "is deleted while|not at rest"),
    Planted("what has the name is taken", _with_executor(TakesOver), "somebody else's|belonged to|left RUNNING"),
    Planted(
        "starts before all was seen",
        Assembly(operator=Impatient),
        "takes the traffic|trains revision|is deleted while|left alone|moved though it stayed|is gone|is made while",
        first_seed=4,
    ),
    Planted(
        "what is left open is not swept",
        Assembly(kinds=(dataclasses.replace(training.KIND, leftovers=None), rollout.KIND)),
        "its TrainingJob is gone",
    ),
    Planted("nothing is compared from time to time", Assembly(limits=Limits(resync=1e9)), "not at rest"),
    Planted("traffic before ready", _planned(_traffic_at_once), "takes the traffic|not at rest"),
    Planted("applies in every pass", _planned(_stamped), "not at rest|comes to rest|left alone"),
    Planted("condition times of the last look", _planned(_fresh_conditions), "lastTransitionTime"),
    Planted("status tells a secret", _planned(_talkative), "tells a secret"),
    Planted("children without owner", _planned(_unowned), "has no owner"),
)
