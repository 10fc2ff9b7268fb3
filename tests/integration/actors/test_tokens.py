from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
from fake_actors import Inbox
from fake_world import World
from waiting import eventually

from sandbox.github import Fault, SandboxGitHub
from supervisor import lifecycle
from supervisor.actors.tokens import TokensActor
from supervisor.github import places
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.runner import Happened
from supervisor.messages.tokens import (
    AnnounceGitHub,
    ApplicationNotOffered,
    ApplicationOffered,
    AskApplication,
    DeleteRegistration,
    ForgetAhead,
    GitHubChanged,
    JitConfigFailed,
    JitConfigMade,
    ListRegistrations,
    RegisterAhead,
    RegistrationsListed,
    RequestJitConfig,
)
from supervisor.messages.upgrades import GitHubReachable
from supervisor.supervision import ChildSpec

NAME = "fleet-aaaaaaaa"
TOKEN = "made-up-secret-token"
UNVERIFIABLE = """[{"os": "linux", "architecture": "x64", "filename": "r-2.301.0.tar.gz",
    "download_url": "https://github.example/r-2.301.0.tar.gz"}]"""


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
        self.pass_until(lambda: self._of(RegistrationsListed))
        found: RegistrationsListed = self._of(RegistrationsListed)[0]
        self.fleet.remove(found)
        return found

    def gate(self) -> GitHubChanged | None:
        """Return what the fleet was last told of whether runners can be registered."""
        told = self._of(GitHubChanged)
        return told[-1] if told else None

    def pass_until(self, holds: Callable[[], object]) -> None:
        self.world.pass_until(holds)

    def _of(self, kind: type) -> list[Any]:
        return [message for message in tuple(self.fleet) if isinstance(message, kind)]


@pytest.fixture
def stage(make_world: Callable[..., World], sandbox: SandboxGitHub) -> Stage:
    return Stage(make_world(github_url=sandbox.url, token=TOKEN))


def watch(sandbox: SandboxGitHub, method: str = "*", path: str = "*") -> Fault:
    """Count requests without disturbing them."""
    return sandbox.faults.add(Fault(method=method, path_pattern=path, delay_s=0.0001, times=None))


def test_a_runner_is_registered_listed_and_deleted(stage: Stage) -> None:
    assert stage.world.shown("tokens")[0] == "waiting"
    stage.tell(stage.order())
    made = stage.heard()
    assert isinstance(made, JitConfigMade)
    assert made.encoded not in repr(made)
    stage.tell(ListRegistrations(3))
    listed = stage.listed()
    assert (listed.ticket, listed.error) == (3, "")
    assert [one.id for one in listed.registrations] == [made.runner_id]
    stage.tell(stage.deletion(made.runner_id, NAME))
    assert stage.heard() == Happened(lifecycle.Unregistered())
    eventually(lambda: stage.world.shown("tokens")[0] == "ready")
    assert stage.world.shown("tokens")[1].startswith("GitHub answers for acme; 999,99")


def test_a_name_in_use_is_a_refusal(stage: Stage, sandbox: SandboxGitHub) -> None:
    listing = f'{{"total_count": 1, "runners": [{{"id": 5, "name": "{NAME}", "status": "online",'
    sandbox.faults.add(Fault("POST", "*/generate-jitconfig", status=409))
    sandbox.faults.add(
        Fault("GET", "*/actions/runners", status=200, body=listing + ' "busy": false}]}')
    )
    stage.tell(stage.order())
    refused = stage.heard()
    assert isinstance(refused, JitConfigFailed)
    assert "a runner of that name is at work" in refused.reason


