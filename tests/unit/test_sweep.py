"""The sweep in virtual time: which runs are ended, when, and what it costs."""

import asyncio
import logging

import pytest

from serinus import training
from serinus.asks import TroubleKind
from serinus.objects import Ref
from serinus.ports import Forbidden, Unavailable
from serinus.runtime import sweep
from tests.unit.fakes import resource
from tests.unit.sweeping import EVERY, HOME, KIND, THEIRS, TRACKED, World, story


def test_nothing_is_decided_before_everything_was_seen() -> None:
    async def tell(world: World) -> None:
        world.open("left", "churn")
        await asyncio.sleep(1000)
        assert world.servers.asked == []
        world.create("churn", status={"run": {"id": "left"}})
        world.sweep.begin()
        await asyncio.sleep(1)
        assert world.status("left") == "RUNNING"

    story(tell)


def test_what_was_deleted_while_no_operator_ran_is_killed_at_once() -> None:
    async def tell(world: World) -> None:
        world.open("left", "gone")
        world.open("queued", "gone too", status="SCHEDULED")
        world.open("theirs", "churn")
        world.create("churn", status={"run": {"id": "theirs"}})
        world.sweep.begin()
        await asyncio.sleep(1)

    world = story(tell)
    assert [world.status(run) for run in ("left", "queued", "theirs")] == ["KILLED Deleted"] * 2 + ["RUNNING"]
    assert world.kube.requests == ["get TrainingJob gone", "get TrainingJob gone too"]


def test_a_deletion_is_followed_within_two_seconds_and_once_more_and_many_of_them_together() -> None:
    async def tell(world: World) -> None:
        names = [f"churn-{number}" for number in range(40)]
        refs = [world.create(name, status={"run": {"id": name}}) for name in names]
        for name in names:
            world.open(name, name)
        world.sweep.begin()
        await asyncio.sleep(20)
        for ref in refs:
            world.kube.remove(ref)
        await asyncio.sleep(2)
        assert {world.status(name) for name in names} == {"KILLED Deleted"}
        # What was on its way when it happened.
        world.open("late", names[0])
        await asyncio.sleep(31)
        assert world.status("late") == "KILLED Deleted"
        await asyncio.sleep(200)

    world = story(tell)
    asked = [(round(at), length) for at, _, length in world.servers.asked]
    assert asked == [(0, 1), (21, 1), (21, 25), (21, 15), (50, 1), (50, 1)]


def test_what_is_finished_goes_without_a_sweep() -> None:
    async def tell(world: World) -> None:
        ref = world.create("churn", status={"finishedAt": "2026-01-01T12:00:00Z"})
        world.sweep.begin()
        await asyncio.sleep(20)
        world.kube.remove(ref)
        await asyncio.sleep(100)

    assert len(story(tell).servers.asked) == 1


def test_without_news_a_server_is_asked_once_in_five_minutes() -> None:
    async def tell(world: World) -> None:
        world.create("churn", status={"run": {"id": "run"}})
        world.open("run", "churn")
        world.sweep.begin()
        await asyncio.sleep(3600)

    world = story(tell)
    assert 11 <= len(world.servers.asked) <= 13
    assert world.kube.requests == []


def test_deletions_without_end_do_not_keep_a_server_busy() -> None:
    async def tell(world: World) -> None:
        world.sweep.begin()
        for number in range(300):
            world.kube.remove(world.create(f"churn-{number}"))
            await asyncio.sleep(1)

    assert len(story(tell).servers.asked) <= 300 / sweep.PAUSE + 2


def test_what_may_be_a_moment_in_a_life_is_looked_at_twice() -> None:
    async def tell(world: World) -> None:
        world.create("churn", status={"run": {"id": "now"}})
        world.open("stray", "churn")
        world.open("brief", "churn")
        world.sweep.begin()
        await asyncio.sleep(sweep.WHILE - 1)
        assert world.status("stray") == "RUNNING"
        world.create("churn", status={"run": {"id": "brief"}})
        await asyncio.sleep(sweep.WHILE / 4)
        assert world.status("stray") == "KILLED Superseded"
        assert world.status("brief") == "RUNNING"

    story(tell)


