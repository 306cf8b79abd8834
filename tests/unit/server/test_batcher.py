"""Batches: who waits together is predicted together, and who fails fails alone."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from serinus_server import lane, values
from serinus_server.batcher import Batch, Batcher, Limits
from serinus_server.problems import RequestProblem
from serinus_server.values import Call, Opaque, Value, key_of


class Doubles:
    """A model that doubles; it waits where it is told to, and cannot stand what is negative."""

    joins = True

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.threads: set[int] = set()
        self.params: list[Any] = []
        self.gate = threading.Event()
        self.gate.set()

    def predict(self, value: Value, params: dict[str, Any] | None) -> Any:
        """Twice each."""
        self.gate.wait(10)
        assert isinstance(value, np.ndarray)
        self.sizes.append(len(value))
        self.params.append(params)
        self.threads.add(threading.get_ident())
        if (value < 0).any():
            raise ValueError("negative")
        return value * 2


def call(*numbers: float, params: dict[str, Any] | None = None) -> Call:
    value = np.array(numbers, dtype=float)
    return Call(value, len(numbers), params, (key_of(value), str(params)))


class Table:
    """A batcher with a model, and what became of what was asked."""

    def __init__(self, limits: Limits, model: Any = None, *, joins: bool = True) -> None:
        self.model = model or Doubles()
        self.batches: list[Batch] = []
        self.batcher = Batcher(self.model, limits, self.batches.append, joins=joins)
        self.told: dict[Any, Any] = {}

    def ask(self, name: str, one: Call, is_gone: Callable[[], bool] | None = None) -> None:
        """Submit, and remember the answer."""

        def done(outputs: Any, error: BaseException | None) -> None:
            assert name not in self.told
            self.told[name] = outputs.tolist() if error is None else str(error)

        self.batcher.submit(one, done, is_gone)

    async def until(self, count: int) -> dict[Any, Any]:
        """Until so many were told."""
        while len(self.told) < count:  # noqa: ASYNC110 (it comes from another thread)
            await asyncio.sleep(0.001)
        return self.told

    async def busy(self) -> None:
        """Until a prediction runs that will wait for the gate."""
        self.model.gate.clear()
        self.ask("first", call(1))
        while not self.batcher.lane.since:  # noqa: ASYNC110 (likewise)
            await asyncio.sleep(0.001)


def play(story: Callable[[Table], Awaitable[None]], *, joins: bool = True, model: Any = None, **limits: Any) -> None:
    """The story, with a batcher."""

    async def run() -> None:
        await story(Table(Limits(**limits), model, joins=joins))

    asyncio.run(run())


def test_what_comes_while_a_prediction_runs_is_the_next_batch() -> None:
    async def story(table: Table) -> None:
        await table.busy()
        for number in range(5):
            table.ask(f"{number}", call(number, number + 1))
        table.model.gate.set()
        told = await table.until(6)
        assert [told[f"{number}"] for number in range(5)] == [[2 * n, 2 * n + 2] for n in range(5)]
        assert table.model.sizes == [1, 10]

    play(story)


def test_who_is_alone_waits_for_nobody() -> None:
    async def story(table: Table) -> None:
        for number in range(3):
            table.ask(f"{number}", call(number))
            await table.until(number + 1)
        assert table.model.sizes == [1, 1, 1]

    play(story)


def test_a_batch_has_so_many_rows_and_a_request_that_has_more_is_not_cut() -> None:
    async def story(table: Table) -> None:
        await table.busy()
        for number in range(5):
            table.ask(f"{number}", call(*range(4)))
        table.ask("large", call(*range(30)))
        table.model.gate.set()
        assert (await table.until(7))["large"] == [2 * n for n in range(30)]
        assert table.model.sizes == [1, 8, 8, 4, 30]

    play(story, rows=10)


def test_other_params_and_other_columns_are_another_batch() -> None:
    async def story(table: Table) -> None:
        await table.busy()
        for number in range(3):
            table.ask(f"a{number}", call(1, params={"t": 1}))
            table.ask(f"b{number}", call(1, params={"t": 2}))
        table.model.gate.set()
        await table.until(7)
        assert (table.model.sizes, table.model.params) == ([1, 3, 3], [None, {"t": 1}, {"t": 2}])

    play(story)


def test_who_sent_what_fails_fails_alone() -> None:
    async def story(table: Table) -> None:
        await table.busy()
        for number in (1, -1, 2, 3):
            table.ask(f"{number}", call(number))
        table.model.gate.set()
        told = await table.until(5)
        assert told == {"first": [2], "1": [2], "-1": "negative", "2": [4], "3": [6]}

    play(story)


def test_a_model_that_does_not_answer_by_row_is_asked_for_one_request_at_a_time() -> None:
    class Sums(Doubles):
        def predict(self, value: Value, params: dict[str, Any] | None) -> Any:
            return super().predict(value, params).sum(keepdims=True)

    async def story(table: Table) -> None:
        for turn in range(5):
            table.told.clear()
            await table.busy()
            for number in range(3):
                table.ask(f"{number}", call(number, 1))
            table.model.gate.set()
            told = await table.until(4)
            assert [told[f"{number}"] for number in range(3)] == [[2], [4], [6]], turn
        assert table.model.sizes[-4:] == [1, 2, 2, 2], "it has learned"

    play(story, model=Sums())


@pytest.mark.parametrize("outputs", [5, {"a": 5}, "text", None, [1, 2, 3]], ids=str)
def test_outputs_that_are_no_rows_are_given_to_who_asked(outputs: Any) -> None:
    assert values.split(outputs, [1, 1]) is None


def test_what_cannot_be_joined_is_predicted_alone() -> None:
    async def story(table: Table) -> None:
        await table.busy()
        for number in range(3):
            table.ask(f"{number}", call(number))
        table.model.gate.set()
        await table.until(4)
        assert table.model.sizes == [1, 1, 1, 1]

    play(story, joins=False)
    assert key_of(Opaque("anything")) is None


def test_a_queue_that_is_full_says_when_to_come_again() -> None:
    async def story(table: Table) -> None:
        await table.busy()
        table.ask("a", call(1))
        table.ask("b", call(1))
        with pytest.raises(RequestProblem, match="2 requests are waiting already; try again in 1 s") as caught:
            table.ask("c", call(1))
        assert (caught.value.status, caught.value.retry_after) == (429, 1.0)
        table.model.gate.set()
        await table.until(3)
        table.ask("d", call(1))
        await table.until(4)

    play(story, waiting=2)


def test_who_waits_too_long_is_told_though_the_prediction_hangs() -> None:
    async def story(table: Table) -> None:
        await table.busy()
        table.ask("second", call(5))
        told = await table.until(2)
        assert told["first"] == told["second"] == (
            "no prediction within 0.1 s; send fewer rows, or ask for a longer request timeout"
        )  # fmt: skip
        assert table.batcher.late == 2
        table.model.gate.set()
        table.ask("third", call(6))
        await table.until(3)
        assert table.model.sizes == [1, 1], "the second was not predicted for nobody"

    play(story, timeout=0.1)


def test_who_is_gone_is_not_predicted() -> None:
    async def story(table: Table) -> None:
        await table.busy()
        table.ask("gone", call(1), lambda: True)
        table.ask("there", call(2), lambda: False)
        table.model.gate.set()
        assert await table.until(2) == {"first": [2], "there": [4]}
        assert (table.batcher.deserted, table.batcher.waiting, table.model.sizes) == (1, 0, [1, 1])

    play(story)


def test_a_quick_model_moves_to_the_loop_and_a_slow_one_back_to_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "QUICK", 10.0)

    async def story(table: Table) -> None:
        for number in range(lane.TRUSTED_AFTER + 2):
            assert table.batcher.lane.is_inline == (number >= lane.TRUSTED_AFTER)
            table.ask(f"{number}", call(number))
            await table.until(number + 1)
        assert threading.get_ident() in table.model.threads
        monkeypatch.setattr(lane, "QUICK", 0.0)
        table.ask("slow", call(1))
        await table.until(len(table.told) + 1)
        assert not table.batcher.lane.is_inline

    play(story)


def test_what_was_predicted_is_shown_to_who_counts() -> None:
    async def story(table: Table) -> None:
        await table.busy()
        table.ask("a", call(1, 2))
        table.ask("b", call(-3))
        table.model.gate.set()
        await table.until(3)
        found = [(one.rows, len(one.calls), one.error is None) for one in table.batches]
        assert found == [(1, 1, True), (2, 1, True), (1, 1, False)]
        assert all(one.took >= 0 and one.waited >= 0 for one in table.batches)

    play(story)


def test_coroutines_may_ask_too() -> None:
    async def story(table: Table) -> None:
        found = await asyncio.gather(*(table.batcher.predict(call(number)) for number in range(3)))
        assert [one.tolist() for one in found] == [[0], [2], [4]]
        with pytest.raises(ValueError, match="negative"):
            await table.batcher.predict(call(-1))

    play(story)


def test_a_delay_gathers_what_comes_in_it() -> None:
    async def story(table: Table) -> None:
        table.ask("a", call(1))
        await asyncio.sleep(0.01)
        table.ask("b", call(2))
        await table.until(2)
        assert table.model.sizes == [2]

    play(story, delay=0.1)
