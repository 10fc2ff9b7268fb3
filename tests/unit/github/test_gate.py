from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.causes import Cause
from supervisor.github.errors import GitHubError, RateLimited, Unavailable
from supervisor.github.gate import Gate

NOW = 50.0


def test_a_new_gate_is_open_and_proven() -> None:
    assert Gate().is_open(NOW)
    assert Gate().proven


def test_each_failure_closes_it_for_twice_as_long() -> None:
    gate, waits = Gate(), []
    for _ in range(12):
        gate = gate.fail(GitHubError("GitHub answered 500"), NOW, everything=False)
        waits.append(gate.until - NOW)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_once_open_again_it_is_not_yet_proven() -> None:
    gate = Gate().fail(GitHubError("GitHub answered 500"), NOW, everything=False)
    assert not gate.is_open(NOW + 0.9)
    assert gate.is_open(NOW + 1)
    assert not gate.proven


def test_what_has_closed_it_is_known_in_words_and_in_a_word() -> None:
    gate = Gate().fail(RateLimited("used up"), NOW, everything=False)
    assert (gate.reason, gate.cause) == ("used up", Cause.RATE_LIMITED)
    assert gate.retry_now().cause is Cause.RATE_LIMITED


def test_a_known_moment_goes_before_the_backoff() -> None:
    gate = Gate().fail(GitHubError("limited"), NOW, everything=False, until=NOW + 1800)
    assert not gate.is_open(NOW + 1799)
    assert gate.is_open(NOW + 1800)


def test_a_change_that_may_have_mended_it_opens_it_and_forgets_the_backoff() -> None:
    gate = Gate()
    for _ in range(9):
        gate = gate.fail(GitHubError("the token is wrong"), NOW, everything=True)
    gate = gate.retry_now()
    assert gate.is_open(NOW)
    assert not gate.proven
    assert gate.everything
    assert gate.fail(GitHubError("the token is wrong"), NOW, everything=True).until == NOW + 1


@given(st.lists(st.booleans(), max_size=60))
def test_it_never_closes_for_longer_than_five_minutes(kinds: list[bool]) -> None:
    gate = Gate()
    for everything in kinds:
        gate = gate.fail(GitHubError("why"), NOW, everything=everything)
        assert NOW < gate.until <= NOW + 300


def test_while_it_is_shut_for_everything_nothing_is_asked_until_the_next_try_is_due() -> None:
    gate = Gate().fail(GitHubError("the token is wrong"), NOW, everything=True)
    assert gate.is_shut(NOW)
    assert not gate.is_shut(NOW + 1)
    assert not gate.lets_register(NOW + 1)  # what is tried then is a list


def test_trouble_with_registrations_alone_lets_other_things_be_asked() -> None:
    gate = Gate().fail(GitHubError("no such group"), NOW, everything=False)
    assert not gate.is_shut(NOW)
    assert not gate.lets_register(NOW)
    assert gate.lets_register(NOW + 1)


def test_the_same_trouble_counts_once_but_a_greater_one_is_news() -> None:
    gate = Gate().fail(GitHubError("no such group"), NOW, everything=False)
    assert not gate.is_news(NOW, everything=False)
    assert gate.is_news(NOW, everything=True)
    assert gate.is_news(NOW + 1, everything=False)
    gate = gate.fail(GitHubError("the token is wrong"), NOW, everything=True)
    assert not gate.is_news(NOW, everything=True)
    assert not gate.is_news(NOW, everything=False)


def test_a_list_opens_it_after_an_outage_and_says_nothing_of_who_may_register() -> None:
    refused = Gate().fail(GitHubError("no such group"), NOW, everything=False)
    assert not refused.is_mended_by_a_list(NOW + 100)
    outage = Gate().fail(Unavailable("no answer"), NOW, everything=False)
    assert not outage.is_mended_by_a_list(NOW)  # it was on its way before
    assert outage.is_mended_by_a_list(NOW + 1)
    shut = Gate().fail(GitHubError("the token is wrong"), NOW, everything=True)
    assert shut.is_mended_by_a_list(NOW)
