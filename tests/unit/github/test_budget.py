from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.github.budget import _RESOURCES, Budget, Priority
from supervisor.github.exchange import Answer, Request

SERVER_TIME = datetime(2031, 5, 1, 12, 0, tzinfo=timezone.utc)
LIST = Request("GET", "/orgs/acme/actions/runners", "list the runners")
REGISTER = Request("POST", "/orgs/acme/actions/runners/generate-jitconfig", "register a")
DELETE = Request("DELETE", "/orgs/acme/actions/runners/1", "delete a")
NOW = 1000.0


def answer(status: int = 200, **headers: str) -> Answer:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"date": format_datetime(SERVER_TIME, usegmt=True), **given})


def counted(
    remaining: int, limit: int = 5000, resource: str = "core", reset_s: int = 600
) -> Answer:
    reset = SERVER_TIME + timedelta(seconds=reset_s)
    return answer(
        x_ratelimit_limit=str(limit),
        x_ratelimit_remaining=str(remaining),
        x_ratelimit_reset=str(int(reset.timestamp())),
        x_ratelimit_resource=resource,
    )


def refused(status: int = 403, **headers: str) -> Answer:
    return answer(status, **headers)


def test_nothing_is_held_before_anything_is_known() -> None:
    for request, priority in ((LIST, Priority.LIST), (REGISTER, Priority.REGISTER)):
        assert Budget().wait(request, priority, NOW) is None


def test_the_reset_is_reckoned_by_githubs_own_clock() -> None:
    budget = Budget().learn(LIST, counted(7), NOW)
    assert budget.buckets["core"].reset_at == NOW + 600


def test_an_empty_bucket_holds_all_until_it_is_full_again() -> None:
    budget = Budget().learn(LIST, counted(0), NOW)
    hold = budget.wait(REGISTER, Priority.REGISTER, NOW)
    assert hold is not None
    assert hold.until == NOW + 600
    assert "limit of 5000 calls is used up" in hold.reason
    assert budget.wait(REGISTER, Priority.REGISTER, NOW + 600) is None


def test_the_last_calls_are_kept_for_runners() -> None:
    budget = Budget().learn(LIST, counted(250), NOW)
    assert budget.wait(REGISTER, Priority.REGISTER, NOW) is None
    assert budget.wait(DELETE, Priority.DELETE, NOW) is None
    hold = budget.wait(LIST, Priority.LIST, NOW)
    assert hold is not None
    assert hold.reason == "the last 250 calls of the hour are kept for runners"
    plenty = Budget().learn(LIST, counted(251), NOW)
    assert plenty.wait(LIST, Priority.LIST, NOW) is None


def test_registrations_may_have_a_bucket_of_their_own() -> None:
    budget = Budget().learn(REGISTER, counted(0, resource="actions_runner_registration"), NOW)
    assert budget.wait(REGISTER, Priority.REGISTER, NOW) is not None
    assert budget.wait(LIST, Priority.LIST, NOW) is None


@given(st.lists(st.one_of(st.text(), st.from_regex(r"[a-z0-9_]{1,60}", fullmatch=True))))
def test_whatever_a_server_calls_its_limits_there_are_few_of_short_names(names: list[str]) -> None:
    budget = Budget()
    for name in names:
        budget = budget.learn(LIST, counted(7, resource=name), NOW)
    buckets = budget.buckets.keys() - _RESOURCES
    assert len(buckets) <= 5
    assert all(re.fullmatch(r"[a-z0-9_]{1,40}", name) for name in buckets)


def test_a_limit_without_a_name_of_its_own_holds_as_any_other() -> None:
    budget = Budget()
    for number in range(9):
        budget = budget.learn(LIST, counted(9, resource=f"made_up_{number}"), NOW)
    assert list(budget.buckets) == [*(f"made_up_{number}" for number in range(4)), "other"]
    refusal = counted(0, resource="made_up_99")
    budget = budget.limited(LIST, refusal, NOW)
    hold = budget.wait(LIST, Priority.LIST, NOW)
    assert hold is not None
    assert hold.until == NOW + 600
    assert budget.hold is None


