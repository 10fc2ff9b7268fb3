"""A fleet moves to another place of registration while it runs, or while no daemon did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_world import World
from github_fleet import GitHubFleet

from sandbox.github import Fault, JobRequest, SandboxGitHub
from supervisor.gateways.lxd import LxdUnavailable
from supervisor.lifecycle import InstanceGone, Job, JobFinished, JobStarted
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.fleet import Reconcile
from supervisor.messages.runner import Happened
from supervisor.runners.naming import new_runner_name

TOKEN = "github_pat_madeup"
OTHER_TOKEN = "github_pat_another"
HOUR_S = 3600.0

Make = Callable[..., SandboxGitHub]


@pytest.fixture
def make_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    tarball = tmp_path / "actions-runner-linux-x64-2.300.0.tar.gz"
    tarball.write_bytes(b"an application")
    servers: list[SandboxGitHub] = []

    def make(token: str = TOKEN) -> SandboxGitHub:
        server = SandboxGitHub(org="acme", token=token, tarball=tarball)
        server.start()
        servers.append(server)
        server.add_repository("acme/demo")
        server.add_organization("other")
        return server

    yield make
    for server in servers:
        server.stop()


class Moving:
    """A fleet of two, and the GitHubs that it may be registered at."""

    def __init__(self, world: World, sandbox: SandboxGitHub, **config: Any) -> None:
        self.world = world
        self.sandbox = sandbox
        world.base.update({"github-url": sandbox.url, "token": TOKEN, "path": "acme"})
        # No program runs these runners: they are never online, but for those made so.
        patience = {"offline": "9d", "ready": "9d"}
        self.set(virtual_machines=2, limits=patience, **config)
        self.fleet = GitHubFleet(world)
        self.pass_until = self.fleet.pass_until

    def set(self, **changes: Any) -> None:
        self.world.base.update({key.replace("_", "-"): value for key, value in changes.items()})
        self.world.reconfigure()

    def move(self, **changes: Any) -> None:
        """Change the configuration, as a reload does."""
        self.set(**changes)
        for name in ("tokens", "fleet"):
            self.world.tell(name, ConfigChanged(self.world.parts.settings.config))

    def registered(self, path: str, sandbox: SandboxGitHub | None = None) -> set[str]:
        runners = (sandbox or self.sandbox).runners()
        return {runner.name for runner in runners if runner.scope.name == path}

    def make_busy(self, name: str) -> None:
        """Let a runner take a job, and its guest report that."""
        (found,) = [runner for runner in self.sandbox.runners() if runner.name == name]
        self.sandbox.set_online(found.id)
        self.sandbox.queue(JobRequest(script="true", repository="acme/demo"))
        assert self.sandbox.hand_out(found.id)
        self.world.tell(name, Happened(JobStarted(Job(repository="acme/demo"))))
        self.pass_until(lambda: self.stage(name) == "busy")

    def stage(self, name: str) -> str:
        entry = self.world.parts.roster.get(name)
        return str(entry.life.stage) if entry else ""

    def reconcile(self) -> None:
        """Have both sides compared."""
        before = self.world.details("fleet")["reconciles"]
        self.world.tell("fleet", Reconcile("a test"))
        self.pass_until(lambda: self.world.details("fleet")["reconciles"] > before)

    def start_full(self) -> list[str]:
        self.fleet.fill(2)
        return self.world.names()

    def is_whole_at(self, path: str, sandbox: SandboxGitHub | None = None) -> bool:
        """Tell whether two runners are registered there, and wait for jobs."""
        self.fleet.report_ready()
        there = self.registered(path, sandbox)
        return len(there) == 2 and all(self.stage(name) in {"ready", "idle"} for name in there)


@pytest.fixture
def moving(make_world: Callable[..., World], make_sandbox: Make) -> Moving:
    return Moving(make_world(), make_sandbox())


@pytest.mark.parametrize("path", ["other", "acme/demo"])
def test_idle_runners_move_and_a_busy_one_ends_its_job_where_it_is(
    moving: Moving, path: str
) -> None:
    busy, idle = moving.start_full()
    moving.make_busy(busy)
    moving.move(path=path)
    moving.pass_until(lambda: moving.is_whole_at(path))
    moving.pass_until(lambda: moving.registered("acme") == {busy})
    assert moving.stage(idle) == ""
    for _ in range(4):  # the lists of the new place know nothing of it
        moving.world.clock.advance(HOUR_S / 4)
        moving.reconcile()
        assert moving.stage(busy) == "busy"
    assert busy in moving.world.lxd.there
    moving.world.tell(busy, Happened(JobFinished()))
    moving.world.lxd.power_off(busy)
    moving.world.tell(busy, Happened(InstanceGone()))
    moving.pass_until(lambda: moving.stage(busy) == "")
    moving.pass_until(lambda: moving.is_whole_at(path))


def test_a_group_of_the_same_name_has_its_own_number_at_each_place(moving: Moving) -> None:
    """By the former place's number, runners would be open to what another group is open to."""
    sandbox = moving.sandbox
    former = sandbox.add_group("acme", "gpu")
    assert sandbox.add_group("other", "everybody").id == former.id
    group = sandbox.add_group("other", "gpu")
    moving.set(group="gpu")
    moving.start_full()
    moving.move(path="other")
    moving.pass_until(lambda: moving.is_whole_at("other"))
    there = [runner for runner in sandbox.runners() if runner.scope.name == "other"]
    assert {runner.group_id for runner in there} == {group.id}


