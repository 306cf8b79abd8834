"""Answers: what plans have asked is asked of registries and pods, in the background, and the plans are woken by news.

Nobody waits here. A plan says what it wants to know; until the answer is there it decides without. Equal asks of many
resources are one ask. What is to be asked again and again is asked again here, for all resources of a server at once,
and a resource is only looked at again when an answer has changed: a settled resource costs nothing.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched, islice, takewhile
from random import Random
from typing import Any

from serinus.asks import Answer, Ask, Known, ReadWarning, RegistryAsk, Scrape, Server, Trouble, TroubleKind
from serinus.objects import Ref
from serinus.ports import Clock, Kube, KubeError, Metrics, Registry
from serinus.runtime.queue import Backoff

log = logging.getLogger(__name__)

# Asks that come within this time go together.
GATHER = 0.02
# How much is on its way to one server at a time, lest waiting there counts as not answering: lists of so many reads,
# and resources whose orders are carried out.
LISTS = 2
LENGTH = 100
ORDERERS = 8
# A retry of what failed, and of what was refused: a refusal passes only when somebody changes something.
RETRY = Backoff(first=1.0, most=60.0)
REFUSAL = Backoff(first=30.0, most=300.0)
_PASSING = (TroubleKind.UNREACHABLE, TroubleKind.UNAUTHORIZED, TroubleKind.CREDENTIALS_MISSING)


@dataclass
class _Entry:
    """One ask: who wants to know, what is known, and when it is to be asked (again)."""

    askers: set[Ref] = field(default_factory=set)
    answer: Answer[Any] | None = None
    due: float | None = 0.0
    failures: int = 0
    asking: bool = False


@dataclass(frozen=True)
class _Line:
    """What waits for the same: the orders or the reads of one server, or whatever has no server."""

    server: Server | None
    order: bool


def _line(ask: Ask[Any]) -> _Line:
    return _Line(ask.server, ask.order) if isinstance(ask, RegistryAsk) else _Line(None, order=False)


class Answers:
    """Everything that is asked and answered; `changed` is called for each asker of an answer that has changed."""

    def __init__(  # noqa: PLR0913, PLR0917 (the ports)
        self,
        registry: Registry,
        metrics: Metrics,
        kube: Kube,
        clock: Clock,
        changed: Callable[[Ref], None],
        random: Random,
    ) -> None:
        self._registry = registry
        self._kube = kube
        self._metrics = metrics
        self._clock = clock
        self._changed = changed
        self._random = random
        self._entries: dict[Ask[Any], _Entry] = {}
        # Those of them that are to be asked, by what they wait for together: an operator of thousands of resources
        # has tens of thousands of answers, and few questions that a server could take now.
        self._open: dict[_Line, dict[Ask[Any], _Entry]] = {}
        self._wanted: dict[Ref, tuple[Ask[Any], ...]] = {}
        # Whose orders are on their way: those of one resource are carried out one after another.
        self._ordering: set[Ref] = set()
        self._orderers: Counter[Server] = Counter()
        self._listing: Counter[Server] = Counter()
        self._kick = asyncio.Event()

    def want(self, key: Ref, asks: Iterable[Ask[Any]]) -> None:
        """From now on the resource wants to know just this, in this order."""
        wanted = tuple(dict.fromkeys(asks))
        before = self._wanted.get(key, ())
        if wanted == before:
            return
        for ask in before:
            if ask not in wanted:
                self._leave(key, ask)
        for ask in wanted:
            self._entry(ask).askers.add(key)
        self._wanted[key] = wanted
        if not wanted:
            del self._wanted[key]
        self._kick.set()
        # What another one's ask has brought is news to this one, who has planned without it.
        if any(ask not in before and self._entries[ask].answer is not None for ask in wanted):
            self._changed(key)

    def known(self, key: Ref) -> Mapping[Ask[Any], Answer[Any]]:
        """What is known of what the resource asked."""
        entries = ((ask, self._entries[ask].answer) for ask in self._wanted.get(key, ()))
        return {ask: answer for ask, answer in entries if answer is not None}

    async def run(self) -> None:
        """Ask what is due, until cancelled."""
        async with asyncio.TaskGroup() as asking:
            while True:
                await self._until_due()
                await asyncio.sleep(GATHER)
                self._kick.clear()
                self._ask_due(asking)

    def _entry(self, ask: Ask[Any]) -> _Entry:
        """The entry of an ask, which is open at first."""
        entry = self._entries.get(ask)
        if entry is None:
            entry = self._entries[ask] = _Entry()
            self._open.setdefault(_line(ask), {})[ask] = entry
        return entry

    def _close(self, ask: Ask[Any]) -> None:
        """It is not to be asked any more, or not for now."""
        line = self._open.get(_line(ask), {})
        line.pop(ask, None)
        if not line:
            self._open.pop(_line(ask), None)

    def _is_full(self, line: _Line) -> bool:
        if line.server is None:
            return False
        return self._orderers[line.server] >= ORDERERS if line.order else self._listing[line.server] >= LISTS

    async def _until_due(self) -> None:
        now = _now()
        first = self._first_due(now)
        delay = None if first is None else max(first - now, 0.0)
        try:
            async with asyncio.timeout(delay):
                await self._kick.wait()
        except TimeoutError:
            return

    def _first_due(self, now: float) -> float | None:
        """When the next ask may go."""
        first: float | None = None
        for line, entries in self._open.items():
            # A server that has as much to do as it may says itself when it is done.
            for ask, entry in () if self._is_full(line) else entries.items():
                if entry.due is None or entry.asking:
                    continue
                if entry.due > now:
                    first = entry.due if first is None else min(first, entry.due)
                elif self._may_go(ask, entry):
                    return now
        return first

    def _ask_due(self, asking: asyncio.TaskGroup) -> None:
        """Everything that is due and may go is on its way when this returns, so that nothing is asked twice."""
        now = _now()
        for line in list(self._open):
            if line.order:
                self._order_due(asking, line, now)
            elif not self._is_full(line):
                self._read_due(asking, line, now)

    def _order_due(self, asking: asyncio.TaskGroup, line: _Line, now: float) -> None:
        """Orders in the order in which they were wanted, until the server has enough of them."""
        for ask, entry in self._open[line].items():
            if self._is_full(line):
                return
            if self._is_due(ask, entry, now):
                for key in sorted(entry.askers):
                    self._give_orders(asking, key, now)

    def _read_due(self, asking: asyncio.TaskGroup, line: _Line, now: float) -> None:
        entries = self._open[line]
        due = [ask for ask, entry in entries.items() if self._is_due(ask, entry, now)]
        for ask in due:
            if isinstance(ask, Scrape):
                self._begin((ask,))
                asking.create_task(self._scrape(ask))
            elif isinstance(ask, ReadWarning):
                self._begin((ask,))
                asking.create_task(self._read_warning(ask))
        if due and line.server is not None:
            # What will be due soon goes along: a server is polled, and not an ask.
            due += [ask for ask, entry in entries.items() if self._goes_along(ask, entry, now)]
            self._read_together(asking, line.server, [one for one in due if isinstance(one, RegistryAsk)])

    def _read_together(self, asking: asyncio.TaskGroup, server: Server, reads: list[RegistryAsk[Any]]) -> None:
        for together in islice(batched(reads, LENGTH, strict=False), LISTS - self._listing[server]):
            self._begin(together)
            self._listing[server] += 1
            asking.create_task(self._read(server, together))

    def _is_due(self, ask: Ask[Any], entry: _Entry, now: float) -> bool:
        return entry.due is not None and entry.due <= now and not entry.asking and self._may_go(ask, entry)

    def _may_go(self, ask: Ask[Any], entry: _Entry) -> bool:
        """Whether it is its turn, where its line is not full.

        What a resource asks after an order is answered after it was carried out, and orders come in turn.
        """
        if ask.order:
            return any(key not in self._ordering and self._orders(key)[0] == ask for key in entry.askers)
        return self._ordering.isdisjoint(entry.askers)

    def _goes_along(self, ask: Ask[Any], entry: _Entry, now: float) -> bool:
        if entry.asking or entry.due is None or entry.due <= now or not self._may_go(ask, entry):
            return False
        return entry.failures > 0 or (ask.every is not None and entry.due - ask.every.total_seconds() / 2 <= now)

    def _orders(self, key: Ref) -> list[RegistryAsk[Any]]:
        """The orders of a resource that are not carried out yet, in their order."""
        wanted = (ask for ask in self._wanted.get(key, ()) if isinstance(ask, RegistryAsk) and ask.order)
        return [ask for ask in wanted if self._entries[ask].due is not None]

    def _give_orders(self, asking: asyncio.TaskGroup, key: Ref, now: float) -> None:
        """The next orders of a resource to one server go together, none before those that were given earlier."""
        left = self._orders(key)
        together = list(takewhile(lambda ask: self._goes_with(left[0], ask, now), left))
        has_room = bool(together) and not self._is_full(_line(left[0]))
        if has_room and key not in self._ordering and self._may_go(left[0], self._entries[left[0]]):
            self._ordering.add(key)
            self._orderers[left[0].server] += 1
            self._begin(together)
            asking.create_task(self._order(key, left[0].server, together))

    def _goes_with(self, first: RegistryAsk[Any], ask: RegistryAsk[Any], now: float) -> bool:
        entry = self._entries[ask]
        return ask.server == first.server and not entry.asking and entry.due is not None and entry.due <= now

    async def _order(self, key: Ref, server: Server, orders: Sequence[RegistryAsk[Any]]) -> None:
        try:
            await self._consult(server, orders)
        finally:
            self._ordering.discard(key)
            self._orderers[server] -= 1
            self._kick.set()

    async def _read(self, server: Server, reads: Sequence[RegistryAsk[Any]]) -> None:
        try:
            await self._consult(server, reads)
        finally:
            self._listing[server] -= 1
            self._kick.set()

    async def _consult(self, server: Server, asks: Sequence[RegistryAsk[Any]]) -> None:
        answers: Mapping[Any, Answer[Any]] = {}
        try:
            answers = await self._registry.answer(server, asks)
        except Exception:
            log.exception("asking %s failed", server)
        none = Trouble(TroubleKind.UNREACHABLE, f"{server} gave no answer; the operator's log says why")
        for ask in asks:
            self._settle(ask, answers.get(ask, none))

    async def _scrape(self, ask: Scrape) -> None:
        answer: Answer[Any] = Trouble(TroubleKind.UNREACHABLE, "the pods gave no answer; the operator's log says why")
        try:
            at = self._clock.now()
            answer = Known(await self._metrics.scrape(ask), at)
        except Exception:
            log.exception("asking pods failed")
        self._settle(ask, answer)

    async def _read_warning(self, ask: ReadWarning) -> None:
        answer: Answer[Any] = Trouble(TroubleKind.UNREACHABLE, "the events could not be read; the log says why")
        try:
            at = self._clock.now()
            answer = Known(await self._kube.warning(ask.ref, ask.uid), at)
        except KubeError as error:
            log.warning("%s", error)
        except Exception:
            log.exception("reading events failed")
        self._settle(ask, answer)

    def _begin(self, asks: Iterable[Ask[Any]]) -> None:
        for ask in asks:
            self._entries[ask].asking = True

    def _settle(self, ask: Ask[Any], answer: Answer[Any]) -> None:
        """Keep an answer, tell those whom it is news to, and set when it is asked again."""
        entry = self._entries[ask]
        entry.asking = False
        self._kick.set()
        if not entry.askers:
            self._forget(ask)
            return
        news = _is_news(entry.answer, answer)
        if news:
            # Another trouble than before may pass sooner.
            entry.failures = 0
        if news or isinstance(answer, Known):
            entry.answer = answer
        entry.failures = entry.failures + 1 if isinstance(answer, Trouble) else 0
        entry.due = self._next(ask, answer, entry.failures)
        if entry.due is None:
            self._close(ask)
        if news:
            for key in sorted(entry.askers):
                self._changed(key)

    def _next(self, ask: Ask[Any], answer: Answer[Any], failures: int) -> float | None:
        if isinstance(answer, Trouble):
            backoff = RETRY if answer.kind in _PASSING else REFUSAL
            return _now() + backoff.delay(failures, self._random)
        return None if ask.every is None else _now() + ask.every.total_seconds()

    def _leave(self, key: Ref, ask: Ask[Any]) -> None:
        entry = self._entries[ask]
        entry.askers.discard(key)
        if not entry.askers and not entry.asking:
            self._forget(ask)

    def _forget(self, ask: Ask[Any]) -> None:
        del self._entries[ask]
        self._close(ask)


def _is_news(before: Answer[Any] | None, after: Answer[Any]) -> bool:
    """Troubles of one kind are one trouble, whatever their words: an outage is told once."""
    match before, after:
        case Known(), Known():
            return bool(before.value != after.value)
        case Trouble(), Trouble():
            return before.kind != after.kind
        case _:
            return True


def _now() -> float:
    return asyncio.get_running_loop().time()
