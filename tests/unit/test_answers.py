"""Answers: asked together, once, and again; told only where they are news."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import wraps
from itertools import pairwise
from typing import Any

from serinus.asks import (
    Absent,
    Answer,
    Ask,
    EndRun,
    FindRuns,
    Known,
    PodAddress,
    ReadRun,
    ResolveVersion,
    Scrape,
    Server,
    TagRun,
    Trouble,
    TroubleKind,
)
from serinus.objects import ObjectKind, Ref
from serinus.runtime.answers import GATHER, Answers
from tests import virtual_time
from tests.unit.fakes import NOON, FakeKube, FakeMetrics, FakeRegistry, WallClock, seeded

KIND = ObjectKind("serinus.dev/v1alpha1", "ModelDeployment", "modeldeployments")
A, B, C = (Ref(KIND, "team", name) for name in "abc")
HERE, THERE = Server("http://here"), Server("http://there")
EVERY = timedelta(seconds=30)
TAKES = 1.0


def alias(name: str = "champion", server: Server = HERE, every: timedelta | None = EVERY) -> ResolveVersion:
    return ResolveVersion(server=server, model="churn", alias=name, every=every)


def order(run_id: str, server: Server = HERE) -> EndRun:
    return EndRun(server=server, run_id=run_id, end="KILLED")


def trouble(kind: TroubleKind = TroubleKind.UNREACHABLE, message: str = "away") -> Trouble:
    return Trouble(kind, message)


@dataclass
class Desk:
    """Answers over a registry that says what it is told, and those who were told of news, with the time."""

    says: dict[Ask[Any], Answer[Any]] = field(default_factory=dict)
    told: list[tuple[float, Ref]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.registry = FakeRegistry(lambda ask: self.says.get(ask, Known("nothing new", NOON)))
        self.registry.takes = TAKES
        self.metrics = FakeMetrics()
        self.answers = Answers(self.registry, self.metrics, FakeKube(), WallClock(), self._changed, seeded())

    def _changed(self, key: Ref) -> None:
        self.told.append((asyncio.get_running_loop().time(), key))

    @property
    def batches(self) -> list[tuple[Ask[Any], ...]]:
        """What was asked together, in the order of time."""
        return [asks for _, _, asks in self.registry.batches]

    def times(self, ask: Ask[Any]) -> list[float]:
        """When it was asked."""
        return [round(at, 1) for at, _, asks in self.registry.batches if ask in asks]

    def news(self) -> list[Ref]:
        """Those who were told since the last time."""
        told = [key for _, key in self.told]
        self.told.clear()
        return told

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Answer as long as the block lasts."""
        running = asyncio.create_task(self.answers.run())
        await asyncio.sleep(0)
        yield
        assert not running.done(), f"it ended: {running.exception()!r}"
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def story(test: Callable[[Desk], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """The test, given a desk that is open, in virtual time."""

    @wraps(test)
    def run() -> None:
        async def opened() -> None:
            desk = Desk()
            async with desk.open():
                await test(desk)

        virtual_time.run(opened())

    # pytest would take the parameter for a fixture.
    del run.__wrapped__
    return run


@story
async def test_what_is_asked_is_answered_and_told(desk: Desk) -> None:
    desk.says[alias()] = Known("7", NOON)
    desk.answers.want(A, (alias(),))
    assert desk.answers.known(A) == {}
    await asyncio.sleep(2)
    assert desk.answers.known(A) == {alias(): Known("7", NOON)}
    assert desk.news() == [A]


@story
async def test_equal_asks_of_many_are_one_and_the_answer_is_told_to_each(desk: Desk) -> None:
    for key in (A, B, C):
        desk.answers.want(key, (alias(),))
    await asyncio.sleep(2)
    assert desk.batches == [(alias(),)]
    assert desk.news() == [A, B, C]


@story
async def test_who_asks_what_is_known_already_is_told_at_once(desk: Desk) -> None:
    desk.answers.want(A, (alias(),))
    await asyncio.sleep(2)
    desk.news()
    desk.answers.want(B, (alias(),))
    assert alias() in desk.answers.known(B)
    await asyncio.sleep(2)
    assert desk.news() == [B], "B has planned without the answer, and nobody looks at it again"
    assert len(desk.batches) == 1


@story
async def test_who_asks_the_same_again_is_not_told_again(desk: Desk) -> None:
    for _ in range(3):
        desk.answers.want(A, (alias(),))
        await asyncio.sleep(2)
    assert desk.news() == [A]


@story
async def test_asks_that_come_close_together_go_together_by_server(desk: Desk) -> None:
    desk.answers.want(A, (alias("one"), alias("far", THERE)))
    await asyncio.sleep(GATHER / 2)
    desk.answers.want(B, (alias("two"),))
    await asyncio.sleep(2)
    assert desk.batches == [(alias("one"), alias("two")), (alias("far", THERE),)]


@story
async def test_what_is_asked_for_good_is_asked_again_and_only_news_are_told(desk: Desk) -> None:
    desk.answers.want(A, (alias(),))
    await asyncio.sleep(65)
    assert desk.times(alias()) == [0.0, 31.0, 62.1]
    assert desk.news() == [A]
    desk.says[alias()] = Known("8", NOON)
    await asyncio.sleep(35)
    assert desk.news() == [A]


@story
async def test_an_answer_that_is_no_news_is_fresher_all_the_same(desk: Desk) -> None:
    desk.says[alias()] = Known("7", NOON)
    desk.answers.want(A, (alias(),))
    await asyncio.sleep(2)
    later = Known("7", NOON + timedelta(minutes=1))
    desk.says[alias()] = later
    await asyncio.sleep(35)
    assert desk.answers.known(A) == {alias(): later}


@story
async def test_what_is_asked_once_is_not_asked_again(desk: Desk) -> None:
    desk.answers.want(A, (alias(every=None),))
    await asyncio.sleep(10_000)
    assert len(desk.batches) == 1


@story
async def test_polls_of_one_server_go_together_whenever_they_began(desk: Desk) -> None:
    desk.answers.want(A, (alias("one"),))
    await asyncio.sleep(10)
    desk.answers.want(B, (alias("two"),))
    await asyncio.sleep(80)
    assert [len(asks) for asks in desk.batches] == [1, 1, 2, 2]


@story
async def test_what_goes_on_elsewhere_does_not_hurry_polls(desk: Desk) -> None:
    desk.answers.want(A, (alias(),))
    for number in range(12):
        await asyncio.sleep(5)
        desk.answers.want(B, (alias(f"a-{number}", THERE, None),))
    assert desk.times(alias()) == [0.0, 31.0]


@story
async def test_an_outage_is_told_once_whatever_its_words(desk: Desk) -> None:
    desk.says[alias()] = trouble(message="no answer within 10 s")
    desk.answers.want(A, (alias(),))
    await asyncio.sleep(5)
    desk.says[alias()] = trouble(message="connection refused")
    await asyncio.sleep(300)
    assert desk.news() == [A]
    assert desk.answers.known(A) == {alias(): trouble(message="no answer within 10 s")}
    desk.says[alias()] = trouble(TroubleKind.UNAUTHORIZED)
    await asyncio.sleep(100)
    assert desk.news() == [A]
    desk.says[alias()] = Known("7", NOON)
    await asyncio.sleep(100)
    assert desk.news() == [A]
    assert desk.answers.known(A) == {alias(): Known("7", NOON)}


@story
async def test_a_server_that_is_away_is_asked_less_and_less_often_and_then_as_before(desk: Desk) -> None:
    desk.says[alias()] = trouble()
    desk.answers.want(A, (alias(),))
    await asyncio.sleep(300)
    times = desk.times(alias())
    pauses = [after - before - TAKES for before, after in pairwise(times)]
    for failures, pause in enumerate(pauses):
        whole = min(2.0**failures, 60)
        assert whole / 2 - 0.2 <= pause <= whole + 0.2
    desk.says[alias()] = Known("7", NOON)
    await asyncio.sleep(200)
    *_, before, last = desk.times(alias())
    assert round(last - before, 1) == 31.0


@story
async def test_another_trouble_than_before_is_asked_about_again_soon(desk: Desk) -> None:
    desk.says[alias()] = trouble()
    desk.answers.want(A, (alias(),))
    await asyncio.sleep(300)
    desk.says[alias()] = trouble(TroubleKind.UNAUTHORIZED)
    asked = len(desk.times(alias()))
    await asyncio.sleep(100)
    first, second = desk.times(alias())[asked : asked + 2]
    assert second - first - TAKES <= 1.2


@story
async def test_a_refusal_is_asked_again_seldom(desk: Desk) -> None:
    desk.says[order("r")] = trouble(TroubleKind.REFUSED)
    desk.answers.want(A, (order("r"),))
    await asyncio.sleep(14)
    assert len(desk.batches) == 1
    await asyncio.sleep(30)
    assert len(desk.batches) == 2


@story
async def test_asks_that_failed_together_are_asked_again_together(desk: Desk) -> None:
    asks = tuple(alias(f"a-{number}") for number in range(20))
    for ask in asks:
        desk.says[ask] = trouble()
    desk.answers.want(A, asks)
    await asyncio.sleep(300)
    assert len(desk.batches) < 30, "each has its own time to try again, so a server that is away is asked all the time"


@story
async def test_orders_of_one_resource_go_in_their_order_and_one_after_another(desk: Desk) -> None:
    desk.answers.want(A, (order("1"), order("2")))
    await asyncio.sleep(0.5)
    desk.answers.want(A, (order("1"), order("2"), order("3")))
    await asyncio.sleep(5)
    assert desk.batches == [(order("1"), order("2")), (order("3"),)]
    (first, _, _), (second, _, _) = desk.registry.batches
    assert second - first >= TAKES


@story
async def test_orders_to_two_servers_do_not_overtake_each_other(desk: Desk) -> None:
    desk.answers.want(A, (order("1"), order("2", THERE), order("3")))
    await asyncio.sleep(10)
    given = [ask for asks in desk.batches for ask in asks]
    assert given == [order("1"), order("2", THERE), order("3")]


@story
async def test_an_order_waits_for_an_earlier_one_that_failed(desk: Desk) -> None:
    desk.says[order("1")] = trouble()
    desk.answers.want(A, (order("1"),))
    await asyncio.sleep(1.1)
    desk.answers.want(A, (order("1"), order("2")))
    await asyncio.sleep(20)
    assert order("2") not in {asks[0] for asks in desk.batches}


@story
async def test_orders_of_different_resources_do_not_wait_for_each_other(desk: Desk) -> None:
    desk.answers.want(A, (order("1"),))
    desk.answers.want(B, (order("2"),))
    await asyncio.sleep(0.5)
    assert sorted(asks[0].run_id for asks in desk.batches if isinstance(asks[0], EndRun)) == ["1", "2"]


@story
async def test_one_order_of_two_resources_is_given_once(desk: Desk) -> None:
    desk.answers.want(A, (order("1"),))
    desk.answers.want(B, (order("1"),))
    await asyncio.sleep(5)
    assert desk.batches == [(order("1"),)]
    assert set(desk.news()) == {A, B}


@story
async def test_reads_of_a_resource_wait_for_its_orders(desk: Desk) -> None:
    find = FindRuns(server=HERE, experiment="e", tag="t", value="v", since="2")
    desk.answers.want(A, (order("1"),))
    await asyncio.sleep(0.5)
    desk.answers.want(A, (order("1"), find))
    desk.answers.want(B, (alias(),))
    await asyncio.sleep(5)
    times = {ask: at for at, _, asks in desk.registry.batches for ask in asks}
    assert times[find] >= times[order("1")] + TAKES
    assert times[alias()] < times[order("1")] + TAKES, "another resource need not wait"


@story
async def test_while_an_order_is_on_its_way_nothing_is_tried_in_vain(desk: Desk) -> None:
    desk.registry.takes = 10_000.0
    desk.answers.want(A, (order("1"),))
    await asyncio.sleep(1)
    desk.answers.want(A, (order("1"), order("2")))
    turns = 0
    original = desk.answers._ask_due  # noqa: SLF001 (there is no other sign of a loop that spins)

    def counted(asking: asyncio.TaskGroup) -> None:
        nonlocal turns
        turns += 1
        original(asking)

    desk.answers._ask_due = counted  # type: ignore[method-assign]  # noqa: SLF001
    await asyncio.sleep(100)
    assert turns < 10


@story
async def test_what_nobody_asks_any_more_is_dropped(desk: Desk) -> None:
    desk.answers.want(A, (alias(),))
    desk.answers.want(B, (alias(),))
    await asyncio.sleep(2)
    desk.answers.want(A, ())
    await asyncio.sleep(40)
    assert len(desk.batches) == 2, "B still asks"
    desk.answers.want(B, ())
    await asyncio.sleep(1000)
    assert len(desk.batches) == 2
    assert desk.answers.known(A) == desk.answers.known(B) == {}


@story
async def test_who_comes_back_gets_an_answer_of_now(desk: Desk) -> None:
    desk.says[alias()] = Known("7", NOON)
    desk.answers.want(A, (alias(),))
    await asyncio.sleep(2)
    desk.answers.want(A, ())
    desk.says[alias()] = Known("8", NOON)
    desk.answers.want(A, (alias(),))
    assert desk.answers.known(A) == {}
    await asyncio.sleep(2)
    assert desk.answers.known(A) == {alias(): Known("8", NOON)}


@story
async def test_an_answer_that_comes_after_its_asker_left_is_thrown_away(desk: Desk) -> None:
    desk.answers.want(A, (alias(), order("1")))
    await asyncio.sleep(0.5)
    desk.answers.want(A, ())
    await asyncio.sleep(5)
    assert desk.news() == []
    desk.answers.want(A, (alias(),))
    assert desk.answers.known(A) == {}


@story
async def test_an_asker_may_leave_at_the_very_moment_it_is_asked_for(desk: Desk) -> None:
    desk.answers.want(A, (alias(), order("1")))
    for _ in range(5):
        await asyncio.sleep(0)
    # The gathering ends now: what is due is on its way, and has not begun.
    await asyncio.sleep(GATHER)
    desk.answers.want(A, ())
    await asyncio.sleep(5)


@story
async def test_a_registry_that_raises_is_a_trouble_and_asked_again(desk: Desk) -> None:
    desk.registry.error = RuntimeError("a mistake in the adapter")
    desk.answers.want(A, (alias(), order("1")))
    await asyncio.sleep(2)
    answers = desk.answers.known(A)
    assert [one.kind for one in answers.values() if isinstance(one, Trouble)] == [TroubleKind.UNREACHABLE] * 2
    desk.registry.error = None
    await asyncio.sleep(10)
    assert all(isinstance(one, Known) for one in desk.answers.known(A).values())


@story
async def test_an_answer_that_is_missing_is_a_trouble(desk: Desk) -> None:
    desk.registry.oracle = lambda ask: Known(Absent("run"), NOON) if isinstance(ask, ReadRun) else None
    read = ReadRun(server=HERE, run_id="r")
    desk.answers.want(A, (read, alias()))
    await asyncio.sleep(1.5)
    answers = desk.answers.known(A)
    assert answers[read] == Known(Absent("run"), NOON)
    assert isinstance(answers[alias()], Trouble)


@story
async def test_pods_are_asked_each_time_it_is_due(desk: Desk) -> None:
    scrape = Scrape(pods=(PodAddress("a", "10.0.0.1"),), port=8080, every=timedelta(seconds=10))
    desk.answers.want(A, (scrape,))
    await asyncio.sleep(35)
    assert desk.metrics.asked == [scrape] * 4
    assert desk.answers.known(A) == {scrape: Known((), NOON)}


@story
async def test_an_order_that_succeeded_is_not_given_again_as_long_as_it_is_wanted(desk: Desk) -> None:
    orders = (order("1"), TagRun(server=HERE, run_id="1", tags=(("a", "b"),)))
    desk.answers.want(A, orders)
    await asyncio.sleep(3)
    desk.answers.want(A, (*orders, alias()))
    await asyncio.sleep(1000)
    assert sum(order("1") in asks for asks in desk.batches) == 1


def test_being_cancelled_tells_nobody_anything() -> None:
    async def run() -> None:
        desk = Desk()
        async with desk.open():
            desk.answers.want(A, (alias(), order("1")))
            await asyncio.sleep(0.5)
        assert desk.news() == [], "the registry did not answer, and that is not its fault"

    virtual_time.run(run())