def test_a_resource_that_the_cache_has_not_heard_of_keeps_its_runs() -> None:
    async def tell(world: World) -> None:
        world.kube.seen = lambda *_, **__: None
        world.create("unheard")
        world.create("again")
        world.kube.objects[Ref(KIND, "team", "again")] = resource(training.KIND, {}, name="again", uid="another")
        world.open("kept", "unheard")
        world.open("left", "again")
        world.sweep.begin()
        await asyncio.sleep(1)

    world = story(tell)
    assert (world.status("kept"), world.status("left")) == ("RUNNING", "KILLED Deleted")


@pytest.mark.parametrize(("error", "after"), [(Unavailable("no answer"), "RUNNING"), (Forbidden("no"), "RUNNING")])
def test_what_cannot_be_made_sure_of_is_not_ended(error: Exception, after: str) -> None:
    async def tell(world: World) -> None:
        world.open("left", "gone")
        world.kube.fails["get"] = error  # type: ignore[assignment]
        world.sweep.begin()
        await asyncio.sleep(5)
        assert world.status("left") == after
        world.kube.fails.clear()
        await asyncio.sleep(EVERY * 1.2)
        assert world.status("left") == "KILLED Deleted"

    story(tell)


def test_a_server_that_does_not_answer_keeps_no_other_waiting_and_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def tell(world: World) -> None:
        world.servers.troubles[HOME] = TroubleKind.UNREACHABLE
        world.create("churn", TRACKED)
        world.open("left", "gone", THEIRS)
        world.sweep.begin()
        await asyncio.sleep(1)
        assert world.status("left", THEIRS) == "KILLED Deleted"
        await asyncio.sleep(3600)
        gaps = [later - at for at, later in zip(world.servers.sweeps(), world.servers.sweeps()[1:], strict=False)]
        assert 30 < gaps[0] < 45 < max(gaps) < EVERY + 35
        world.open("here", "gone")
        world.servers.troubles.clear()
        await asyncio.sleep(EVERY + 35)
        assert world.status("here") == "KILLED Deleted"

    with caplog.at_level(logging.WARNING):
        story(tell)
    assert [record.message for record in caplog.records] == [
        "runs that nobody works on cannot be closed: http://mlflow:5000 has Unreachable; it is tried again"
    ]


def test_a_run_that_cannot_be_closed_keeps_no_other_open() -> None:
    async def tell(world: World) -> None:
        for number in range(60):
            world.open(f"left-{number}", "gone")
        world.servers.refused.add("left-0")
        world.sweep.begin()
        await asyncio.sleep(5)

    world = story(tell)
    assert [run for run in world.servers.runs[HOME] if world.status(run) != "KILLED Deleted"] == ["left-0"]


def test_the_server_of_a_resource_that_is_gone_is_remembered_until_it_was_swept() -> None:
    async def tell(world: World) -> None:
        ref = world.create("churn", TRACKED, {"run": {"id": "run"}})
        world.open("run", "churn", THEIRS)
        world.sweep.begin()
        await asyncio.sleep(20)
        world.servers.troubles[THEIRS] = TroubleKind.CREDENTIALS_MISSING
        world.kube.remove(ref)
        await asyncio.sleep(600)
        world.servers.troubles.clear()
        await asyncio.sleep(600)
        assert world.status("run", THEIRS) == "KILLED Deleted"
        swept = len(world.servers.sweeps(THEIRS))
        await asyncio.sleep(3600)
        assert len(world.servers.sweeps(THEIRS)) == swept

    story(tell)


def test_a_server_that_a_resource_has_left_is_swept_too() -> None:
    async def tell(world: World) -> None:
        world.create("churn", TRACKED, {"run": {"id": "run"}})
        world.open("run", "churn", THEIRS)
        world.sweep.begin()
        await asyncio.sleep(20)
        world.create("churn", status={"run": {"id": "another"}})
        await asyncio.sleep(2 * EVERY)

    assert story(tell).status("run", THEIRS) == "KILLED Superseded"


def test_a_mistake_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    async def tell(world: World) -> None:
        runs, world.servers.runs = world.servers.runs, {}
        world.sweep.begin()
        await asyncio.sleep(5)
        world.servers.runs = runs
        world.open("left", "gone")
        await asyncio.sleep(20)

    assert story(tell).status("left") == "KILLED Deleted"
    assert "by a mistake in the operator" in caplog.text


def test_without_the_name_of_the_cluster_nothing_is_swept() -> None:
    async def tell(world: World) -> None:
        world.open("left", "gone")
        world.create("churn")
        world.sweep.begin()
        await asyncio.sleep(3600)

    assert story(tell, cluster="").servers.asked == []
