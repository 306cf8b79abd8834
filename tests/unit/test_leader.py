"""Leader election in virtual time: who leads, for how long, and never two at once."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from serinus.ports import Forbidden, Unavailable
from serinus.runtime.leader import Elector, Terms
from tests import virtual_time
from tests.unit.leases import REF, Fate, Line, Store, Watch

TERMS = Terms()
DURATION, DEADLINE, RETRY = (one.total_seconds() for one in (TERMS.duration, TERMS.renew_deadline, TERMS.retry))
# A call takes 0.02 s; what is said to happen at once takes a few.
SOON = 0.1


def candidate(store: Store, name: str = "a", fate: Callable[[], Fate] = Fate) -> Elector:
    return Elector(kube=Line(store, fate), lease=REF, identity=name, clock=Watch(), terms=TERMS, random=seeded(name))


def free(store: Store) -> Store:
    store.create({"metadata": {"name": REF.name, "namespace": REF.namespace}, "spec": {}})
    return store


def seeded(seed: str | int) -> Random:
    return Random(seed)  # noqa: S311 (a run must repeat)


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class Script:
    """The fates of the next calls, then all is well."""

    fates: deque[Fate] = field(default_factory=deque)

    def __call__(self) -> Fate:
        """The next one."""
        return self.fates.popleft() if self.fates else Fate()

    def then(self, *fates: Fate) -> None:
        """Add some."""
        self.fates.extend(fates)


def test_who_finds_a_lease_without_holder_leads_at_once() -> None:
    async def story() -> None:
        store = free(Store())
        await candidate(store).acquire()
        assert now() < SOON
        assert store.spec == {
            "holderIdentity": "a",
            "leaseDurationSeconds": 10,
            "acquireTime": "2026-01-01T12:00:00.000000Z",
            "renewTime": "2026-01-01T12:00:00.000000Z",
            "leaseTransitions": 0,
        }

    virtual_time.run(story())


def test_who_finds_no_lease_makes_one_and_waits_in_case_another_held_the_one_that_is_gone() -> None:
    async def story() -> None:
        store = Store()
        await candidate(store).acquire()
        assert DURATION < now() < DURATION + 2 * RETRY + SOON
        assert store.spec["holderIdentity"] == "a"

    virtual_time.run(story())


def test_a_leader_that_renews_leads_on() -> None:
    async def story() -> None:
        store = free(Store())
        leader, other = candidate(store), candidate(store, "b")
        await leader.acquire()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.gather(leader.hold(), other.acquire())
        assert leader.leads
        assert not other.leads
        assert store.spec["leaseTransitions"] == 0

    virtual_time.run(story())


def test_what_was_given_up_is_taken_over_within_a_retry() -> None:
    async def story() -> None:
        store = free(Store())
        leader, other = candidate(store), candidate(store, "b")
        await leader.acquire()
        waiting = asyncio.create_task(other.acquire())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await leader.hold()
        await leader.release()
        given_up = now()
        assert not leader.leads
        await waiting
        assert now() - given_up <= RETRY + SOON
        assert store.spec["holderIdentity"] == "b"
        assert store.spec["leaseTransitions"] == 1

    virtual_time.run(story())


def test_who_is_silent_is_followed_after_its_term_and_not_before() -> None:
    async def story() -> None:
        store = free(Store())
        await candidate(store).acquire()
        await candidate(store, "b").acquire()
        assert DURATION < now() < DURATION + 2 * RETRY
        assert store.spec["holderIdentity"] == "b"

    virtual_time.run(story())


@pytest.mark.parametrize(
    "trouble",
    [Fate(lost=True), Fate(there=100), Fate(back=100), Fate(error=Unavailable("down")), Fate(error=Forbidden("no"))],
    ids=["hangs", "arrives late", "is answered late", "outage", "forbidden"],
)
def test_a_leader_stops_in_time_whatever_keeps_it_from_renewing(trouble: Fate) -> None:
    async def story() -> None:
        script = Script()
        leader = candidate(free(Store()), fate=script)
        await leader.acquire()
        script.then(*[trouble] * 1000)
        await leader.hold()
        # It had led from the second call on, which began at 0.02 s.
        assert now() == pytest.approx(0.02 + DEADLINE)
        assert not leader.leads

    virtual_time.run(story())


def test_a_leader_counts_its_term_from_when_the_write_began_and_not_from_its_answer() -> None:
    async def story() -> None:
        script = Script()
        leader = candidate(free(Store()), fate=script)
        await leader.acquire()
        began = now()
        script.then(Fate(back=3), *[Fate(lost=True)] * 1000)
        await leader.hold()
        assert now() == pytest.approx(began + DEADLINE)

    virtual_time.run(story())


@pytest.mark.parametrize(
    "trouble",
    [Fate(lost=True), Fate(answer_lost=True), Fate(error=Unavailable("down"))],
    ids=["hangs", "answer lost", "outage"],
)
def test_a_leader_outlives_one_call_that_fails(trouble: Fate) -> None:
    async def story() -> None:
        script, store = Script(), free(Store())
        leader = candidate(store, fate=script)
        await leader.acquire()
        script.then(trouble)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await leader.hold()
        assert leader.leads

    virtual_time.run(story())


def test_a_leader_that_finds_another_in_its_place_stops_and_does_not_touch_the_lease() -> None:
    async def story() -> None:
        store = free(Store())
        leader = candidate(store)
        await leader.acquire()
        store.edit(holderIdentity="b", leaseTransitions=1)
        await leader.hold()
        assert now() < RETRY + SOON
        await leader.release()
        assert store.spec["holderIdentity"] == "b"

    virtual_time.run(story())


def test_a_leader_whose_lease_is_deleted_makes_it_again_and_goes_on() -> None:
    async def story() -> None:
        store = free(Store())
        leader = candidate(store)
        await leader.acquire()
        holding = asyncio.create_task(leader.hold())
        await asyncio.sleep(20)
        store.lease = None
        await asyncio.sleep(20)
        assert leader.leads
        assert store.spec["holderIdentity"] == "a"
        holding.cancel()

    virtual_time.run(story())


def test_a_leader_goes_on_when_somebody_else_writes_on_its_lease() -> None:
    async def story() -> None:
        store = free(Store())
        leader = candidate(store)
        await leader.acquire()
        holding = asyncio.create_task(leader.hold())
        await asyncio.sleep(20)
        store.edit(preferredHolder="c")
        await asyncio.sleep(20)
        assert leader.leads
        assert store.spec["preferredHolder"] == "c"
        holding.cancel()

    virtual_time.run(story())


@pytest.mark.parametrize(
    "spec",
    [None, {}, {"holderIdentity": ""}, {"holderIdentity": None, "leaseDurationSeconds": None}],
    ids=["no spec", "empty", "given up", "nulls"],
)
def test_a_lease_that_nobody_holds_is_free(spec: dict[str, object] | None) -> None:
    async def story() -> None:
        store = Store()
        store.create({"metadata": {"name": REF.name, "namespace": REF.namespace}, "spec": spec})
        await candidate(store).acquire()
        assert now() < SOON

    virtual_time.run(story())


@pytest.mark.parametrize(("promised", "waits"), [(1, DURATION), (60, 60), (None, DURATION)])
def test_a_holder_is_given_the_longer_of_its_term_and_ours(promised: int | None, waits: float) -> None:
    async def story() -> None:
        store = free(Store())
        store.edit(holderIdentity="gone", leaseDurationSeconds=promised, renewTime="2099-01-01T00:00:00.000000Z")
        await candidate(store).acquire()
        assert waits <= now() < waits + 2 * RETRY

    virtual_time.run(story())


def test_trouble_is_logged_once_and_does_not_end_the_waiting(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        script = Script(deque([Fate(error=Forbidden("lacks the verb 'get' on 'leases'"))] * 50))
        await candidate(free(Store()), fate=script).acquire()

    with caplog.at_level(logging.WARNING):
        virtual_time.run(story())
    assert [record.getMessage() for record in caplog.records] == [
        "a has trouble with its leadership: lacks the verb 'get' on 'leases'"
    ]


@pytest.mark.parametrize(("duration", "deadline", "retry"), [(10, 10, 2), (10, 2, 2), (10, 7, 0)])
def test_terms_that_cannot_be_kept_are_refused(duration: int, deadline: int, retry: int) -> None:
    with pytest.raises(ValueError, match="0 < retry < renew_deadline < duration"):
        Terms(timedelta(seconds=duration), timedelta(seconds=deadline), timedelta(seconds=retry))


@dataclass
class Weather:
    """Random fates, until it clears up."""

    random: Random
    bad: bool = True

    def __call__(self) -> Fate:
        """Whatever the weather brings."""
        if not self.bad or self.random.random() < self.random.choice((0.2, 0.95)):
            return Fate()
        delays = (0.0, 0.5, DEADLINE / 2, DEADLINE, DURATION, 3 * DURATION)
        return Fate(
            there=self.random.choice(delays) * self.random.random(),
            back=self.random.choice(delays) * self.random.random(),
            lost=self.random.random() < 0.1,
            answer_lost=self.random.random() < 0.2,
            error=Unavailable("down") if self.random.random() < 0.3 else None,
        )


@dataclass
class Race:
    """Three candidates that lead, lose, release and crash, over and over, and somebody who deletes their Lease."""

    random: Random
    store: Store = field(default_factory=Store)
    leaders: list[str] = field(default_factory=list)
    candidates: list[Elector] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.weather = Weather(self.random)

    async def run(self) -> None:
        """Bad weather, then good weather."""
        lives = [asyncio.create_task(self.lives(name)) for name in "abc"]
        for _ in range(40):
            await asyncio.sleep(self.random.uniform(0, 2 * DURATION))
            if self.random.random() < 0.3:
                self.store.lease = None
        self.weather.bad = False
        # Until the lives that were planned in bad weather are over, and one more term.
        await asyncio.sleep(12 * DURATION)
        assert len(self.leaders) == 1, "once all is well there is a leader"
        for life in lives:
            life.cancel()
        ends = await asyncio.gather(*lives, return_exceptions=True)
        assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == []

    async def lives(self, name: str) -> None:
        """One process after the other."""
        number = 0
        while True:
            number += 1
            life = asyncio.create_task(self.life(f"{name}{number}"))
            crashes = self.weather.bad and self.random.random() < 0.5
            await asyncio.wait([life], timeout=self.random.uniform(0, 6 * DURATION) if crashes else None)
            life.cancel()
            await asyncio.wait([life])
            if not life.cancelled():
                life.result()
            await asyncio.sleep(self.random.uniform(0, DURATION))

    async def life(self, name: str) -> None:
        """One process, which dies when its leadership ends."""
        elector = Elector(
            kube=Line(self.store, self.weather),
            lease=REF,
            identity=name,
            clock=Watch(self.random),
            terms=TERMS,
            random=self.random,
        )
        self.candidates.append(elector)
        await elector.acquire()
        assert self.leaders == [], f"{name} leads beside {self.leaders}"
        assert [one.identity for one in self.candidates if one.leads] == [name]
        self.leaders.append(name)
        try:
            with_end = self.random.uniform(0, 10 * DURATION) if self.weather.bad else None
            await asyncio.wait_for(elector.hold(), with_end)
        except TimeoutError:
            pass
        finally:
            self.leaders.remove(name)
            self.candidates.remove(elector)
        await elector.release()


@given(st.integers(min_value=0, max_value=2**32))
@hypothesis_settings(max_examples=30, deadline=None)
def test_two_never_lead_at_once_and_in_good_weather_one_does(seed: int) -> None:
    virtual_time.run(Race(seeded(seed)).run())
