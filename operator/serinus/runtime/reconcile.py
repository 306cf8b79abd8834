"""One pass over one resource: parse, observe, plan, execute. The same for every kind."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from serinus import objects
from serinus.api.conditions import Reason
from serinus.api.invalid import Invalid
from serinus.objects import POD, Manifest, ObjectKind, Ref
from serinus.plan import Defaults, Facts, Kind, Plan, Status
from serinus.ports import Clock, Forbidden, KubeError, Refused
from serinus.progress import Said, conditions, progressing, stalled, transitions, updated
from serinus.runtime.answers import Answers
from serinus.runtime.cache import Cache
from serinus.runtime.executor import Executor, Going, NameTaken, Untold


class Reconciler:
    """Brings one resource a step nearer to its spec; what it is about to do is decided by the kind's plan alone."""

    def __init__(  # noqa: PLR0913, PLR0917 (the parts of the loop, put together in one place)
        self,
        kinds: Mapping[ObjectKind, Kind[Any]],
        cache: Cache,
        answers: Answers,
        executor: Executor,
        clock: Clock,
        defaults: Defaults,
    ) -> None:
        self._kinds = kinds
        self._cache = cache
        self._answers = answers
        self._executor = executor
        self._clock = clock
        self._defaults = defaults

    async def reconcile(self, key: Ref) -> float | None:
        """One pass; after how many seconds the next is wanted, if nothing happens before. Raises a KubeError."""
        resource = self._cache.get(key)
        if resource is None or objects.is_going(resource):
            self._answers.want(key, ())
            self._executor.forget(key)
            return None
        await self._executor.make_sure(key)
        resource = self._cache.get(key) or resource
        kind = self._kinds[key.kind]
        plan = self._decide(kind, key, resource)
        changed = await self._carry_out(kind, resource, plan)
        self._answers.want(key, plan.ask)
        if changed:
            # The watch will bring what we did, but that is no news any more.
            return 0.0
        return None if plan.requeue_after is None else plan.requeue_after.total_seconds()

    def _decide(self, kind: Kind[Any], key: Ref, resource: Manifest) -> Plan:
        model = kind.resource.parse(resource)
        if isinstance(model, Invalid):
            return self._stall(kind, resource, Reason.INVALID_SPEC, model.message)
        return kind.plan(model, self._facts(key, resource), self._defaults)

    def _facts(self, key: Ref, resource: Manifest) -> Facts:
        """What is known of what is ours. Pods are controlled by our children, so their labels speak for them."""
        mine = ("", objects.uid(resource))
        children = self._cache.children(key)
        ours = tuple(one for one in children if one["kind"] == POD.kind or objects.controller(one) in mine)
        return Facts(self._clock.now(), ours, self._answers.known(key))

    async def _carry_out(self, kind: Kind[Any], resource: Manifest, plan: Plan) -> bool:
        """Execute; what the API server will not have is told in the status, and tried again later all the same."""
        try:
            return await self._executor.execute(kind, resource, plan)
        except Untold:
            raise
        except Going as error:
            said = progressing(Reason.STOPPING, str(error))
            await self._executor.report(kind, resource, self._tell(kind, resource, str(error), said))
            raise
        except (Forbidden, Refused, NameTaken) as error:
            await self._executor.report(kind, resource, self._stall(kind, resource, _reason(error), str(error)))
            raise

    def _stall(self, kind: Kind[Any], resource: Manifest, reason: Reason, message: str) -> Plan:
        """Only a status: nothing else is done for a resource that cannot be understood or must not be had."""
        return self._tell(kind, resource, message, stalled(reason, message))

    def _tell(self, kind: Kind[Any], resource: Manifest, message: str, said: Sequence[Said]) -> Plan:
        """Only a status."""
        status, generation = status_of(kind, resource), int(resource["metadata"].get("generation", 0))
        after = conditions(status.conditions, said, generation, self._clock.now())
        told = updated(
            status,
            observed_generation=generation,
            message=message,
            conditions=after,
            phase=status.phase or "Pending",
        )
        return Plan(status=told, events=transitions(status.conditions, after))


def status_of(kind: Kind[Any], resource: Manifest) -> Status:
    """The status of a resource that may not be readable otherwise; one that cannot be read counts as lost."""
    try:
        return kind.status.model_validate(resource.get("status") or {})
    except ValidationError:
        return kind.status()


def _reason(error: KubeError) -> Reason:
    match error:
        case NameTaken():
            return Reason.NAME_TAKEN
        case Forbidden() if "exceeded quota" in str(error):
            return Reason.QUOTA_EXCEEDED
        case Forbidden():
            return Reason.FORBIDDEN
        case _:
            return Reason.INVALID_SPEC
