"""Time: aware outside, integer microseconds inside."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from convstore.vocabulary.clock import ManualClock, SystemClock, from_micros, to_micros


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_time_comes_back_to_the_microsecond(at: datetime) -> None:
    assert from_micros(to_micros(at)) == at


def test_one_moment_is_one_number_in_every_zone() -> None:
    at = datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))

    assert to_micros(at) == to_micros(datetime(2026, 7, 1, 10, tzinfo=UTC))
    assert from_micros(to_micros(at)).tzinfo is UTC


def test_the_machines_clock_is_aware() -> None:
    assert SystemClock().now().utcoffset() == timedelta(0)


def test_a_manual_clock_moves_only_when_told_to() -> None:
    clock = ManualClock()
    before = clock.now()

    assert clock.now() == before
    clock.advance(1.5)
    clock.advance(-0.5)
    assert clock.now() == before + timedelta(seconds=1)
