from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from supervisor.policy.tokens import ANYWHERE, Claim, Refusal, issue, nonce_of, verify

NOW = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
SECRET = b"s" * 32
ADDRESSES = st.ip_addresses().map(str)
SECRETS = st.binary(min_size=16, max_size=64)


def token(address: str = "10.1.2.3", secret: bytes = SECRET) -> str:
    return issue(secret, "test-a2zrh1d8wqde", address, NOW, HOUR)


@given(secret=SECRETS, runner=st.text(max_size=64), address=ADDRESSES)
def test_a_token_is_good_for_its_runner_at_its_address(
    secret: bytes, runner: str, address: str
) -> None:
    claim = verify([secret], issue(secret, runner, address, NOW, HOUR), address, NOW)
    assert isinstance(claim, Claim)
    assert (claim.runner, claim.expires_at) == (runner, NOW + HOUR)


@given(ADDRESSES, ADDRESSES)
def test_a_token_is_useless_at_any_other_address(mine: str, other: str) -> None:
    assume(mine != other)
    assume(not other.startswith("::ffff:") and not mine.startswith("::ffff:"))
    assert verify([SECRET], token(mine), other, NOW) is Refusal.ELSEWHERE


@pytest.mark.parametrize("where", ["", "*", "10.1.2.33", "10.1.2.3 ", "localhost", "\ud800"])
def test_what_is_no_address_is_not_the_right_one(where: str) -> None:
    assert verify([SECRET], token(), where, NOW) is Refusal.ELSEWHERE


def test_an_ipv4_address_is_the_same_however_the_socket_shows_it() -> None:
    assert isinstance(verify([SECRET], token(), "::ffff:10.1.2.3", NOW), Claim)


@given(ADDRESSES)
def test_an_unbound_token_is_good_anywhere(address: str) -> None:
    assert isinstance(verify([SECRET], token(ANYWHERE), address, NOW), Claim)


@given(st.integers(0, 10**9))
def test_a_token_is_good_until_it_expires_and_never_after(seconds: int) -> None:
    found = verify([SECRET], token(), "10.1.2.3", NOW + timedelta(seconds=seconds))
    assert isinstance(found, Claim) == (seconds < HOUR.total_seconds())


@given(st.lists(SECRETS, max_size=4))
def test_a_token_of_another_secret_is_forged(secrets: list[bytes]) -> None:
    assume(SECRET not in secrets)
    assert verify(secrets, token(), "10.1.2.3", NOW) is Refusal.FORGED


def test_a_token_of_a_previous_secret_is_good_yet() -> None:
    assert isinstance(verify([b"n" * 32, SECRET], token(), "10.1.2.3", NOW), Claim)


@given(st.text(max_size=2000))
def test_what_nobody_has_signed_is_forged(text: str) -> None:
    assert verify([SECRET], text, "10.1.2.3", NOW) is Refusal.FORGED


@given(st.data())
def test_no_letter_of_a_token_can_be_changed(data: st.DataObject) -> None:
    good = token()
    place = data.draw(st.integers(0, len(good) - 1))
    letter = data.draw(st.characters().filter(lambda one: one != good[place]))
    changed = good[:place] + letter + good[place + 1 :]
    assert verify([SECRET], changed, "10.1.2.3", NOW) is Refusal.FORGED
    longer = good[:place] + letter + good[place:]
    assert verify([SECRET], longer, "10.1.2.3", NOW) is Refusal.FORGED
    assert verify([SECRET], good[:place], "10.1.2.3", NOW) is Refusal.FORGED


def test_the_signed_part_of_one_token_and_the_signature_of_another_are_forged() -> None:
    one, other = token("10.1.2.3"), token("10.1.2.4")
    mixed = f"{other.rpartition('.')[0]}.{one.rpartition('.')[2]}"
    assert verify([SECRET], mixed, "10.1.2.4", NOW) is Refusal.FORGED


def test_no_two_tokens_are_the_same() -> None:
    claims = [verify([SECRET], token(), "10.1.2.3", NOW) for _ in range(300)]
    assert len({claim.nonce for claim in claims if isinstance(claim, Claim)}) == 300


@given(st.text(max_size=64))
def test_a_token_can_stand_in_a_header_and_in_a_shell(runner: str) -> None:
    made = issue(SECRET, runner, ANYWHERE, NOW, HOUR)
    assert made.isascii()
    assert not set(made) & set(" '\"\\$`\r\n;&|<>()")


def test_an_address_that_is_none_is_refused_when_a_token_is_made() -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        token("guest-7")


@given(st.text(), st.text())
def test_a_nonce_is_one_runner_s_and_a_file_s_name(runner: str, mark: str) -> None:
    nonce = nonce_of(runner, mark)
    assert re.fullmatch("[0-9a-f]{32}", nonce)
    assert nonce == nonce_of(runner, mark)
    assert nonce not in {nonce_of(f"{runner}x", mark), nonce_of(runner, f"{mark}x")}