def test_a_registration_left_over_under_the_name_is_replaced(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    stage.tell(stage.order())
    first = stage.heard()
    stage.tell(stage.order())
    second = stage.heard()
    assert second.runner_id != first.runner_id
    assert [runner.id for runner in sandbox.runners()] == [second.runner_id]


@pytest.mark.parametrize(
    "fault", [{"drop_connection": True}, {"status": 502}, {"status": 200, "body": "<html>"}]
)
@pytest.mark.parametrize("after", [True, False])
def test_a_registration_of_unknown_outcome_is_looked_up_and_made_once(
    stage: Stage, sandbox: SandboxGitHub, fault: dict[str, Any], *, after: bool
) -> None:
    lost = Fault("POST", "*/generate-jitconfig", after_processing=after, **fault)
    sandbox.faults.add(lost)
    stage.tell(stage.order())
    made = stage.heard()
    assert isinstance(made, JitConfigMade)
    assert [runner.id for runner in sandbox.runners()] == [made.runner_id]
    assert sandbox.faults.hits(lost) == 1


def test_the_application_is_what_github_offers(stage: Stage, sandbox: SandboxGitHub) -> None:
    stage.tell(AskApplication())
    offered = stage.offered()
    assert isinstance(offered, ApplicationOffered)
    assert offered.application.version == "2.300.0"
    assert offered.application.sha256 == hashlib.sha256(b"an application").hexdigest()


def test_an_unchanged_offer_costs_no_call_of_the_budget(stage: Stage) -> None:
    stage.tell(AskApplication())
    first = stage.offered()
    left = stage.world.details("tokens")["budget"]["core"]["remaining"]
    for _ in range(3):
        stage.tell(AskApplication())
        assert stage.offered() == first
    assert stage.world.details("tokens")["budget"]["core"]["remaining"] == left


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("[]", "GitHub offers no runner application for linux on x64"),
        (
            UNVERIFIABLE,
            "GitHub gives no SHA-256 for r-2.301.0.tar.gz: it can't be verified",
        ),
    ],
)
def test_an_offer_that_can_not_be_used_stops_no_registration(
    stage: Stage, sandbox: SandboxGitHub, body: str, reason: str
) -> None:
    sandbox.faults.add(Fault(path_pattern="*/downloads", status=200, body=body, times=None))
    stage.tell(AskApplication())
    assert stage.offered() == ApplicationNotOffered(reason)
    stage.tell(stage.order())
    assert isinstance(stage.heard(), JitConfigMade)


