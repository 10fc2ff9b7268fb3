from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fake_world import Inbox, World, eventually

from sandbox.github import Fault, SandboxGitHub
from supervisor import lifecycle
from supervisor.actors.tokens import TokensActor
from supervisor.messages import (
    ConfigChanged,
    DeleteRegistration,
    ForgetAhead,
    Happened,
    JitConfigFailed,
    JitConfigMade,
    ListRegistrations,
    RegisterAhead,
    RegistrationsListed,
    RequestJitConfig,
)
from supervisor.supervision import ChildSpec

NAME = "fleet-aaaaaaaa"
TOKEN = "made-up-secret-token"
ORDER = RequestJitConfig(NAME, ("self-hosted", "linux"), "1")


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxGitHub]:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    tarball = tmp_path / "actions-runner-linux-x64-2.300.0.tar.gz"
    tarball.write_bytes(b"an application")
    with SandboxGitHub(org="acme", token=TOKEN, tarball=tarball) as server:
        yield server


class Stage:
    """The actor between a fleet and one runner, and what those are told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.fleet: list[Any] = []
        self.runner: list[Any] = []
        system = world.system
        world.run(
            ChildSpec("fleet", lambda: Inbox.start(system, self.fleet)),
            ChildSpec(NAME, lambda: Inbox.start(system, self.runner)),
            ChildSpec("tokens", partial(TokensActor.start, system, world.parts)),
        )

    def tell(self, message: object) -> None:
        self.world.tell("tokens", message)

    def heard(self) -> Any:
        eventually(lambda: self.runner)
        return self.runner.pop(0)

    def listed(self) -> RegistrationsListed:
        eventually(lambda: self.fleet)
        listed: RegistrationsListed = self.fleet.pop(0)
        return listed


@pytest.fixture
def stage(make_world: Callable[..., World], sandbox: SandboxGitHub) -> Stage:
    return Stage(make_world(github_url=sandbox.url, token=TOKEN))


def test_a_runner_is_registered_listed_and_deleted(stage: Stage) -> None:
    assert stage.world.shown("tokens")[0] == "waiting"
    stage.tell(ORDER)
    made = stage.heard()
    assert isinstance(made, JitConfigMade)
    assert made.encoded not in repr(made)
    assert len(made.application.sha256) == 64
    stage.tell(ListRegistrations(3))
    listed = stage.listed()
    assert (listed.ticket, listed.error) == (3, "")
    assert [one.id for one in listed.registrations] == [made.runner_id]
    stage.tell(DeleteRegistration(made.runner_id, NAME))
    assert stage.heard() == Happened(lifecycle.Unregistered())
    assert stage.world.shown("tokens") == ("ready", "GitHub answers for acme")


def test_the_application_is_asked_for_once_in_an_hour(stage: Stage, sandbox: SandboxGitHub) -> None:
    watched = sandbox.faults.add(Fault(path_pattern="*/downloads", delay_s=0.001, times=None))
    for _ in range(3):
        stage.tell(RequestJitConfig(NAME, ("self-hosted",), "1"))
        made = stage.heard()
        stage.tell(DeleteRegistration(made.runner_id, NAME))
        stage.heard()
    assert sandbox.faults.hits(watched) == 1
    stage.world.clock.advance(3601)
    stage.tell(ORDER)
    stage.heard()
    assert sandbox.faults.hits(watched) == 2


def test_a_taken_name_is_a_refusal_and_no_trouble_of_githubs(stage: Stage) -> None:
    stage.tell(ORDER)
    stage.heard()
    stage.tell(ORDER)
    refused = stage.heard()
    assert isinstance(refused, JitConfigFailed)
    assert "the name is taken" in refused.reason
    assert stage.world.shown("tokens")[0] == "ready"


def test_nothing_is_registered_without_an_application_to_run(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    sandbox.faults.add(Fault(path_pattern="*/downloads", status=200, body="[]"))
    stage.tell(ORDER)
    assert isinstance(stage.heard(), JitConfigFailed)
    assert sandbox.runners() == ()


def test_a_registration_that_nobody_waits_for_is_deleted(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    deleted = sandbox.faults.add(Fault(method="DELETE", delay_s=0.001, times=None))
    stage.tell(RequestJitConfig("fleet-bbbbbbbb", ("self-hosted",), "1"))
    eventually(lambda: sandbox.faults.hits(deleted) == 1)
    eventually(lambda: sandbox.runners() == ())


def test_a_busy_runner_is_not_deleted(stage: Stage, sandbox: SandboxGitHub) -> None:
    sandbox.faults.add(Fault(method="DELETE", status=422))
    stage.tell(DeleteRegistration(5, NAME))
    event = stage.heard().event
    assert isinstance(event, lifecycle.UnregistrationRefused)
    assert event.busy
    assert stage.world.shown("tokens")[0] == "ready"


def test_a_github_that_is_down_is_told_and_shown_and_asked_again(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    fault = sandbox.faults.add(Fault(status=500, times=None))
    stage.tell(ORDER)
    assert isinstance(stage.heard(), JitConfigFailed)
    stage.tell(ListRegistrations(1))
    assert "GitHub answered 500" in stage.listed().error
    stage.tell(DeleteRegistration(5, NAME))
    event = stage.heard().event
    assert isinstance(event, lifecycle.UnregistrationRefused)
    assert not event.busy
    assert stage.world.shown("tokens")[0] == "failing"
    sandbox.faults.remove(fault)
    stage.tell(ListRegistrations(2))
    assert stage.listed() == RegistrationsListed(2)
    assert stage.world.shown("tokens")[0] == "ready"


def test_an_answer_of_another_kind_does_not_crash_it(stage: Stage, sandbox: SandboxGitHub) -> None:
    sandbox.faults.add(Fault(status=200, body="<html>please log in</html>", times=None))
    stage.tell(ListRegistrations(1))
    assert "can't be read" in stage.listed().error
    stage.tell(ORDER)
    assert isinstance(stage.heard(), JitConfigFailed)
    assert not any("failed while handling" in line for line in stage.world.logged)


def test_a_token_that_a_reload_changed_is_used_from_then_on(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    stage.tell(ListRegistrations(1))
    assert stage.listed().error == ""
    stage.world.reconfigure(github_url=sandbox.url, token="wrong")
    stage.tell(ConfigChanged(stage.world.parts.settings.config))
    stage.tell(ListRegistrations(2))
    assert "the token is wrong" in stage.listed().error
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
    assert "the token is wrong" in stage.listed().error
    file.write_text(TOKEN)
    stage.tell(ListRegistrations(2))
    assert stage.listed().error == ""
    file.unlink()
    stage.tell(ListRegistrations(3))  # the client in use has its token
    assert stage.listed().error == ""


def test_no_secret_is_logged(stage: Stage, sandbox: SandboxGitHub) -> None:
    stage.tell(ORDER)
    encoded = stage.heard().encoded
    sandbox.faults.add(Fault(drop_connection=True, times=None))
    stage.tell(ORDER)
    stage.heard()
    logged = "".join(stage.world.logged)
    assert logged
    assert TOKEN not in logged
    assert encoded not in logged


def test_a_registration_made_ahead_is_given_out_once(stage: Stage, sandbox: SandboxGitHub) -> None:
    watched = sandbox.faults.add(
        Fault(path_pattern="*/generate-jitconfig", delay_s=0.001, times=None)
    )
    stage.tell(RegisterAhead(NAME, ORDER.labels, ORDER.group))
    eventually(lambda: [runner.name for runner in sandbox.runners()] == [NAME])
    stage.tell(ORDER)
    made = stage.heard()
    assert [runner.id for runner in sandbox.runners()] == [made.runner_id]
    assert sandbox.faults.hits(watched) == 1
    stage.tell(ORDER)
    assert isinstance(stage.heard(), JitConfigFailed)  # the name is taken


def test_what_could_not_be_registered_ahead_is_registered_when_asked_for(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    sandbox.faults.add(Fault(path_pattern="*/generate-jitconfig", status=500, times=1))
    stage.tell(RegisterAhead(NAME, ORDER.labels, ORDER.group))
    stage.tell(ORDER)
    assert isinstance(stage.heard(), JitConfigMade)


def test_registrations_made_ahead_in_vain_are_deleted(stage: Stage, sandbox: SandboxGitHub) -> None:
    stage.tell(RegisterAhead("fleet-bbbbbbbb", ORDER.labels, ORDER.group))
    stage.tell(RegisterAhead("fleet-cccccccc", ORDER.labels, ORDER.group))
    eventually(lambda: len(sandbox.runners()) == 2)
    stage.tell(ForgetAhead())
    eventually(lambda: not sandbox.runners())


def test_a_registration_made_ahead_that_the_reconcile_deletes_is_not_given_out(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    stage.tell(RegisterAhead(NAME, ORDER.labels, ORDER.group))
    eventually(sandbox.runners)
    orphan = sandbox.runners()[0].id
    stage.tell(DeleteRegistration(orphan, NAME))
    assert stage.heard() == Happened(lifecycle.Unregistered())
    stage.tell(ORDER)
    assert stage.heard().runner_id != orphan
