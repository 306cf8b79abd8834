"""What is tried again, how often and for how long."""

import errno
import ssl
from urllib.error import URLError

import pytest

from serinus_fetch.failures import Permanent, Transient
from serinus_fetch.retry import Patience, is_transient


class _Clock:
    """Time that passes only where somebody sleeps, or says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def _fails(clock: _Clock, seconds: float) -> None:
    clock.now += seconds
    raise Transient("busy")


def test_waits_grow_and_end_after_a_minute() -> None:
    clock = _Clock()
    with pytest.raises(Transient):
        Patience(clock=clock, sleep=clock.sleep).attempt(lambda: _fails(clock, 0))
    assert clock.now == pytest.approx(60)
    assert all(0.5 * 2**n <= wait <= 1.5 * 2**n for n, wait in enumerate(clock.waits[:4]))
    assert 6 <= len(clock.waits) <= 12


def test_attempts_that_run_into_a_time_out_count() -> None:
    clock = _Clock()
    with pytest.raises(Transient):
        Patience(clock=clock, sleep=clock.sleep).attempt(lambda: _fails(clock, 10))
    assert clock.now <= 75


def test_hours_of_a_download_that_broke_off_do_not() -> None:
    """It gets its second chance."""
    clock, left = _Clock(), [7200.0, 0.0]

    def action() -> str:
        if len(left) > 1:
            _fails(clock, left.pop(0))
        return "whole"

    assert Patience(clock=clock, sleep=clock.sleep).attempt(action) == "whole"


def test_patience_is_for_all_requests_of_one_thing() -> None:
    clock = _Clock()
    patience = Patience(clock=clock, sleep=clock.sleep)
    for _ in range(3):
        with pytest.raises(Transient):
            patience.attempt(lambda: _fails(clock, 0))
    assert clock.now == pytest.approx(60)


def test_permanent_is_raised_at_once() -> None:
    def action() -> None:
        raise Permanent("no")

    with pytest.raises(Permanent):
        Patience(sleep=lambda _: pytest.fail("it waited")).attempt(action)


class _Answered(Exception):
    """As botocore's ClientError has it."""

    def __init__(self, status: int) -> None:
        super().__init__("the store answered")
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status}}


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (TimeoutError(), True),
        (ConnectionResetError(), True),
        (URLError(ConnectionRefusedError()), True),
        (OSError(errno.EBUSY, "Reduce your request rate"), True),
        (OSError(errno.ENOSPC, "no space"), False),
        (_Answered(503), True),
        (_Answered(429), True),
        (_Answered(403), False),
        (URLError(ssl.SSLCertVerificationError()), False),
        (FileNotFoundError(), False),
        (ValueError(), False),
    ],
)
def test_transient_is_what_passes_by_itself(error: Exception, passes: object) -> None:
    assert is_transient(error) is passes


def test_cause_decides_where_the_error_itself_does_not() -> None:
    error = OSError(errno.EIO, "internal error")
    error.__cause__ = _Answered(500)
    assert is_transient(error)
