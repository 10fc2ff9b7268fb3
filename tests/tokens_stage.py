"""The tokens actor between a fleet and a runner, with a local GitHub that can be disturbed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from fake_actors import Inbox
from fake_world import World

from sandbox.github import Fault, SandboxGitHub
from supervisor.actors.tokens import TokensActor
from supervisor.github import places
from supervisor.messages.tokens import (
    ApplicationNotOffered,
    ApplicationOffered,
    DeleteRegistration,
    GitHubChanged,
    RegisterAhead,
    RegistrationsListed,
    RequestJitConfig,
)
from supervisor.supervision import ChildSpec

NAME = "fleet-aaaaaaaa"
TOKEN = "made-up-secret-token"


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
        self.upgrades: list[Any] = []
        system = world.system
        world.run(
            ChildSpec("fleet", lambda: Inbox.start(system, self.fleet)),
            ChildSpec("upgrades", lambda: Inbox.start(system, self.upgrades)),
            ChildSpec(NAME, lambda: Inbox.start(system, self.runner)),
            ChildSpec("tokens", partial(TokensActor.start, system, world.parts)),
        )

    @property
    def here(self) -> str:
        """The place that is configured."""
        return places.of(self.world.parts.settings.config)

    def order(self, name: str = NAME) -> RequestJitConfig:
        return RequestJitConfig(name, ("self-hosted", "linux"), "default", self.here)

    def ahead(self, name: str = NAME) -> RegisterAhead:
        return RegisterAhead(name, ("self-hosted", "linux"), "default", self.here)

    def deletion(self, number: int, name: str = NAME) -> DeleteRegistration:
        return DeleteRegistration(number, name, self.here)

    def tell(self, message: object) -> None:
        self.world.tell("tokens", message)

    def heard(self) -> Any:
        """Wait until the runner is told something; time passes meanwhile."""
        self.pass_until(lambda: self.runner)
        return self.runner.pop(0)

    def offered(self) -> ApplicationOffered | ApplicationNotOffered:
        """Wait until it is told what GitHub offers; time passes meanwhile."""
        kinds = (ApplicationOffered, ApplicationNotOffered)

        def answers() -> list[Any]:
            return [message for message in tuple(self.upgrades) if isinstance(message, kinds)]

        self.pass_until(answers)
        answer: ApplicationOffered | ApplicationNotOffered = answers()[0]
        self.upgrades.remove(answer)
        return answer

    def listed(self) -> RegistrationsListed:
        """Wait until the fleet is told of a listing; time passes meanwhile."""
        self.pass_until(lambda: self.told(RegistrationsListed))
        found: RegistrationsListed = self.told(RegistrationsListed)[0]
        self.fleet.remove(found)
        return found

    def gate(self) -> GitHubChanged | None:
        """Return what the fleet was last told of whether runners can be registered."""
        told = self.told(GitHubChanged)
        return told[-1] if told else None

    def pass_until(self, holds: Callable[[], object]) -> None:
        self.world.pass_until(holds)

    def told(self, kind: type) -> list[Any]:
        return [message for message in tuple(self.fleet) if isinstance(message, kind)]

    def budget(self) -> dict[str, Any]:
        """Return what is shown of GitHub's limits."""
        found: dict[str, Any] = self.world.details("tokens")["budget"]
        return found


@pytest.fixture
def stage(make_world: Callable[..., World], sandbox: SandboxGitHub) -> Stage:
    return Stage(make_world(github_url=sandbox.url, token=TOKEN))


def watch(sandbox: SandboxGitHub, method: str = "*", path: str = "*") -> Fault:
    """Count requests without disturbing them."""
    return sandbox.faults.add(Fault(method=method, path_pattern=path, delay_s=0.0001, times=None))


def register(sandbox: SandboxGitHub, name: str) -> None:
    answer = requests.post(
        f"{sandbox.url}/orgs/acme/actions/runners/generate-jitconfig",
        json={"name": name, "runner_group_id": 1, "labels": ["x"]},
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=10,
    )
    assert answer.status_code == 201
