"""The tokens actor as a GitHub App, against the sandbox's GitHub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from fake_actors import Inbox
from fake_world import World
from waiting import eventually

from sandbox.github import App, Fault, SandboxGitHub
from supervisor.actors.tokens import TokensActor
from supervisor.github import places
from supervisor.messages.tokens import (
    JitConfigFailed,
    JitConfigMade,
    ListRegistrations,
    RegistrationsListed,
    RequestJitConfig,
)
from supervisor.supervision import ChildSpec

KEY, OTHER_KEY = (rsa.generate_private_key(65537, 2048) for _ in range(2))
APP, INSTALLATION = 12345, 678
ACCESS_TOKENS = f"/api/v3/app/installations/{INSTALLATION}/access_tokens"


def private(key: rsa.RSAPrivateKey) -> str:
    form = PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def public(key: rsa.RSAPrivateKey) -> str:
    form = PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(Encoding.PEM, form).decode()


class Stage:
    """The tokens actor between a fleet and the runners that it names."""

    def __init__(self, world: World, sandbox: SandboxGitHub, key_file: Path) -> None:
        self.world = world
        self.sandbox = sandbox
        self.key_file = key_file
        self.asked = sandbox.faults.add(
            Fault("POST", ACCESS_TOKENS, delay_s=0.05, times=None)  # others come to wait meanwhile
        )
        self.fleet: list[Any] = []
        self.runners: dict[str, list[Any]] = {f"fleet-{n}": [] for n in range(5)}
        system = world.system
        world.run(
            ChildSpec("fleet", lambda: Inbox.start(system, self.fleet)),
            *(
                ChildSpec(name, partial(Inbox.start, system, got))
                for name, got in self.runners.items()
            ),
            ChildSpec("tokens", partial(TokensActor.start, system, world.parts)),
        )

    def register(self, *names: str) -> list[JitConfigMade | JitConfigFailed]:
        here = places.of(self.world.parts.settings.config)
        for name in names:
            self.world.tell("tokens", RequestJitConfig(name, ("x",), "default", here))
        self.world.pass_until(lambda: all(self.runners[name] for name in names))
        return [self.runners[name].pop() for name in names]

    def list(self) -> RegistrationsListed:
        self.fleet.clear()
        self.world.tell("tokens", ListRegistrations(1))
        self.world.pass_until(self._listed)
        return self._listed()[0]

    def _listed(self) -> list[RegistrationsListed]:
        return [one for one in tuple(self.fleet) if isinstance(one, RegistrationsListed)]

    def tokens_asked_for(self) -> int:
        return self.sandbox.faults.hits(self.asked)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "app.pem"
    file.touch(mode=0o600)
    file.write_text(private(KEY))
    return file


def clock_of(world: World, skew: timedelta) -> Callable[[], datetime]:
    return lambda: world.clock.now() + skew


@pytest.fixture
def make_stage(
    make_world: Callable[..., World],
    key_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Stage]]:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    tarball = tmp_path / "actions-runner-linux-x64-2.300.0.tar.gz"
    tarball.write_bytes(b"an application")
    servers: list[SandboxGitHub] = []

    def make(*, skew: timedelta = timedelta(), installation: int = INSTALLATION) -> Stage:
        world = make_world()
        server = SandboxGitHub(org="acme", tarball=tarball, clock=clock_of(world, skew))
        server.add_app(App(APP, INSTALLATION, public(KEY)))
        server.start()
        servers.append(server)
        app = {"id": APP, "installation-id": installation, "private-key-file": str(key_file)}
        world.base.pop("token")
        world.base.update({"github-url": server.url, "app": app})
        world.reconfigure()
        return Stage(world, server, key_file)

    yield make
    for server in servers:
        server.stop()


def test_a_token_is_asked_for_once_however_many_wait(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage()
    made = stage.register(*stage.runners)
    assert all(isinstance(one, JitConfigMade) for one in made)
    assert stage.list().error == ""
    assert stage.tokens_asked_for() == 1
    details = stage.world.details("tokens")
    assert details["credential"] == "GitHub App 12345"
    assert "write" in details["permissions"]
    assert details["renewed"]


def test_a_token_is_renewed_before_it_ends(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage()
    stage.list()
    stage.world.clock.advance(54 * 60)
    assert stage.list().error == ""
    assert stage.tokens_asked_for() == 1
    stage.world.clock.advance(2 * 60)
    assert stage.list().error == ""
    assert stage.tokens_asked_for() == 2


def test_a_token_that_was_revoked_is_replaced_at_once(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage()
    stage.list()
    stage.sandbox.hub.credentials.revoke_installation_tokens()
    assert stage.list().error == ""
    assert stage.tokens_asked_for() == 2
    eventually(lambda: stage.world.shown("tokens")[0] == "ready")


@pytest.mark.parametrize("skew", [timedelta(hours=-3), timedelta(minutes=5), timedelta(days=400)])
def test_a_clock_that_is_wrong_does_not_matter(
    make_stage: Callable[..., Stage], skew: timedelta
) -> None:
    stage = make_stage(skew=skew)
    assert stage.list().error == ""
    assert stage.tokens_asked_for() <= 2  # the first refusal tells GitHub's time
    stage.world.clock.advance(54 * 60)
    assert stage.list().error == ""
    assert stage.tokens_asked_for() <= 2


def test_an_installation_that_there_is_not_is_one_clear_reason(
    make_stage: Callable[..., Stage],
) -> None:
    stage = make_stage(installation=999)
    error = stage.list().error
    assert "could not get a token for installation 999 of GitHub App 12345" in error
    assert "GitHub answered 404" in error
    assert "PRIVATE KEY" not in "".join(stage.world.logged)


def test_a_wrong_key_is_told_and_another_one_taken_without_a_restart(
    make_stage: Callable[..., Stage], key_file: Path
) -> None:
    key_file.write_text(private(OTHER_KEY))
    stage = make_stage()
    assert "GitHub App 12345 is wrong, expired or revoked" in stage.list().error
    eventually(lambda: stage.world.shown("tokens")[0] == "failing")
    before = stage.tokens_asked_for()
    for _ in range(10):
        stage.list()
    assert stage.tokens_asked_for() <= before + 1  # in vain: not asked again and again
    key_file.write_text(private(KEY))
    assert stage.list().error == ""
    eventually(lambda: stage.world.shown("tokens")[0] == "ready")


def test_a_missing_permission_of_an_app_is_named(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage()
    with stage.sandbox.hub.change():
        stage.sandbox.hub.credentials.add_app(App(APP, INSTALLATION, public(KEY), access="read"))
    (refused,) = stage.register("fleet-0")
    assert isinstance(refused, JitConfigFailed)
    assert "the GitHub App 12345 may not do this; it needs" in refused.reason
    assert stage.list().error == ""


def test_no_secret_is_logged_or_shown(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage()
    (made,) = stage.register("fleet-0")
    assert isinstance(made, JitConfigMade)
    stage.sandbox.faults.add(Fault(status=500, times=None))
    stage.register("fleet-1")
    seen = "".join(stage.world.logged) + str(stage.world.details("tokens"))
    for secret in (*stage.sandbox.hub.credentials.known(), made.encoded, "PRIVATE KEY"):
        assert secret not in seen


def test_a_token_that_can_not_be_had_fails_all_that_wait_and_nothing_else(
    make_stage: Callable[..., Stage],
) -> None:
    stage = make_stage()
    stage.sandbox.faults.clear()
    outage = stage.sandbox.faults.add(
        Fault("POST", ACCESS_TOKENS, status=502, delay_s=0.05, times=None)
    )
    refused = stage.register(*stage.runners)
    assert all(isinstance(one, JitConfigFailed) for one in refused)
    assert "installation 678 of GitHub App 12345: GitHub answered 502" in refused[0].reason
    assert stage.sandbox.faults.hits(outage) == 1
    assert not any("ended" in line for line in stage.world.logged)
    stage.sandbox.faults.clear()
    stage.world.clock.advance(2)
    assert all(isinstance(one, JitConfigMade) for one in stage.register(*stage.runners))


def test_a_date_beyond_belief_is_not_believed(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage()
    stage.sandbox.skew_clock(timedelta(days=365 * 7000))
    assert stage.list().error
    stage.sandbox.skew_clock(timedelta())
    stage.world.clock.advance(2)
    assert stage.list().error == ""