def test_limits_that_nothing_counts_in_any_more_are_forgotten() -> None:
    budget = Budget().learn(LIST, counted(9, resource="made_up"), NOW)
    budget = budget.learn(LIST, counted(9), NOW)
    assert budget.learn(LIST, counted(9), NOW + 4199).buckets.keys() == {"core", "made_up"}
    assert budget.learn(LIST, counted(9), NOW + 4201).buckets.keys() == {"core"}


def test_the_limit_that_registrations_count_in_is_not_forgotten() -> None:
    budget = Budget().learn(REGISTER, counted(9, resource="actions_runner_registration"), NOW)
    later = budget.learn(LIST, counted(9), NOW + 86_400)
    assert later.buckets.keys() == {"core", "actions_runner_registration"}


@pytest.mark.parametrize("status", [403, 429])
def test_retry_after_is_honoured_for_everything(status: int) -> None:
    budget = Budget().limited(REGISTER, refused(status, retry_after="7"), NOW)
    for request, priority in ((LIST, Priority.LIST), (REGISTER, Priority.REGISTER)):
        hold = budget.wait(request, priority, NOW + 6.9)
        assert hold is not None
        assert hold.until == NOW + 7
        assert budget.wait(request, priority, NOW + 7) is None


def test_retry_after_may_be_a_moment() -> None:
    moment = format_datetime(SERVER_TIME + timedelta(seconds=90), usegmt=True)
    budget = Budget().limited(REGISTER, refused(retry_after=moment), NOW)
    hold = budget.wait(REGISTER, Priority.REGISTER, NOW)
    assert hold is not None
    assert hold.until == NOW + 90


def test_a_refusal_without_retry_after_holds_for_a_minute_and_then_ever_longer() -> None:
    budget, waits = Budget(), []
    for _ in range(8):
        budget = budget.limited(REGISTER, refused(429), NOW)
        assert budget.hold is not None
        waits.append(budget.hold.until - NOW)
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    budget = budget.learn(REGISTER, answer(), NOW).limited(REGISTER, refused(429), NOW)
    assert budget.hold is not None
    assert budget.hold.until == NOW + 60


def test_a_retry_after_that_proves_too_short_is_not_believed_again() -> None:
    budget, waits = Budget(), []
    for _ in range(5):
        budget = budget.limited(REGISTER, refused(429, retry_after="1"), NOW)
        budget = budget.learn(LIST, answer(), NOW)  # what is listed meanwhile proves nothing
        assert budget.hold is not None
        waits.append(budget.hold.until - NOW)
    assert waits == [1, 60, 120, 240, 480]


def test_an_hourly_limit_that_is_met_holds_its_own_bucket_only() -> None:
    spent = counted(0, resource="actions_runner_registration")
    met = Answer(403, {**spent.headers})
    budget = Budget().limited(REGISTER, met, NOW)
    assert budget.hold is None
    hold = budget.wait(REGISTER, Priority.REGISTER, NOW)
    assert hold is not None
    assert hold.until == NOW + 600
    assert budget.wait(LIST, Priority.LIST, NOW) is None


@pytest.mark.parametrize("retry_after", ["", "-5", "soon", "9" * 400, "0", "1e9", "٣"])
def test_a_senseless_retry_after_still_holds_for_a_while_and_not_for_ever(retry_after: str) -> None:
    budget = Budget().limited(REGISTER, refused(429, retry_after=retry_after), NOW)
    assert budget.hold is not None
    assert NOW + 1 <= budget.hold.until <= NOW + 3600


