"""Registrations are deleted at a real sandbox GitHub when there is no daemon to do it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from sandbox.github import App, Fault, SandboxGitHub
from supervisor.config import Config, credentials, parse
from supervisor.github import conversations, places
from supervisor.github.credential import PersonalToken
from supervisor.runners import naming
from supervisor.work import registrations as work
from supervisor.work.registrations import Line, Registrations

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

TOKEN = "ghp_theTokenOfTheseTests"


@dataclass
class Place:
    """Where an installation has registered runners."""

    github: SandboxGitHub
    given: dict[str, Any] = field(default_factory=lambda: {"path": "acme", "token": TOKEN})

    @property
    def config(self) -> Config:
        return parse({"name": "web", "github-url": self.github.url, **self.given}, "test")

    def authenticate(self, **credential: Any) -> None:
        """Ask with something else than the token."""
        del self.given["token"]
        self.given |= {name.replace("_", "-"): value for name, value in credential.items()}

    def register(self, name: str = "") -> int:
        line = Line(self.config, PersonalToken(TOKEN), float("inf"))
        name = name or naming.new_runner_name("web")
        registered = line.lead(conversations.register(line.scope, name, ("x",), 1))
        line.close()
        return registered.runner_id

    def delete(
        self,
        numbers: Collection[int] = (),
        *,
        place: str = "",
        limit_s: float = 20,
        patience_s: float = 0,
    ) -> Registrations:
        made = Registrations(self.config, place or places.of(self.config), numbers)
        made.delete(lambda: credentials.read(self.config), limit_s=limit_s, patience_s=patience_s)
        return made

    def there(self) -> set[str]:
        return {runner.name for runner in self.github.runners()}


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(work, "_RETRY_S", 0.01)
    monkeypatch.setattr(work, "_BUSY_PAUSE_S", 0.01)
    with SandboxGitHub(org="acme", token=TOKEN) as github:
        yield Place(github)


def test_those_with_names_of_ours_are_deleted_and_no_others(place: Place) -> None:
    others = {"buildserver", "web-2-abcdefghijkl", "web-abcdefghijkl"}
    for name in others:
        place.register(name)
    ours = {naming.new_runner_name("web") for _ in range(3)}
    for name in ours:
        place.register(name)
    done = place.delete()
    assert sorted(done.removed) == sorted(f"registration of {name} at acme" for name in ours)
    assert done.left == {}
    assert place.there() == others


def test_one_that_was_renamed_is_known_by_its_number(place: Place) -> None:
    number = place.register("somebody-calls-it-so")
    place.register("buildserver")
    assert place.delete({number}).left == {}
    assert place.there() == {"buildserver"}


def test_a_former_place_is_asked_with_the_credential_of_now(place: Place) -> None:
    place.github.add_organization("former")
    place.given["path"] = "former"
    place.register()
    former = places.of(place.config)
    place.given["path"] = "acme"
    done = place.delete(place=former)
    assert (len(done.removed), done.left) == (1, {})
    assert "at former" in done.removed[0]


def test_another_github_is_not_shown_the_credential(place: Place) -> None:
    done = place.delete(place="https://github.example.com/acme")
    assert (
        "no credential for that GitHub"
        in done.left["registrations at https://github.example.com/acme"]
    )


def test_one_that_github_takes_for_busy_is_left_at_first_and_deleted_later(place: Place) -> None:
    place.register()
    place.github.faults.add(Fault(method="DELETE", status=422, message="runs a job", times=3))
    (why,) = place.delete().left.values()
    assert "runs a job" in why
    assert "GitHub removes it by itself" in why
    assert place.delete(patience_s=5).left == {}
    assert place.there() == set()


def test_one_that_stays_busy_is_waited_for_no_longer_than_said(place: Place) -> None:
    place.register()
    place.github.faults.add(Fault(method="DELETE", status=422, message="runs a job", times=None))
    assert len(place.delete(patience_s=0.1).left) == 1


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(status=503, times=None), "GitHub answered 503"),
        (Fault(drop_connection=True, times=None), "GitHub can't be reached"),
        (Fault(status=401, times=None), "wrong, expired or revoked"),
        (Fault(method="DELETE", status=403, times=None), "may not do this"),
        (Fault(status=429, times=None), "no more calls for now"),
    ],
    ids=["unwell", "silent", "unwilling", "forbidding", "limiting"],
)
def test_what_github_refuses_is_said_in_one_line_without_the_token(
    place: Place, fault: Fault, said: str
) -> None:
    place.register()
    place.github.faults.add(fault)
    done = place.delete()
    assert done.left.keys() == {"registrations at acme"}
    why = done.left["registrations at acme"]
    assert said in why
    assert TOKEN not in why
    assert len(why.splitlines()) == 1
    assert place.there() != set()


def test_a_failure_that_passes_is_got_over(place: Place) -> None:
    place.register()
    place.github.faults.add(Fault(status=502, times=2))
    place.github.faults.add(Fault(method="DELETE", drop_connection=True, after_processing=True))
    assert place.delete().left == {}
    assert place.there() == set()


def test_nothing_is_asked_when_the_time_is_over(place: Place) -> None:
    place.register()
    counted = place.github.faults.add(Fault(delay_s=0.001, times=None))
    done = place.delete(limit_s=0)
    assert "it has taken too long" in done.left["registrations at acme"]
    assert place.github.faults.hits(counted) == 0


def test_without_a_credential_it_is_said_which_is_missing(place: Place, tmp_path: Path) -> None:
    place.authenticate(token_file=str(tmp_path / "token"))
    (why,) = place.delete().left.values()
    assert why.startswith(f"token-file: {tmp_path / 'token'}: can't be read")


def test_an_app_asks_for_us_though_its_clock_is_wrong(place: Place, tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    file = tmp_path / "app.pem"
    file.touch(mode=0o600)
    file.write_bytes(private)
    place.github.add_app(App(12345, 678, public.decode()))
    place.register()
    app = {"id": 12345, "installation-id": 678, "private-key-file": str(file)}
    place.authenticate(app=app)
    place.github.skew_clock(timedelta(hours=-2))
    assert place.delete().left == {}
    assert place.there() == set()
