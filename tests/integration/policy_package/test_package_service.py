"""A policy service that is a package: installed, run, asked by guests, and upgraded meanwhile."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fake_actors import Inbox
from fake_world import World, make_world
from package_stand import Stand
from policy_fleet import HOST, PolicyFleet
from policy_packages import APP, NAME, wheel
from ports import free_port
from waiting import eventually

from supervisor.actors import policy_here
from supervisor.actors.policy import PolicyActor
from supervisor.actors.upgrades import UpgradesActor
from supervisor.messages.policy import PolicyChanged
from supervisor.messages.upgrades import CheckUpgrades
from supervisor.supervision import ChildSpec, Strategy, SystemClock

__all__ = ["make_world"]
pytestmark = pytest.mark.timeout(300)
Make = Callable[..., "PackageFleet"]


class Policies(list[Any]):
    """Of what the fleet is told, that about the policy."""

    def append(self, message: Any) -> None:
        if isinstance(message, PolicyChanged):
            super().append(message)


class PackageFleet(PolicyFleet):
    """The actors, with a package in the place of the service built in."""

    def _run(self, world: World) -> None:
        self.told = Policies()
        world.run(
            ChildSpec("fleet", partial(Inbox.start, world.system, self.told)),
            ChildSpec("tokens", partial(Inbox.start, world.system, [])),
            ChildSpec("upgrades", partial(UpgradesActor.start, world.system, world.parts)),
            ChildSpec("policy", partial(PolicyActor.start, world.system, world.parts), shutdown=1),
            strategy=Strategy.REST_FOR_ONE,
        )

    @property
    def version(self) -> str | None:
        """What `supervisor-cli policy` shows."""
        shown: str | None = self.world.details("policy")["version"]
        return shown

    def standing(self) -> Any:
        """What `supervisor-cli upgrades` shows."""
        subjects = self.world.details("upgrades")["subjects"]
        return next(one for one in subjects if one.what == "policy package")

    def upgrade(self) -> None:
        self.world.tell("upgrades", CheckUpgrades(why="a test"))

    def check(self, repository: str, token: str | None = None) -> tuple[int, str]:
        """Ask whether a push may run."""
        connection = http.client.HTTPConnection(HOST, int(self.base.rpartition(":")[2]), timeout=30)
        headers = {"Authorization": f"Bearer {token or self.token()}"}
        headers["Content-Type"] = "application/json"
        body = json.dumps({"repository_name": repository})
        try:
            connection.request("POST", "/push/check-run", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture
def make(make_world: Callable[..., World], stand: Stand, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr(policy_here, "_EXAMINE_INTERVAL_S", 0.5)

    def start(**policy: Any) -> PackageFleet:
        given = {"mode": "package", "package": NAME, "package-app": APP, "port": free_port()}
        world = make_world(
            clock=SystemClock(),
            policy={**given, "package-links": str(stand.links), **policy},
            signals={"address": HOST},
            token="ghp_hidden",
        )
        return PackageFleet(world)

    return start


def test_it_is_installed_answers_guests_and_what_it_says_is_made_sure_of(
    make: Make, stand: Stand
) -> None:
    fleet = make()
    eventually(lambda: "policy.package: pip: ERROR: Could not find" in fleet.reason)
    assert fleet.world.shown("upgrades")[0] == "failing"
    wheel(stand.links, "1.0")
    fleet.upgrade()
    eventually(lambda: fleet.healthy)
    assert fleet.version == f"{NAME} 1.0"
    token = fleet.token()
    assert fleet.check("acme/demo", token) == (204, "")
    assert fleet.check("acme/demo", token) == (401, "Unauthorized Access")
    assert fleet.check("acme/demo", "f" * 64) == (401, "Unauthorized Access")
    assert fleet.check("acme/demo", fleet.token("10.9.9.9")) == (401, "Unauthorized Access")
    assert fleet.check("acme/refused") == (403, "1.0 says no\n")
    assert fleet.check("acme/crash") == (500, "it crashed")
    assert fleet.check("acme/odd") == (500, "the package answers 200")
    eventually(
        lambda: fleet.world.details("policy")["counts"] == {"allowed": 1, "refused": 1, "error": 2}
    )
    last = fleet.world.details("policy")["decisions"]
    assert {one["repository"] for one in last} >= {"acme/demo", "acme/refused"}


def test_its_secrets_are_in_no_environment_and_no_argument(make: Make, stand: Stand) -> None:
    wheel(stand.links, "1.0")
    fleet = make()
    eventually(lambda: fleet.healthy)
    for pid in (fleet.pid, *fleet.workers):
        process = Path(f"/proc/{pid}")
        shown = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        assert b"ghp_hidden" not in shown
        assert b"CHARM_TOKEN" not in shown


def test_tokens_from_before_an_upgrade_are_good_after_it_and_no_check_is_lost(
    make: Make, stand: Stand
) -> None:
    wheel(stand.links, "1.0")
    fleet = make()
    eventually(lambda: fleet.healthy)
    before, token, told = fleet.pid, fleet.token(), len(fleet.told)
    wheel(stand.links, "1.1")
    fleet.upgrade()
    eventually(lambda: fleet.check("acme/refused")[1].startswith("1.1 says"))
    assert fleet.pid != before
    assert fleet.check("acme/demo", token)[0] == 204
    assert fleet.told[told:] == []  # healthy all the time
    eventually(lambda: fleet.version == f"{NAME} 1.1")


def test_a_version_that_fails_in_use_gives_its_place_back(
    make: Make, stand: Stand, tmp_path: Path
) -> None:
    wheel(stand.links, "1.0")
    fleet = make()
    eventually(lambda: fleet.healthy)
    flag = str(tmp_path / "tried")
    top = f"FLAG = {flag!r}\nSEEN = os.path.exists(FLAG)\nopen(FLAG, 'w').close()"
    ill = "if path == '/health' and SEEN: return answer('500', 'ill in use')"
    wheel(stand.links, "2.0", top=top, request=ill)
    fleet.upgrade()
    eventually(lambda: "has failed in use: ill in use" in fleet.standing().error)
    eventually(lambda: fleet.healthy and fleet.version == f"{NAME} 1.0")
    assert fleet.standing().installed == f"{NAME} 1.0"
    eventually(lambda: fleet.check("acme/refused") == (403, "1.0 says no\n"))
    (warning,) = fleet.world.details("upgrades")["warnings"]
    assert warning.startswith(f"policy package {NAME} 1.0 stays in use: {NAME} 2.0 has failed")


def test_a_document_reaches_it_and_one_that_it_refuses_is_said(make: Make, stand: Stand) -> None:
    refusing = "if path == '/policy': return answer('400', 'invalid policy document, exc=x')"
    wheel(stand.links, "1.0", request=refusing)
    fleet = make(document={"push": {"collaborators": {"enabled": False}}})
    eventually(lambda: "it refuses policy.document: 400 invalid policy document" in fleet.reason)
    assert not fleet.healthy