@pytest.mark.parametrize("reset", ["", "x", "nan", "inf", "1e400"])
def test_senseless_numbers_are_not_believed(reset: str) -> None:
    odd = {"x-ratelimit-limit": "5", "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}
    assert Budget().learn(LIST, Answer(200, odd), NOW).buckets == {}


def test_changes_are_spread_below_the_published_limit() -> None:
    budget, now = Budget(), NOW
    sent: list[float] = []
    while now < NOW + 180:
        hold = budget.wait(REGISTER, Priority.REGISTER, now)
        if hold:
            assert hold.until > now
            now = hold.until
            continue
        budget = budget.sent(REGISTER, now)
        sent.append(now)
        now += 0.01
    for start in sent:
        assert sum(5 for at in sent if start <= at < start + 60) <= 900
    assert len(sent) >= 3 * 180


def test_listings_do_not_wait_for_changes() -> None:
    budget = Budget()
    for _ in range(180):
        budget = budget.sent(REGISTER, NOW)
    assert budget.wait(REGISTER, Priority.REGISTER, NOW) is not None
    assert budget.wait(LIST, Priority.LIST, NOW) is None


def test_an_enterprise_server_sets_its_own_pace() -> None:
    budget = Budget(paced=False)
    for _ in range(1000):
        budget = budget.sent(REGISTER, NOW)
    assert budget.wait(REGISTER, Priority.REGISTER, NOW) is None


def test_the_forecast_counts_listings_and_two_calls_a_runner() -> None:
    budget = Budget().learn(REGISTER, counted(5000), NOW)
    # 300 runners are 3 pages, six times an hour: 18 calls.
    assert budget.runners_per_hour(300, 600) == (5000 - 18) // 2


def test_the_forecast_knows_the_bucket_of_registrations() -> None:
    budget = Budget(paced=False).learn(LIST, counted(5000), NOW)
    own = counted(9000, limit=10_000, resource="actions_runner_registration")
    assert budget.learn(REGISTER, own, NOW).runners_per_hour(1, 600) == 5000 - 6


def test_the_forecast_is_bound_by_the_pace() -> None:
    budget = Budget().learn(REGISTER, counted(10**6, limit=10**6), NOW)
    assert budget.runners_per_hour(1, 600) == 5400


def test_there_is_no_forecast_before_the_limit_of_registrations_is_known() -> None:
    budget = Budget(paced=False).learn(LIST, counted(10**6, limit=10**6), NOW)
    assert budget.runners_per_hour(1, 600) is None


def test_without_a_limit_there_is_no_forecast() -> None:
    assert Budget().runners_per_hour(10, 600) is None


@given(
    remaining=st.integers(0, 10_000),
    limit=st.integers(1, 10_000),
    reset_s=st.integers(-7200, 7200),
    later=st.floats(0, 10_000),
)
def test_a_registration_may_go_whenever_a_listing_may(
    remaining: int, limit: int, reset_s: int, later: float
) -> None:
    budget = Budget().learn(LIST, counted(remaining, limit, reset_s=reset_s), NOW)
    if budget.wait(LIST, Priority.LIST, NOW + later) is None:
        assert budget.wait(REGISTER, Priority.REGISTER, NOW + later) is None


@given(
    remaining=st.integers(0, 10_000),
    limit=st.integers(1, 10_000),
    asked_for_patience=st.booleans(),
    calls=st.integers(0, 200),
)
def test_nothing_is_inquired_that_could_be_in_the_way_of_runners(
    remaining: int, limit: int, asked_for_patience: bool, calls: int
) -> None:
    budget = Budget().learn(LIST, counted(remaining, limit), NOW)
    if asked_for_patience:
        budget = budget.limited(LIST, refused(retry_after="7"), NOW)
    for _ in range(calls):
        budget = budget.sent(REGISTER, NOW)
    if budget.wait(LIST, Priority.INQUIRE, NOW) is None:
        assert remaining > limit / 2
        assert not asked_for_patience
        assert budget.wait(LIST, Priority.LIST, NOW) is None
        assert budget.wait(REGISTER, Priority.REGISTER, NOW) is None
    else:
        assert remaining <= limit / 2 + 1 or asked_for_patience or calls > 80


def test_where_there_is_no_limit_everything_may_be_inquired() -> None:
    assert Budget(paced=False).wait(LIST, Priority.INQUIRE, NOW) is None


@given(reset_s=st.integers(-(10**9), 10**9), remaining=st.integers(-5, 5))
def test_no_hold_lasts_longer_than_an_hour(reset_s: int, remaining: int) -> None:
    budget = Budget().limited(LIST, counted(remaining, reset_s=reset_s), NOW)
    hold = budget.wait(LIST, Priority.LIST, NOW)
    assert hold is None or NOW < hold.until <= NOW + 3600
