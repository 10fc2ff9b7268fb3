from __future__ import annotations

from datetime import datetime, timedelta, timezone

from supervisor.policy.token_desk import Signer, TokenDesk
from supervisor.policy.tokens import Claim, Refusal, verify

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
SECRET = b"0123456789abcdef"


def test_before_anything_is_known_there_is_no_token() -> None:
    assert TokenDesk().token("fleet-a", "m", "10.0.0.7", NOW) is None


def test_a_token_that_is_signed_here_is_good_at_its_guest_for_its_lifetime() -> None:
    desk = TokenDesk()
    desk.sign_with(Signer(SECRET, HOUR))
    token = desk.token("fleet-a", "m", "10.0.0.7", NOW)
    assert token
    claim = verify([SECRET], token, "10.0.0.7", NOW)
    assert isinstance(claim, Claim)
    assert (claim.runner, claim.address) == ("fleet-a", "10.0.0.7")
    assert verify([SECRET], token, "10.0.0.8", NOW) is Refusal.ELSEWHERE
    assert verify([SECRET], token, "10.0.0.7", NOW + HOUR) is Refusal.EXPIRED


def test_all_that_one_runner_is_given_are_used_up_by_one_of_them() -> None:
    desk = TokenDesk()
    desk.sign_with(Signer(SECRET, HOUR))

    def nonces(runner: str, mark: str) -> set[str]:
        claims = []
        for minutes in range(20):
            now = NOW + timedelta(minutes=minutes)
            token = desk.token(runner, mark, f"10.0.0.{minutes + 2}", now) or ""
            claims.append(verify([SECRET], token, f"10.0.0.{minutes + 2}", now))
        return {claim.nonce for claim in claims if isinstance(claim, Claim)}

    all_of_them = [nonces("fleet-a", "m"), nonces("fleet-a", "n"), nonces("fleet-b", "m")]
    assert [len(one) for one in all_of_them] == [1, 1, 1]
    assert len(set.union(*all_of_them)) == 3


def test_a_runner_is_given_one_token_of_another_service_however_often_it_asks() -> None:
    desk = TokenDesk()
    desk.put(["one", "two"], NOW)
    given = [desk.token("a", "m", "10.0.0.7", NOW + n * HOUR / 4) for n in range(20)]
    assert set(given) == {"one"}
    desk.put(["three"], NOW + 6 * HOUR)
    assert desk.token("a", "n", "10.0.0.7", NOW + 6 * HOUR) == "three"
    for day in range(2, 40):
        desk.put([f"day {day}"], NOW + timedelta(days=day))
        desk.token("a", f"{day}", "10.0.0.7", NOW + timedelta(days=day))
    assert len(desk._given) == 1


def test_tokens_of_another_service_are_given_out_once_each_in_their_order() -> None:
    desk = TokenDesk()
    desk.put(["one", "two"], NOW)
    assert desk.stocked(NOW) == 2
    assert [desk.token("a", mark, "10.0.0.7", NOW) for mark in "lmn"] == ["one", "two", None]


def test_those_that_have_been_here_for_long_are_not_given_out() -> None:
    desk = TokenDesk()
    desk.put(["old"], NOW)
    desk.put(["new"], NOW + HOUR / 2)
    assert desk.token("a", "m", "10.0.0.7", NOW + HOUR) == "new"
    assert desk.stocked(NOW + HOUR) == 0


def test_it_is_told_when_one_is_taken_and_not_when_none_is_there() -> None:
    desk, told = TokenDesk(), []
    desk.when_taken(lambda: told.append(desk.stocked(NOW)))
    desk.put(["one"], NOW)
    for mark in "mmn":
        desk.token("a", mark, "10.0.0.7", NOW)
    assert told == [0]


def test_a_secret_is_not_shown() -> None:
    assert "0123456789abcdef" not in repr(Signer(SECRET, HOUR))
