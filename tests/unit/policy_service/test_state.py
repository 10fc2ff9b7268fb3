from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from supervisor.policy.document import DEFAULT, Policy
from supervisor.policy.tokens import Claim
from supervisor.policy_service.state import State

NOW = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)
CLAIM = Claim("runner", "10.1.2.3", NOW + timedelta(hours=1), "0" * 32)


@pytest.fixture
def state(tmp_path: Path) -> State:
    made = State(tmp_path / "state")
    made.prepare(None)
    return made


def test_a_token_can_be_used_once(state: State) -> None:
    assert [state.use(CLAIM, NOW) for _ in range(3)] == [True, False, False]


def test_of_two_that_were_issued_to_one_runner_one_can_be_used(state: State) -> None:
    later = Claim("runner", "10.1.2.4", CLAIM.expires_at + timedelta(hours=1), CLAIM.nonce)
    assert (state.use(CLAIM, NOW), state.use(later, NOW)) == (True, False)


def test_of_many_who_use_it_at_once_one_does(state: State) -> None:
    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(lambda _: state.use(CLAIM, NOW), range(100))) == 1


def test_it_stays_used_when_the_service_starts_anew(state: State, tmp_path: Path) -> None:
    state.use(CLAIM, NOW)
    again = State(tmp_path / "state")
    again.prepare(None)
    assert not again.use(CLAIM, NOW)


def test_used_tokens_are_forgotten_when_they_have_long_expired(
    state: State, tmp_path: Path
) -> None:
    state.use(CLAIM, NOW)
    used = tmp_path / "state" / "used-tokens"
    for hours, left in ((1, 2), (3, 1)):
        later = NOW + timedelta(hours=hours)
        state.use(Claim("other", "*", later + timedelta(hours=9), f"{hours:032}"), later)
        assert len(list(used.iterdir())) == left + (hours == 3)


def test_a_directory_that_can_t_be_written_uses_no_token(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        State(tmp_path / "gone").use(CLAIM, NOW)


def test_the_directory_is_for_the_service_alone(state: State, tmp_path: Path) -> None:
    state.use(CLAIM, NOW)
    for directory, _, files in os.walk(tmp_path / "state"):
        assert stat.S_IMODE(Path(directory).stat().st_mode) == 0o700
        for name in files:
            assert stat.S_IMODE((Path(directory) / name).stat().st_mode) == 0o600


def test_all_see_another_policy_at_once_and_a_start_begins_with_the_configured_one(
    state: State, tmp_path: Path
) -> None:
    other = State(tmp_path / "state")
    assert other.policy() == DEFAULT
    state.set_policy({})
    assert other.policy() == Policy()
    other.prepare(None)
    assert state.policy() == DEFAULT


@pytest.mark.parametrize("text", ["", "{", '{"pushh": {}}', "[]", "7"])
def test_a_policy_that_can_t_be_read_is_an_error(state: State, tmp_path: Path, text: str) -> None:
    (tmp_path / "state" / "policy.json").write_text(text)
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's, or the document's
        state.policy()
