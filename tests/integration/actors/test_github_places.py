"""The same conversations with an organisation, a repository and an enterprise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import requests
from fake_world import World
from github_fleet import GitHubFleet

from sandbox.github import SandboxGitHub

TOKEN = "ghp_madeup"
GROUPS = "*/actions/runner-groups*"


@pytest.fixture
def make_fleet(
    make_world: Callable[..., World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[GitHubFleet, SandboxGitHub]]]:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    tarball = tmp_path / "actions-runner-linux-x64-2.300.0.tar.gz"
    tarball.write_bytes(b"an application")
    servers: list[SandboxGitHub] = []

    def make(*, path: str, **more: Any) -> tuple[GitHubFleet, SandboxGitHub]:
        options = {key: more.pop(key) for key in ("rate_limit", "secondary_limit") if key in more}
        world = make_world(virtual_machines=2)
        server = SandboxGitHub(org="acme", token=TOKEN, tarball=tarball, **options)
        server.start()
        servers.append(server)
        server.add_repository("acme/demo")
        server.add_enterprise("big", ["acme"])
        server.add_group("acme", "gpu")
        config = {"github-url": server.url, "token": TOKEN, "path": path, **more}
        world.base.update({key.replace("_", "-"): value for key, value in config.items()})
        world.reconfigure()
        return GitHubFleet(world), server

    yield make
    for server in servers:
        server.stop()


@pytest.mark.parametrize("path", ["acme", "acme/demo", "enterprises/big"])
def test_a_fleet_comes_and_goes(
    make_fleet: Callable[..., tuple[GitHubFleet, SandboxGitHub]], path: str
) -> None:
    ours, sandbox = make_fleet(path=path)
    ours.fill(2)
    assert {runner.scope.name for runner in sandbox.runners()} == {path}
    ours.want(0)
    ours.pass_until(lambda: not sandbox.runners())
    ours.pass_until(lambda: ours.world.shown("tokens")[0] == "ready")


@pytest.mark.parametrize("path", ["acme", "enterprises/big"])
def test_a_group_that_there_is_not_is_named_and_taken_once_it_is_there(
    make_fleet: Callable[..., tuple[GitHubFleet, SandboxGitHub]], path: str
) -> None:
    ours, sandbox = make_fleet(path=path, group="Large")
    world = ours.world
    ours.pass_until(lambda: 'there is no runner group "Large"' in world.shown("tokens")[1])
    assert "there are: Default" in world.shown("tokens")[1]
    ours.pass_until(lambda: 'no runner group "Large"' in world.shown("fleet")[1])
    assert sandbox.runners() == ()
    sandbox.add_group(path, "large")
    ours.pass_until(lambda: len(sandbox.runners()) == 2, step=1)
    assert {runner.group_id for runner in sandbox.runners()} != {1}


def test_a_group_that_is_made_anew_is_used_as_soon_as_the_former_one_is_refused(
    make_fleet: Callable[..., tuple[GitHubFleet, SandboxGitHub]],
) -> None:
    ours, sandbox = make_fleet(path="acme", group="gpu")
    ours.fill(2)
    (former,) = {runner.group_id for runner in sandbox.runners()}
    sandbox.add_group("acme", "another")  # or the number would be given once more
    deleted = requests.delete(
        f"{sandbox.url}/orgs/acme/actions/runner-groups/{former}",
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=10,
    )
    assert deleted.status_code == 204
    group = sandbox.add_group("acme", "gpu")
    begun = ours.world.clock.monotonic()
    ours.want(3)
    ours.pass_until(lambda: group.id in {runner.group_id for runner in sandbox.runners()})
    # Where its number was kept, it would be ten minutes.
    assert ours.world.clock.monotonic() - begun < 300


def test_a_server_without_limits_has_none_to_show(
    make_fleet: Callable[..., tuple[GitHubFleet, SandboxGitHub]],
) -> None:
    ours, _ = make_fleet(path="acme", rate_limit=None)
    ours.fill(2)
    expected = ("ready", "GitHub answers for acme")
    ours.pass_until(lambda: ours.world.shown("tokens") == expected)
    details = ours.world.details("tokens")
    assert (details["budget"], details["runners_per_hour"]) == ({}, None)


def test_a_token_that_ends_is_shown(
    make_fleet: Callable[..., tuple[GitHubFleet, SandboxGitHub]],
) -> None:
    ours, sandbox = make_fleet(path="acme", token="github_pat_madeup")
    end = datetime(2031, 5, 6, 7, 8, 9, tzinfo=timezone.utc)
    sandbox.add_token("github_pat_madeup", expires_at=end)
    ours.pass_until(lambda: ours.world.shown("tokens")[0] == "ready", step=1)
    details = ours.world.details("tokens")
    assert details["credential"] == "fine-grained personal access token"
    assert details["expires_at"] == end.isoformat()


def test_the_scopes_that_a_classic_token_lacks_are_named(
    make_fleet: Callable[..., tuple[GitHubFleet, SandboxGitHub]],
) -> None:
    ours, sandbox = make_fleet(path="acme", token="ghp_other")
    sandbox.add_token("ghp_other", scopes=("repo",))
    world = ours.world
    ours.pass_until(lambda: world.shown("tokens")[0] == "failing", step=1)
    ours.pass_until(lambda: "admin:org" in world.shown("tokens")[1], step=1)
    assert world.details("tokens")["permissions"] in {"", "repo"}
    sandbox.add_token("ghp_other", scopes=("admin:org",))
    ours.pass_until(lambda: world.shown("tokens")[0] == "ready", step=1)
    assert world.details("tokens")["permissions"] == "admin:org"
