"""Durations, percentages, quantities and times: what their texts mean, and which texts mean nothing."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from serinus.api.scalars import Time, duration, duration_text, quantity, share, share_text


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2ms", timedelta(milliseconds=2)),
        ("5m", timedelta(minutes=5)),
        ("1h30m", timedelta(minutes=90)),
        ("0s", timedelta()),
        ("1s1h", timedelta(seconds=3601)),
    ],
)
def test_a_duration_means_the_sum_of_its_parts(text: str, meant: timedelta) -> None:
    assert duration(text) == meant


@pytest.mark.parametrize("text", ["", "5", "5 m", "-5m", "1.5h", "5d", "5M", "123456s", "1h1m1s1ms1s", "5m\n"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration; write one as 1h30m"):
        duration(text)


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(hours=99_999)))
def test_a_duration_is_written_so_that_it_is_read_again(value: timedelta) -> None:
    assert duration(duration_text(value)) == value - value % timedelta(milliseconds=1)


@pytest.mark.parametrize(("text", "meant"), [("20%", "0.2"), ("12.5%", "0.125"), ("0%", "0"), ("250%", "2.5")])
def test_a_percentage_is_a_share(text: str, meant: str) -> None:
    assert share(text) == Decimal(meant)
    assert share_text(Decimal(meant)) == text


@pytest.mark.parametrize("text", ["", "20", "%", "-1%", "1.234%", "20 %"])
def test_what_is_no_percentage_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no percentage; write one as 20%"):
        share(text)


@given(st.decimals(min_value=0, max_value=99, places=4))
def test_a_percentage_is_written_so_that_it_is_read_again(value: Decimal) -> None:
    assert share(share_text(value)) == value


@pytest.mark.parametrize(
    ("text", "meant"),
    [("2Gi", 2 * 1024**3), ("500m", "0.5"), (3, 3), ("1.5k", 1500), ("1E", 10**18), ("1Mi", 1024**2), ("7", 7)],
)
def test_a_quantity_is_a_number(text: str | int, meant: int | str) -> None:
    assert quantity(text) == Decimal(meant)


class Moment(BaseModel):
    """A model with a time."""

    at: Time


def test_a_time_is_whole_seconds_in_utc() -> None:
    moment = Moment.model_validate({"at": "2026-11-21T13:00:00.9+01:00"})
    assert moment.at == datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert moment.model_dump(mode="json") == {"at": "2026-11-21T12:00:00Z"}