def test_who_asks_for_an_application_in_an_outage_hears_that_others_tell_of_it(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    sandbox.faults.add(Fault(status=502, times=None))
    stage.tell(AskApplication())
    answer = stage.offered()
    assert isinstance(answer, ApplicationNotOffered)
    assert answer.outage
    assert "could not list runner applications" in answer.reason


def test_it_is_looked_for_again_once_github_can_be_asked_again(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    stage.tell(AnnounceGitHub())
    outage = sandbox.faults.add(Fault(status=502, times=None))
    stage.tell(ListRegistrations(1))
    stage.listed()
    stage.tell(AskApplication())
    assert isinstance(stage.offered(), ApplicationNotOffered)
    sandbox.faults.remove(outage)
    stage.pass_until(lambda: stage.upgrades)
    assert stage.upgrades == [GitHubReachable()]


def test_registrations_go_before_the_look_for_an_application(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    sandbox.faults.add(Fault("GET", "*/actions/runners", delay_s=0.3))
    stage.tell(ListRegistrations(1))  # under way while the others come to wait
    stage.tell(AskApplication())
    stage.tell(stage.order())
    eventually(lambda: stage.upgrades)  # while no time passes: none has waited for long
    purposes = [call.path.rpartition("/")[2] for call in sandbox.calls()]
    assert purposes == ["runners", "generate-jitconfig", "downloads"]


def test_an_offer_of_a_place_that_was_left_meanwhile_is_not_used(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    sandbox.faults.add(Fault(path_pattern="*/downloads", delay_s=0.3))
    stage.tell(AskApplication())
    stage.world.reconfigure(path="acme/demo")
    stage.tell(ConfigChanged(stage.world.parts.settings.config))
    moved = "the place of registration has changed meanwhile"
    assert stage.offered() == ApplicationNotOffered(moved, outage=True)


def test_a_registration_that_nobody_waits_for_is_deleted(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    deleted = watch(sandbox, "DELETE")
    stage.tell(stage.order("fleet-bbbbbbbb"))
    eventually(lambda: sandbox.faults.hits(deleted) == 1)
    eventually(lambda: sandbox.runners() == ())


def test_a_busy_runner_is_not_deleted(stage: Stage, sandbox: SandboxGitHub) -> None:
    sandbox.faults.add(Fault(method="DELETE", status=422))
    stage.tell(stage.deletion(5, NAME))
    event = stage.heard().event
    assert isinstance(event, lifecycle.UnregistrationRefused)
    assert event.busy
    eventually(lambda: stage.world.shown("tokens")[0] == "ready")


def test_a_runner_is_deleted_once_however_often_it_is_asked_for(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    stage.tell(stage.order())
    made = stage.heard()
    deleted = sandbox.faults.add(Fault("DELETE", delay_s=0.2, times=None))
    for _ in range(3):
        stage.tell(stage.deletion(made.runner_id, NAME))
    assert stage.heard() == Happened(lifecycle.Unregistered())
    assert sandbox.faults.hits(deleted) == 1
    assert stage.runner == []


def test_a_runner_that_can_not_be_seen_is_not_taken_for_deleted(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    """GitHub says 404, too, to a token that has lost its rights."""
    stage.tell(stage.order())
    made = stage.heard()
    sandbox.faults.add(Fault(path_pattern="*/actions/runners*", status=404, times=None))
    stage.tell(stage.deletion(made.runner_id, NAME))
    event = stage.heard().event
    assert isinstance(event, lifecycle.UnregistrationRefused)
    assert not event.busy
    assert 'needs the permission "Self-hosted runners: ' in event.reason


def test_a_runner_that_is_gone_is_as_good_as_deleted(stage: Stage) -> None:
    stage.tell(stage.deletion(4711, NAME))
    assert stage.heard() == Happened(lifecycle.Unregistered())


def test_a_registration_goes_before_the_next_page_of_a_listing(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    for n in range(230):
        register(sandbox, f"other-{n}")
    first_page = sandbox.faults.add(Fault("GET", "*/actions/runners", delay_s=0.5))
    stage.tell(ListRegistrations(1))
    eventually(lambda: sandbox.faults.hits(first_page) == 1)
    stage.tell(stage.order())
    stage.heard()
    assert stage._of(RegistrationsListed) == []
    assert len(stage.listed().registrations) == 231


def test_a_listing_that_has_not_changed_costs_nothing(stage: Stage, sandbox: SandboxGitHub) -> None:
    stage.tell(stage.order())
    stage.heard()
    stage.tell(ListRegistrations(1))
    first = stage.listed()
    stage.tell(ListRegistrations(2))
    stage.listed()  # what the first one cost is shown by now
    before = budget(stage)["core"]["remaining"]
    for ticket in range(3, 8):
        stage.tell(ListRegistrations(ticket))
        assert stage.listed().registrations == first.registrations
    assert budget(stage)["core"]["remaining"] == before


def test_one_call_is_made_at_a_time_whatever_is_asked_for(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    took_s = 0.05
    sandbox.faults.add(Fault(delay_s=took_s, times=None))
    stage.tell(stage.order())
    for number in range(4):
        stage.tell(ListRegistrations(number))
        stage.tell(stage.ahead(f"fleet-{number}"))
        stage.tell(stage.deletion(4000 + number, NAME))
    stage.pass_until(lambda: any(one.ticket == 3 for one in stage._of(RegistrationsListed)))
    stage.pass_until(lambda: len(sandbox.runners()) == 5)
    begun = sorted(call.at for call in sandbox.calls())
    assert len(begun) >= 6
    apart = [(later - earlier).total_seconds() for earlier, later in pairwise(begun)]
    assert min(apart) >= took_s


def budget(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.world.details("tokens")["budget"]
    return found


def register(sandbox: SandboxGitHub, name: str) -> None:
    answer = requests.post(
        f"{sandbox.url}/orgs/acme/actions/runners/generate-jitconfig",
        json={"name": name, "runner_group_id": 1, "labels": ["x"]},
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=10,
    )
    assert answer.status_code == 201


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


def test_no_secret_is_logged(stage: Stage, sandbox: SandboxGitHub) -> None:
    stage.tell(stage.order())
    encoded = stage.heard().encoded
    sandbox.faults.add(Fault(drop_connection=True, times=None))
    stage.tell(stage.order())
    stage.heard()
    logged = "".join(stage.world.logged)
    assert logged
    assert TOKEN not in logged
    assert encoded not in logged


def test_a_registration_made_ahead_is_given_out_once(stage: Stage, sandbox: SandboxGitHub) -> None:
    watched = sandbox.faults.add(
        Fault(path_pattern="*/generate-jitconfig", delay_s=0.001, times=None)
    )
    stage.tell(stage.ahead(NAME))
    eventually(lambda: [runner.name for runner in sandbox.runners()] == [NAME])
    stage.tell(stage.order())
    made = stage.heard()
    assert [runner.id for runner in sandbox.runners()] == [made.runner_id]
    assert sandbox.faults.hits(watched) == 1
    assert sandbox.faults.hits(watched) == 1


def test_what_could_not_be_registered_ahead_is_registered_when_asked_for(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    sandbox.faults.add(Fault(path_pattern="*/generate-jitconfig", status=500, times=1))
    stage.tell(stage.ahead(NAME))
    stage.tell(stage.order())
    assert isinstance(stage.heard(), JitConfigMade)


def test_registrations_made_ahead_in_vain_are_deleted(stage: Stage, sandbox: SandboxGitHub) -> None:
    stage.tell(stage.ahead("fleet-bbbbbbbb"))
    stage.tell(stage.ahead("fleet-cccccccc"))
    eventually(lambda: len(sandbox.runners()) == 2)
    stage.tell(ForgetAhead())
    eventually(lambda: not sandbox.runners())


def test_a_registration_made_ahead_that_the_reconcile_deletes_is_not_given_out(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    stage.tell(stage.ahead(NAME))
    eventually(sandbox.runners)
    stage.tell(ListRegistrations(1))
    (orphan,) = (one.id for one in stage.listed().registrations)  # its answer has come by now
    stage.tell(stage.deletion(orphan, NAME))
    assert stage.heard() == Happened(lifecycle.Unregistered())
    stage.tell(stage.order())
    assert stage.heard().runner_id != orphan


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
    assert budget(stage) == {}


def test_calls_kept_for_runners_are_not_spent_on_listings_but_a_gate_opens_by_them(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    left = {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "200"}
    left["x-ratelimit-reset"] = str(int(time.time()) + 3000)
    sandbox.faults.add(Fault("DELETE", status=502, headers=left, times=None))
    stage.tell(stage.deletion(5, NAME))
    assert isinstance(stage.heard().event, lifecycle.UnregistrationRefused)
    stage.pass_until(lambda: (gate := stage.gate()) and gate.open)
    stage.tell(stage.order())
    assert isinstance(stage.heard(), JitConfigMade)


def test_a_call_answered_drop_by_drop_is_given_up(stage: Stage, sandbox: SandboxGitHub) -> None:
    drip = sandbox.faults.add(Fault("GET", "*/actions/runners", drip_s=8))
    stage.tell(ListRegistrations(1))
    eventually(lambda: sandbox.faults.hits(drip) == 1)
    stage.world.clock.advance(61)
    listed = stage.listed()  # asked again, as reads are
    assert (listed.error, listed.registrations) == ("", ())


def test_what_became_of_a_lost_registration_is_looked_up_though_all_others_fail(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    sandbox.faults.add(
        Fault("POST", "*/generate-jitconfig", drop_connection=True, after_processing=True)
    )
    sandbox.faults.add(Fault("GET", "*/actions/runners", status=502, times=2))
    stage.tell(stage.order())
    stage.tell(stage.order("fleet-0"))
    made = stage.heard()
    assert isinstance(made, JitConfigMade)
    stage.pass_until(lambda: [one.id for one in sandbox.runners()] == [made.runner_id])
