"""All that is asked of GitHub goes through the proxy: no other way leads there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from fake_world import World
from github_fleet import GitHubFleet
from real_proxy import LOGIN, NAME, PASSWORD, Tinyproxy, TlsFront
from waiting import eventually

from sandbox.github import App, SandboxGitHub

TOKEN = "made-up-secret-token"


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Tinyproxy]:
    with Tinyproxy(tmp_path, login=True) as made:
        yield made


@pytest.fixture
def make_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], tuple[SandboxGitHub, TlsFront]]]:
    """Make GitHubs behind TLS, under one name with different ports; all are trusted."""
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    tarball = tmp_path / "actions-runner-linux-x64-2.300.0.tar.gz"
    tarball.write_bytes(b"an application")
    trusted = tmp_path / "trusted.pem"
    trusted.touch()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))
    entered: list[SandboxGitHub | TlsFront] = []

    def make() -> tuple[SandboxGitHub, TlsFront]:
        sandbox = SandboxGitHub(org="acme", token=TOKEN, tarball=tarball)
        sandbox.start()
        entered.append(sandbox)
        directory = tmp_path / f"front-{len(entered)}"
        directory.mkdir()
        front = TlsFront(directory, int(sandbox.url.rsplit(":", 1)[1]))
        entered.append(front)
        front.__enter__()
        with trusted.open("ab") as file:
            file.write(front.ca_file.read_bytes())
        return sandbox, front

    yield make
    for one in reversed(entered):
        one.__exit__(None, None, None)


def test_a_whole_life_on_github_goes_through_the_proxy(
    make_world: Callable[..., World],
    make_place: Callable[[], tuple[SandboxGitHub, TlsFront]],
    proxy: Tinyproxy,
) -> None:
    sandbox, front = make_place()
    world = make_world(
        virtual_machines=2,
        github_url=front.url,
        token=TOKEN,
        https_proxy=proxy.url(LOGIN),
        limits={"offline": "1d", "ready": "1d"},
    )
    fleet = GitHubFleet(world)
    fleet.fill(2)
    assert {runner.name for runner in sandbox.runners()} == set(world.names())
    fleet.want(1)
    fleet.pass_until(lambda: len(sandbox.runners()) == len(world.names()) == 1)
    fleet.pass_until(lambda: world.shown("fleet")[0] == "keeping")
    assert set(proxy.asked()) == {f"CONNECT {NAME}:{front.port}"}
    eventually(lambda: len(proxy.asked()) == front.connections)
    assert PASSWORD not in "".join(world.logged)


def test_an_apps_token_comes_through_the_proxy_and_nothing_of_the_environments_is_used(
    make_world: Callable[..., World],
    make_place: Callable[[], tuple[SandboxGitHub, TlsFront]],
    proxy: Tinyproxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "*")
    sandbox, front = make_place()
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    sandbox.add_app(App(12345, 678, public.decode()))
    file = tmp_path / "app.pem"
    file.touch(mode=0o600)
    form = PrivateFormat.TraditionalOpenSSL
    file.write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
    world = make_world(
        virtual_machines=1,
        github_url=front.url,
        token=None,
        app={"id": 12345, "installation-id": 678, "private-key-file": str(file)},
        https_proxy=proxy.url(LOGIN),
        limits={"offline": "1d", "ready": "1d"},
    )
    GitHubFleet(world).fill(1)
    assert world.details("tokens")["credential"] == "GitHub App 12345"
    eventually(lambda: len(proxy.asked()) == front.connections > 0)


def test_a_former_place_is_asked_through_the_proxy_that_is_configured_now(
    make_world: Callable[..., World],
    make_place: Callable[[], tuple[SandboxGitHub, TlsFront]],
    proxy: Tinyproxy,
    tmp_path: Path,
) -> None:
    before, its_front = make_place()
    after, front = make_place()
    world = make_world(
        virtual_machines=1,
        github_url=its_front.url,
        token=TOKEN,
        https_proxy=proxy.url(LOGIN),
        limits={"offline": "1d", "ready": "1d"},
    )
    fleet = GitHubFleet(world)
    fleet.fill(1)
    assert len(before.runners()) == 1
    second = tmp_path / "second"
    second.mkdir()
    with Tinyproxy(second) as another:
        proxy.__exit__()
        world.base |= {"github-url": front.url, "https-proxy": another.url()}
        fleet.want(1)
        fleet.pass_until(lambda: not before.runners() and len(after.runners()) == 1)
        ways = {f"CONNECT {NAME}:{port}" for port in (its_front.port, front.port)}
        assert set(another.asked()) == ways