def test_a_busy_runner_that_may_go_is_kept_by_the_place_that_it_is_registered_at(
    moving: Moving,
) -> None:
    """Its job's signal is lost: only the former place knows that it is busy."""
    busy, _ = moving.start_full()
    (found,) = [runner for runner in moving.sandbox.runners() if runner.name == busy]
    moving.sandbox.set_online(found.id)
    moving.sandbox.queue(JobRequest(script="true", repository="acme/demo"))
    assert moving.sandbox.hand_out(found.id)
    moving.move(path="other")
    moving.pass_until(lambda: moving.stage(busy) == "busy")
    moving.pass_until(lambda: moving.is_whole_at("other"))
    assert moving.registered("acme") == {busy}


def test_a_fleet_moves_to_another_github_and_numbers_are_not_mixed_up(
    moving: Moving, make_sandbox: Make
) -> None:
    there = make_sandbox(OTHER_TOKEN)
    busy, _ = moving.start_full()
    moving.make_busy(busy)
    moving.move(github_url=there.url, token=OTHER_TOKEN)
    moving.pass_until(lambda: moving.is_whole_at("acme", there))
    moving.pass_until(lambda: moving.registered("acme") == {busy})
    here, away = ({r.id for r in server.runners()} for server in (moving.sandbox, there))
    moving.world.clock.advance(HOUR_S)
    moving.reconcile()
    moving.reconcile()
    assert {r.id for r in moving.sandbox.runners()} == here
    assert {r.id for r in there.runners()} == away
    assert moving.stage(busy) == "busy"


def test_path_and_token_change_together_and_the_former_place_is_left_with_its_own(
    moving: Moving,
) -> None:
    moving.start_full()
    moving.sandbox.add_token(OTHER_TOKEN)
    moving.move(path="other", token=OTHER_TOKEN)
    moving.pass_until(lambda: moving.is_whole_at("other") and not moving.registered("acme"))


def test_where_the_former_credential_is_refused_the_present_one_is_used(moving: Moving) -> None:
    moving.start_full()
    moving.sandbox.add_token(OTHER_TOKEN)
    moving.sandbox.revoke(TOKEN)
    moving.move(path="other", token=OTHER_TOKEN)
    moving.pass_until(lambda: moving.is_whole_at("other") and not moving.registered("acme"))


def test_a_token_file_that_is_replaced_with_the_path_leaves_the_former_place_its_token(
    make_world: Callable[..., World], make_sandbox: Make, tmp_path: Path
) -> None:
    sandbox, token_file = make_sandbox(), tmp_path / "token"
    token_file.touch(mode=0o600)
    token_file.write_text(TOKEN)
    moving = Moving(make_world(), sandbox, token=None, token_file=str(token_file))
    moving.start_full()
    sandbox.add_token("ghp_forRepositories", scopes=("repo",))
    token_file.write_text("ghp_forRepositories")
    moving.move(path="acme/demo")
    moving.pass_until(lambda: moving.is_whole_at("acme/demo") and not moving.registered("acme"))


def test_where_nobody_can_ask_any_more_idle_runners_go_on_their_own_word_and_busy_ones_stay(
    moving: Moving,
) -> None:
    busy, idle = moving.start_full()
    moving.make_busy(busy)
    moving.sandbox.faults.add(Fault(path_pattern="*/orgs/acme/*", status=404, times=None))
    moving.move(path="other")
    moving.pass_until(lambda: moving.stage(idle) == "", step=0.5)
    moving.pass_until(lambda: moving.is_whole_at("other"))
    assert idle not in moving.world.lxd.there
    assert idle in moving.registered("acme")
    warnings = [line for line in moving.world.logged if "can't be asked any more" in line]
    assert len(warnings) == 1
    assert "their registrations stay" in warnings[0]
    assert moving.world.details("tokens")["former_places"][f"{moving.sandbox.url}/acme"]
    assert moving.world.shown("tokens")[0] == "ready"
    moving.world.clock.advance(24 * HOUR_S)
    moving.reconcile()
    assert moving.stage(busy) == "busy"


