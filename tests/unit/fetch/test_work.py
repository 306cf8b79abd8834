"""One thing that fails keeps nothing else from being looked at, and is told as what it is."""

import errno
from collections.abc import Callable

import pytest

from serinus_fetch import inputs, work
from serinus_fetch.failures import Permanent, Reason, Transient
from serinus_fetch.order import Input, Order
from serinus_fetch.places import Places
from serinus_fetch.result import Outcome


def _do(places: Places, monkeypatch: pytest.MonkeyPatch, fail: Callable[[], None]) -> Outcome:
    def fetch(wanted: Input, _: Places) -> inputs.Fetched:
        if wanted.name == "bad":
            fail()
        return inputs.Fetched("ab" * 32, ())

    monkeypatch.setattr(inputs, "fetch", fetch)
    order = Order(inputs=(Input("bad", "s3://data/x?sig=hush"), Input("good", "s3://data/y")))
    return work.do(order, places, {})


def _fill() -> None:
    raise Permanent("the store refuses it") from OSError(errno.ENOSPC, "No space left on device")


def _be_busy() -> None:
    raise Transient("the store is not well")


def _stumble() -> None:
    raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize(
    ("fail", "words", "transient"),
    [
        (_fill, "the volume that it is written to is full: give it more space", False),
        (_be_busy, "the store is not well", True),
        (_stumble, "ZeroDivisionError: division by zero", False),
    ],
)
def test_failure_is_told_and_the_rest_is_done(  # noqa: PLR0913, PLR0917
    fail: Callable[[], None],
    words: str,
    transient: object,
    places: Places,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    outcome = _do(places, monkeypatch, fail)
    assert outcome.inputs == (None, ("ab" * 32, None))
    [failure] = outcome.failures
    assert failure.reason is Reason.INPUT_UNREADABLE
    assert failure.message == f"input bad (s3://data/x?…): {words}"
    assert failure.transient is transient
    assert ("Traceback" in capsys.readouterr().out) == (fail is _stumble)
