from __future__ import annotations

from datetime import datetime, timedelta, timezone

from supervisor.policy_tokens import Claim, Refusal, verify
from supervisor.token_desk import Signer, TokenDesk

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
SECRET = b"0123456789abcdef"


def test_before_anything_is_known_there_is_no_token() -> None:
    assert TokenDesk().token("fleet-a", "10.0.0.7", NOW) is None


def test_a_token_that_is_signed_here_is_good_at_its_guest_for_its_lifetime() -> None:
    desk = TokenDesk()
    desk.sign_with(Signer(SECRET, HOUR))
    token = desk.token("fleet-a", "10.0.0.7", NOW)
    assert token
    claim = verify([SECRET], token, "10.0.0.7", NOW)
    assert isinstance(claim, Claim)
    assert (claim.runner, claim.address) == ("fleet-a", "10.0.0.7")
    assert verify([SECRET], token, "10.0.0.8", NOW) is Refusal.ELSEWHERE
    assert verify([SECRET], token, "10.0.0.7", NOW + HOUR) is Refusal.EXPIRED


def test_no_two_tokens_are_the_same() -> None:
    desk = TokenDesk()
    desk.sign_with(Signer(SECRET, HOUR))
    assert len({desk.token("fleet-a", "10.0.0.7", NOW) for _ in range(300)}) == 300


def test_tokens_of_another_service_are_given_out_once_each_in_their_order() -> None:
    desk = TokenDesk()
    desk.put(["one", "two"], NOW)
    assert desk.stocked(NOW) == 2
    assert [desk.token("a", "10.0.0.7", NOW) for _ in range(3)] == ["one", "two", None]


def test_those_that_have_been_here_for_long_are_not_given_out() -> None:
    desk = TokenDesk()
    desk.put(["old"], NOW)
    desk.put(["new"], NOW + HOUR / 2)
    assert desk.token("a", "10.0.0.7", NOW + HOUR) == "new"
    assert desk.stocked(NOW + HOUR) == 0


def test_it_is_told_when_one_is_taken_or_none_is_there() -> None:
    desk, told = TokenDesk(), []
    desk.when_taken(lambda: told.append(desk.stocked(NOW)))
    desk.put(["one"], NOW)
    desk.token("a", "10.0.0.7", NOW)
    desk.token("a", "10.0.0.7", NOW)
    assert told == [0, 0]


def test_a_secret_is_not_shown() -> None:
    assert "0123456789abcdef" not in repr(Signer(SECRET, HOUR))
