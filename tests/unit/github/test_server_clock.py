from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.github.server_clock import ServerClock

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
CREDIBLE = st.timedeltas(timedelta(days=-3649), timedelta(days=3649))


@given(CREDIBLE)
def test_it_shows_the_time_that_an_answer_has_told(ahead: timedelta) -> None:
    clock = ServerClock().learn(NOW + ahead, NOW)
    assert clock.at(NOW + timedelta(hours=1)) == NOW + ahead + timedelta(hours=1)


@pytest.mark.parametrize("date", [None, NOW + timedelta(days=3650), NOW - timedelta(days=9000)])
def test_an_answer_without_a_credible_date_changes_nothing(date: datetime | None) -> None:
    known = ServerClock(timedelta(minutes=5))
    assert known.learn(date, NOW) == known


def test_it_was_wrong_where_more_than_the_way_of_an_answer_lies_between() -> None:
    known = ServerClock(timedelta(minutes=5))
    assert not known.differs(ServerClock(timedelta(minutes=5, seconds=30)))
    assert known.differs(ServerClock(timedelta(minutes=5, seconds=31)))
    assert known.differs(ServerClock(timedelta(minutes=4)))