def test_a_former_place_that_hangs_does_not_hold_up_the_new_one(
    moving: Moving, make_sandbox: Make
) -> None:
    there = make_sandbox(OTHER_TOKEN)
    busy, idle = moving.start_full()
    moving.make_busy(busy)
    hanging = Fault(path_pattern="*", delay_s=2, times=None)
    moving.sandbox.faults.add(hanging)
    moving.move(github_url=there.url, token=OTHER_TOKEN)
    moving.reconcile()
    moving.pass_until(lambda: len(moving.registered("acme", there)) >= 1)
    assert moving.stage(idle) == "retiring"
    moving.sandbox.faults.remove(hanging)
    moving.pass_until(lambda: moving.is_whole_at("acme", there))
    moving.pass_until(lambda: moving.registered("acme") == {busy})


def test_a_fleet_comes_back(moving: Moving) -> None:
    busy, _ = moving.start_full()
    moving.make_busy(busy)
    moving.move(path="other")
    moving.pass_until(lambda: moving.is_whole_at("other"))
    moving.move(path="acme")
    moving.pass_until(lambda: not moving.registered("other"))
    # The settings are those it was made from: it counts as one of the two again.
    moving.fleet.report_ready()
    moving.pass_until(lambda: len(moving.registered("acme")) == 2)
    assert busy in moving.registered("acme")
    assert moving.stage(busy) == "busy"


def test_a_change_there_and_back_at_once_replaces_nothing_that_waits_for_a_job(
    moving: Moving,
) -> None:
    before = moving.start_full()
    moving.world.is_guarded = False  # nobody is told anything that would have them look between
    moving.set(path="other")
    moving.world.is_guarded = True
    moving.move(path="acme")
    moving.reconcile()
    assert moving.world.names() == before
    assert moving.registered("acme") == set(before)


def test_another_credential_for_the_same_place_replaces_nothing(moving: Moving) -> None:
    before = moving.start_full()
    moving.sandbox.add_token(OTHER_TOKEN)
    moving.move(token=OTHER_TOKEN)
    moving.sandbox.revoke(TOKEN)
    moving.reconcile()
    moving.reconcile()
    assert moving.world.names() == before
    assert moving.registered("acme") == set(before)
    assert moving.world.shown("tokens")[0] == "ready"


def test_another_spelling_of_the_same_place_replaces_nothing(moving: Moving) -> None:
    before = moving.start_full()
    moving.move(path="ACME", github_url=f"{moving.sandbox.url}/api/v3/")
    moving.reconcile()
    assert moving.world.names() == before
    assert moving.registered("acme") == set(before)


def test_orphans_at_a_former_place_are_removed_and_then_it_is_forgotten(moving: Moving) -> None:
    moving.start_full()
    orphan = new_runner_name("fleet")
    moving.sandbox.add_runner("acme", orphan, ephemeral=True)
    moving.sandbox.add_runner("acme", "fleet-buildserver1")
    moving.move(path="other")
    moving.pass_until(lambda: moving.is_whole_at("other"))
    moving.pass_until(lambda: moving.registered("acme") == {"fleet-buildserver1"}, step=0.5)
    moving.reconcile()
    moving.pass_until(lambda: moving.world.details("tokens")["former_places"] == {})
    moving.sandbox.clear_calls()
    moving.reconcile()
    assert {call.path.split("/actions")[0] for call in moving.sandbox.calls()} == {"/orgs/other"}
    assert not [line for line in moving.world.logged if "nobody handles" in line]


def test_orphans_at_a_place_that_only_an_earlier_daemon_knew_are_removed(moving: Moving) -> None:
    """Nothing but its note tells of that place: no instance stands behind what is registered there.

    What is noted there outlives a daemon, and so does the place that is configured.
    """
    world, sandbox = moving.world, moving.sandbox
    former = f"{sandbox.url}/acme/demo"
    world.parts.places.add(former)
    sandbox.add_runner("acme/demo", new_runner_name("fleet"), ephemeral=True)
    moving.start_full()
    moving.pass_until(lambda: not moving.registered("acme/demo"), step=0.5)
    moving.reconcile()
    moving.pass_until(lambda: moving.world.details("tokens")["former_places"] == {})
    assert world.parts.places.all() == {f"{sandbox.url}/acme"}


