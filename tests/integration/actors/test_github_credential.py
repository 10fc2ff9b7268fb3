from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

from fake_world import World
from tokens_stage import TOKEN, Stage
from waiting import eventually

from sandbox.github import Fault, SandboxGitHub
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.tokens import (
    JitConfigMade,
    ListRegistrations,
)


def test_a_token_that_a_reload_changed_is_used_from_then_on(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    stage.tell(ListRegistrations(1))
    assert stage.listed().error == ""
    stage.world.reconfigure(github_url=sandbox.url, token="wrong")
    stage.tell(ConfigChanged(stage.world.parts.settings.config))
    stage.tell(ListRegistrations(2))
    assert "is wrong, expired or revoked" in stage.listed().error
    stage.world.reconfigure(github_url=sandbox.url, token=TOKEN)
    stage.tell(ConfigChanged(stage.world.parts.settings.config))
    stage.tell(ListRegistrations(3))
    assert stage.listed().error == ""


def test_a_token_file_that_was_replaced_is_read_after_a_refusal(
    make_world: Callable[..., World], sandbox: SandboxGitHub, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text("expired")
    stage = Stage(make_world(github_url=sandbox.url, token=None, token_file=str(file)))
    stage.tell(ListRegistrations(1))
    assert "is wrong, expired or revoked" in stage.listed().error
    file.write_text(TOKEN)
    stage.tell(ListRegistrations(2))
    assert stage.listed().error == ""
    file.unlink()
    stage.tell(ListRegistrations(3))
    assert "can't be read" in stage.listed().error
    for _ in range(60):
        stage.world.clock.advance(5)
        eventually(lambda: not stage.world.waiting("tokens"))
    warned = sum("can't be read" in line for line in stage.world.logged)
    assert 1 < warned <= 12  # tried ever more seldom, though it is looked at every 5 s
    file.touch(mode=0o600)
    file.write_text(TOKEN)
    stage.world.clock.advance(6)
    eventually(lambda: stage.world.shown("tokens")[0] == "ready")


def test_another_credential_has_another_budget(
    make_world: Callable[..., World], sandbox: SandboxGitHub, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text(TOKEN)
    stage = Stage(make_world(github_url=sandbox.url, token=None, token_file=str(file)))
    used_up = Fault.rate_limited(datetime.now(timezone.utc), timedelta(minutes=50), times=1)
    sandbox.faults.add(used_up)
    stage.tell(stage.order())
    assert "is used up, until" in stage.heard().reason
    sandbox.add_token("another")
    file.write_text("another")
    stage.world.clock.advance(6)
    eventually(lambda: (gate := stage.gate()) and gate.open)
    stage.tell(stage.order())
    assert isinstance(stage.heard(), JitConfigMade)


def test_a_refused_token_says_nothing_of_the_next_ones_budget(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    headers = {"x-ratelimit-limit": "60", "x-ratelimit-remaining": "1", "x-ratelimit-reset": "1"}
    sandbox.faults.add(Fault(status=401, headers=headers))
    stage.tell(ListRegistrations(1))
    assert "wrong, expired or revoked" in stage.listed().error
    eventually(lambda: stage.world.shown("tokens")[0] == "failing")
    assert stage.world.details("tokens")["cause"] == "credential-rejected"
    assert stage.budget() == {}