def test_a_place_that_is_left_stays_noted_until_nothing_is_there(moving: Moving) -> None:
    moving.start_full()
    url, notes = moving.sandbox.url, moving.world.parts.places
    moving.move(path="other")
    moving.pass_until(lambda: notes.all() == {f"{url}/acme", f"{url}/other"})
    moving.pass_until(lambda: moving.is_whole_at("other"))
    moving.pass_until(lambda: not moving.registered("acme"), step=0.5)
    moving.reconcile()
    moving.pass_until(lambda: notes.all() == {f"{url}/other"}, step=0.5)


def leave_instances(world: World, sandbox: SandboxGitHub, path: str = "acme") -> tuple[str, str]:
    """Leave two runners as an earlier daemon did: one at work, one waiting."""
    busy, idle = new_runner_name("fleet"), new_runner_name("fleet")
    for name, stage in ((busy, "busy"), (idle, "ready")):
        runner = sandbox.add_runner(path, name, ephemeral=True)
        world.lxd.put(
            name,
            installation="fleet",
            generation="of-that-place",
            stage=stage,
            runner_id=str(runner.id),
            place=f"{sandbox.url}/{path}",
        )
    return busy, idle


def test_a_path_that_changed_while_no_daemon_ran_moves_the_fleet(
    make_world: Callable[..., World], make_sandbox: Make
) -> None:
    world, sandbox = make_world(), make_sandbox()
    world.base.update({"github-url": sandbox.url, "path": "acme"})
    world.reconfigure()
    busy, idle = leave_instances(world, sandbox)
    moving = Moving(world, sandbox)
    moving.move(path="other")
    moving.pass_until(lambda: moving.is_whole_at("other"))
    moving.pass_until(lambda: moving.registered("acme") == {busy})
    assert idle not in world.lxd.there
    for _ in range(4):
        world.clock.advance(HOUR_S / 4)
        moving.reconcile()
    assert moving.stage(busy) == "busy"
    assert busy in world.lxd.there


def test_no_credential_is_shown_to_the_github_of_before_when_it_is_another(
    make_world: Callable[..., World], make_sandbox: Make
) -> None:
    world, former, sandbox = make_world(), make_sandbox(), make_sandbox(OTHER_TOKEN)
    world.base.update({"github-url": sandbox.url, "token": OTHER_TOKEN})
    world.reconfigure()
    busy, idle = leave_instances(world, former)
    moving = Moving(world, sandbox)
    moving.move(token=OTHER_TOKEN)
    moving.pass_until(lambda: world.details("tokens").get("former_places"))
    world.clock.advance(HOUR_S)
    moving.reconcile()
    moving.pass_until(lambda: idle not in world.lxd.there, step=1)
    moving.pass_until(lambda: moving.is_whole_at("acme"))
    assert former.calls() == ()
    assert busy in world.lxd.there


def test_a_job_that_began_while_no_daemon_listened_is_seen_in_the_guest(
    make_world: Callable[..., World], make_sandbox: Make
) -> None:
    world, former, sandbox = make_world(), make_sandbox(), make_sandbox(OTHER_TOKEN)
    world.base.update({"github-url": sandbox.url, "token": OTHER_TOKEN})
    world.reconfigure()
    _, unheard = leave_instances(world, former)
    world.lxd.diagnostics[unheard] = ("Runner_1-utc.log", "Worker_1-utc.log")
    moving = Moving(world, sandbox)
    moving.move(token=OTHER_TOKEN)
    moving.pass_until(lambda: moving.stage(unheard) == "busy", step=1)
    moving.pass_until(lambda: moving.is_whole_at("acme"))
    assert unheard in world.lxd.there


def test_a_guest_that_can_not_be_looked_into_is_not_taken_for_idle(
    make_world: Callable[..., World], make_sandbox: Make
) -> None:
    world, former, sandbox = make_world(), make_sandbox(), make_sandbox(OTHER_TOKEN)
    world.base.update({"github-url": sandbox.url, "token": OTHER_TOKEN})
    world.reconfigure()
    _, unknown = leave_instances(world, former)
    world.lxd.fail("output_of", *[LxdUnavailable("no agent")] * 100)
    moving = Moving(world, sandbox)
    moving.move(token=OTHER_TOKEN)
    moving.pass_until(lambda: world.lxd.count("output_of") == 3, step=1)
    assert unknown in world.lxd.there
