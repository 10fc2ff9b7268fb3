from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from fake_actors import APPLICATION, Inbox
from fake_github import PLACE
from fake_world import World
from loguru import logger
from waiting import eventually

from supervisor import lifecycle
from supervisor.actors.runner import Birth, Order
from supervisor.gateways.lxd import LxdError, LxdUnavailable
from supervisor.lifecycle import Job, Life, Seen, Stage
from supervisor.messages.fleet import RunnerChanged
from supervisor.messages.runner import Happened, Look
from supervisor.messages.tokens import InquireJob, JitConfigMade
from supervisor.runners import marks
from supervisor.runners.blueprints import blueprint_of
from supervisor.runners.marks import Marks
from supervisor.runners.roster import Entry, digest
from supervisor.supervision import (
    INFINITY,
    Change,
    ChildSpec,
    Crash,
    Restart,
    StartChild,
    Supervisor,
    SupervisorSpec,
)

MakeWorld = Callable[..., World]
NAME = "fleet-aaaaaaaa"


class Play:
    """One runner, and what the fleet hears of it."""

    def __init__(self, world: World, origin: Order | Marks | None = None) -> None:
        self.world = world
        self.heard: list[Any] = []
        system = world.system
        runners = SupervisorSpec(dynamic=True, intensity=1000, period=1)
        world.run(
            ChildSpec("fleet", lambda: Inbox.start(system, self.heard)),
            world.tokens(),
            ChildSpec("runners", partial(Supervisor.start, system, runners), shutdown=INFINITY),
        )
        blueprint = blueprint_of(world.parts.settings.config)
        origin = origin or Order(blueprint, "http://127.0.0.1:8642", APPLICATION)
        life = Life(Stage.REQUESTED, world.clock.now())
        digest_ = origin.signal_digest if isinstance(origin, Marks) else ""
        world.parts.roster.put(Entry(NAME, blueprint.generation, life, digest_))
        birth = Birth(system, world.parts, NAME, origin)
        spec = ChildSpec(NAME, birth, restart=Restart.TRANSIENT, shutdown=2)
        world.tell("runners", StartChild(spec))

    @property
    def stages(self) -> list[str]:
        lives = [m.life.stage.value for m in self.heard if isinstance(m, RunnerChanged)]
        return [stage for i, stage in enumerate(lives) if not i or lives[i - 1] != stage]

    def happens(self, *events: lifecycle.Event) -> None:
        for event in events:
            self.world.tell(NAME, Happened(event))

    def comes_to(self, stage: str) -> None:
        eventually(lambda: self.stages[-1:] == [stage])

    def ends(self) -> None:
        self.comes_to("deleted")
        eventually(lambda: not self.world.system.directory.alive(NAME))
        assert self.world.parts.roster.get(NAME) is None

    def rests(self) -> None:
        """Wait until the actor has done with its messages, and so has set its alarms."""
        eventually(lambda: self.world.waiting(NAME) == 0)

    def life(self) -> Life:
        entry = self.world.parts.roster.get(NAME)
        assert entry is not None
        return entry.life


def found(stage: str = "", *, running: bool = True, runner_id: int | None = 7) -> Marks:
    return Marks(Seen(running, stage, runner_id), "g", digest("token"))


def test_a_runner_lives_its_whole_life(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady(), lifecycle.Confirmed(busy=False))
    play.happens(lifecycle.JobStarted(Job(name="test")), lifecycle.JobFinished())
    play.comes_to("finished")
    recorded = play.world.lxd.there[NAME]
    eventually(lambda: play.world.lxd.count("update_config") == 2)
    assert recorded.status == "Running"
    play.happens(lifecycle.InstanceStopped(), lifecycle.InstanceGone())
    play.ends()
    assert play.stages == [
        "requested", "creating", "booting", "ready", "idle", "busy", "finished", "deleted",
    ]  # fmt: skip
    assert play.world.github.deleted == []
    assert play.world.lxd.count("delete") == 0


@pytest.fixture
def said() -> Iterator[list[str]]:
    """The lines of the log from INFO on."""
    lines: list[str] = []
    sink = logger.add(lines.append, level="INFO", format="{level} {message}")
    yield lines
    logger.remove(sink)


def test_a_life_that_goes_well_is_one_line_of_the_log_and_the_others_are_for_debugging(
    make_world: MakeWorld, said: list[str]
) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady(), lifecycle.Confirmed(busy=False))
    play.happens(lifecycle.JobStarted(Job("acme/demo", name="test")))
    play.happens(lifecycle.JobFinished(), lifecycle.GuestFinished(result="Succeeded"))
    play.comes_to("finished")
    play.world.clock.advance(62)
    play.happens(lifecycle.InstanceStopped(), lifecycle.InstanceGone())
    play.ends()
    play.world.feed.pass_on()
    why, job = "its job ended: Succeeded", "(acme/demo test)"
    assert said == [f"INFO deleted after 1m02s: {why} {job}\n"]
    waits = f"finished: {why}; waits for the guest to power off\n"
    assert {f"busy: runs its job {job}\n", waits} <= set(play.world.logged)


def test_one_that_fails_is_a_warning_in_the_log_with_the_reason(
    make_world: MakeWorld, said: list[str]
) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.happens(lifecycle.Failed("no network"), lifecycle.InstanceGone())
    play.ends()
    play.world.feed.pass_on()
    assert said == ["WARNING failed: no network\n", "INFO deleted after 0.0s: no network\n"]


def test_how_long_its_job_had_waited_is_asked_at_its_end_and_once(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    job = Job("acme/demo", run_id="7")
    play.happens(lifecycle.GuestReady(), lifecycle.JobStarted(job), lifecycle.JobFinished())
    play.comes_to("finished")
    assert play.world.github.inquiries == []
    play.happens(lifecycle.InstanceGone())
    play.ends()
    eventually(lambda: play.world.github.inquiries)
    assert play.world.github.inquiries == [InquireJob(NAME, "acme/demo", "7", PLACE)]


def test_a_job_of_which_the_guest_has_said_too_little_is_not_asked_about(
    make_world: MakeWorld,
) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady(), lifecycle.JobStarted(Job("acme/demo")))
    play.happens(lifecycle.InstanceGone())
    play.ends()
    eventually(lambda: play.world.waiting("tokens") == 0)
    assert play.world.github.inquiries == []


def test_an_instance_carries_marks_and_secrets_where_they_belong(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    config = play.world.lxd.requests[NAME]["config"]
    assert marks.are_of("fleet", config)
    seen = marks.read("Running", config)
    assert seen.seen.runner_id == play.life().runner_id
    script = config["cloud-init.user-data"]
    assert "c2VjcmV0" in script
    assert APPLICATION.sha256 in script
    assert f"/v1/runners/{NAME}/signals" in script
    entry = play.world.parts.roster.get(NAME)
    assert entry is not None
    assert entry.signal_digest == seen.signal_digest
    assert (entry.policy, seen.policy) == ("off", "off")
    assert entry.made_at == seen.seen.created_at == play.world.clock.now()
    assert "c2VjcmV0" not in "".join(play.world.logged)
    assert all("c2VjcmV0" not in repr(message) for message in play.heard)


def test_of_one_that_was_taken_over_it_is_known_whom_it_asks_and_when_it_was_made(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    made_at = world.clock.now() - timedelta(hours=1)
    seen = Seen(running=True, stage="busy", runner_id=7, created_at=made_at)
    play = Play(world, Marks(seen, "g", digest("token"), policy="builtin"))
    play.comes_to("busy")
    entry = world.parts.roster.get(NAME)
    assert entry is not None
    assert (entry.policy, entry.made_at) == ("builtin", made_at)


def test_a_job_that_the_policy_has_not_let_run_is_ended_and_its_logs_kept(
    make_world: MakeWorld,
) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady(), lifecycle.JobStarted(Job(name="test")))
    play.comes_to("busy")
    play.happens(lifecycle.JobUnchecked())
    play.ends()
    kept = play.world.parts.logs.read(NAME)
    assert kept is not None
    assert kept.reason == "runs a job that the policy has not let run"


def test_a_guest_is_told_of_the_proxies_and_nobody_else_of_their_password(
    make_world: MakeWorld,
) -> None:
    world = make_world(https_proxy="http://user:pa%40ss@proxy:3128")
    world.lxd.consoles[NAME] = "pa@ss"
    play = Play(world)
    play.comes_to("booting")
    script = world.lxd.requests[NAME]["config"]["cloud-init.user-data"]
    assert "https_proxy=http://user:pa%40ss@proxy:3128\n" in script
    # The document is taken back from a guest that is ready; its logs are read later.
    world.lxd.there[NAME].config.pop("cloud-init.user-data")
    play.happens(lifecycle.Failed("no disk"))
    play.ends()
    kept = world.parts.logs.read(NAME)
    assert kept is not None
    assert "[withheld]" in kept.text
    everything = kept.text + "".join(world.logged) + repr(play.heard)
    assert "pa%40ss" not in everything
    assert "pa@ss" not in everything


def test_a_refused_registration_ends_it_with_nothing_made(make_world: MakeWorld) -> None:
    world = make_world()
    world.github.refuses = "could not register: the name is taken"
    play = Play(world)
    play.ends()
    assert play.stages == ["requested", "failed", "deleted"]
    assert play.heard[-1].life.reason == "could not register: the name is taken"
    assert world.lxd.count("create") == 0


def test_a_failed_creation_removes_what_is_left_and_the_registration(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    world.lxd.fail("create", LxdError("the disk is full"))
    play = Play(world)
    play.ends()
    assert "failed" in play.stages
    assert play.heard[-1].life.reason == "the disk is full"
    assert world.lxd.count("delete") == 1
    eventually(lambda: world.github.deleted == [NAME])


def test_a_failed_start_removes_the_instance(make_world: MakeWorld) -> None:
    world = make_world()
    world.lxd.fail("start", LxdError("no address"))
    play = Play(world)
    play.ends()
    assert world.lxd.there == {}
    eventually(lambda: world.github.registered == {})


def test_a_failed_removal_is_tried_again_and_counted(make_world: MakeWorld) -> None:
    world = make_world()
    world.lxd.fail("start", LxdError("no address"))
    world.lxd.fail("delete", LxdError("it is busy"), LxdError("it is busy"))
    play = Play(world)
    eventually(lambda: play.life().removal_failures == 1)
    assert play.life().reason == "no address; removal failed: it is busy"
    play.rests()
    world.clock.advance(15)
    eventually(lambda: play.life().removal_failures == 2)
    assert play.life().reason == "no address; removal failed: it is busy"
    play.rests()
    world.clock.advance(29)
    assert world.lxd.count("delete") == 2
    world.clock.advance(1)
    play.ends()
    assert world.lxd.there == {}


def test_a_removal_waits_for_the_creation_that_is_under_way(make_world: MakeWorld) -> None:
    world = make_world()
    gate = world.lxd.hold("create")
    play = Play(world)
    eventually(lambda: world.lxd.count("create") == 1)
    play.happens(lifecycle.DeletionOrdered("not wanted any more"))
    play.comes_to("finished")
    assert world.lxd.count("delete") == 0
    gate.set()
    play.ends()
    assert world.lxd.there == {}
    assert world.lxd.count("start") == 0


def test_a_crash_during_a_removal_removes_nothing_twice(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    lxd = play.world.lxd
    gate = lxd.hold("delete")
    play.happens(lifecycle.DeletionOrdered("not wanted any more"))
    eventually(lambda: lxd.count("delete") == 1)
    play.world.tell(NAME, Crash("a test"))
    eventually(lambda: play.world.shown(NAME) == ("unknown", "is being looked at"))
    # What LXD is still doing comes first: the look would show what is gone a moment later.
    assert lxd.count("instance") == 0
    gate.set()
    play.ends()
    assert lxd.count("delete") == 1
    assert lxd.there == {}


def test_a_registration_that_comes_too_late_is_let_go(make_world: MakeWorld) -> None:
    world = make_world()
    world.github.silent = True
    gate = world.lxd.hold("delete")
    play = Play(world)
    eventually(lambda: world.github.asked == [NAME])
    play.happens(lifecycle.DeletionOrdered("not wanted any more"))
    play.comes_to("finished")
    world.tell(NAME, JitConfigMade(77, "c2VjcmV0", PLACE))
    eventually(lambda: world.github.deleted == [NAME])
    gate.set()
    play.ends()
    assert world.lxd.count("create") == 0


@pytest.mark.parametrize(
    ("stage", "leads_to"),
    [("requested", "failed"), ("creating", "retiring"), ("booting", "retiring")],
)
def test_a_stage_that_takes_too_long_ends_the_runner(
    make_world: MakeWorld, stage: str, leads_to: str
) -> None:
    world = make_world()
    gate = None
    if stage == "requested":
        world.github.silent = True
    elif stage == "creating":
        gate = world.lxd.hold("create")
    play = Play(world)
    play.comes_to(stage)
    world.clock.advance(599)
    assert play.stages[-1] == stage
    world.clock.advance(2)
    eventually(lambda: leads_to in play.stages)
    if gate:
        gate.set()
    play.ends()
    assert play.heard[-1].life.reason.startswith("took too long: waits for ")


def test_a_job_may_run_as_long_as_the_limit_and_no_longer(make_world: MakeWorld) -> None:
    play = Play(make_world(limits={"busy": "1h"}))
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady(), lifecycle.JobStarted(Job(name="test")))
    play.comes_to("busy")
    play.world.clock.advance(3500)
    play.happens(lifecycle.Confirmed(busy=True))
    assert play.life().stage is Stage.BUSY
    play.world.clock.advance(101)
    play.ends()


def test_a_job_has_no_more_time_because_its_runner_was_taken_over(make_world: MakeWorld) -> None:
    world = make_world(limits={"busy": "1h"})
    world.lxd.put(NAME, installation="fleet")
    began = world.clock.now() - timedelta(minutes=40)
    busy = found("busy")
    play = Play(world, replace(busy, seen=replace(busy.seen, since=began)))
    play.comes_to("busy")
    world.clock.advance(20 * 60 - 1)
    assert play.life().stage is Stage.BUSY
    world.clock.advance(2)
    play.ends()


def test_an_idle_runner_may_wait_for_ever(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady())
    play.comes_to("ready")
    play.world.clock.advance(86400)
    assert play.life().stage is Stage.READY


def test_a_busy_runner_that_was_ordered_away_stays(make_world: MakeWorld) -> None:
    world = make_world()
    world.github.busy.add(NAME)
    play = Play(world, found("ready"))
    play.comes_to("ready")
    play.happens(lifecycle.DeletionOrdered("its settings are out of date"))
    play.comes_to("busy")
    assert play.stages[-2:] == ["retiring", "busy"]
    assert world.lxd.count("delete") == 0


def test_a_stage_that_could_not_be_recorded_is_no_failure(make_world: MakeWorld) -> None:
    world = make_world()
    world.lxd.fail("update_config", LxdUnavailable("LXD is gone"))
    play = Play(world)
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady())
    eventually(lambda: any("could not record the stage" in line for line in world.logged))
    assert play.life().stage is Stage.READY


def holds_secrets(world: World) -> bool:
    return "cloud-init.user-data" in world.lxd.there[NAME].config


def start_another(world: World) -> None:
    """Have LXD be busy with another runner's start."""
    life = Life(Stage.CREATING, world.clock.now())
    world.parts.roster.put(Entry("fleet-bbbbbbbb", "g", life))


def test_what_a_guest_has_taken_leaves_lxd(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    assert holds_secrets(play.world)
    play.happens(lifecycle.GuestReady(), lifecycle.Confirmed(busy=False))
    eventually(lambda: not holds_secrets(play.world))
    assert play.world.lxd.count("update_config") == 1


def test_while_others_start_secrets_leave_lxd_a_little_later(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    start_another(play.world)
    play.happens(lifecycle.GuestReady())
    play.comes_to("ready")
    assert play.world.lxd.count("update_config") == 0
    play.world.clock.advance(5)
    eventually(lambda: not holds_secrets(play.world))


def test_a_job_that_starts_first_takes_the_secrets_out_at_once_and_once(
    make_world: MakeWorld,
) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    start_another(play.world)
    play.happens(lifecycle.GuestReady(), lifecycle.JobStarted(Job(name="test")))
    eventually(lambda: not holds_secrets(play.world))
    play.world.clock.advance(6)
    play.happens(lifecycle.Confirmed(busy=True))
    play.happens(lifecycle.JobFinished())
    play.comes_to("finished")
    assert play.world.lxd.count("update_config") == 1


def test_a_record_that_was_put_off_outlives_a_retirement_that_failed(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    start_another(play.world)
    play.happens(lifecycle.GuestReady())
    play.comes_to("ready")
    play.world.github.keeps = "GitHub answered 500"
    play.happens(lifecycle.DeletionOrdered("not wanted any more"))
    eventually(lambda: play.stages[-2:] == ["retiring", "ready"])
    assert holds_secrets(play.world)
    play.world.clock.advance(5)
    eventually(lambda: not holds_secrets(play.world))


def test_secrets_that_lxd_did_not_let_go_are_taken_out_later(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.world.lxd.fail("update_config", *[LxdUnavailable("LXD is gone")] * 2)
    play.happens(lifecycle.GuestReady())
    for tries in (1, 2):
        eventually(lambda tries=tries: _failed_records(play.world) == tries)
        assert holds_secrets(play.world)
        play.world.clock.advance(30)
    eventually(lambda: not holds_secrets(play.world))
    play.world.clock.advance(300)
    assert play.world.lxd.count("update_config") == 3


def _failed_records(world: World) -> int:
    return sum("could not record the stage" in line for line in world.logged)


@pytest.mark.parametrize("stage", ["ready", "busy"])
def test_secrets_that_an_earlier_daemon_left_are_taken_out(
    make_world: MakeWorld, stage: str
) -> None:
    world = make_world()
    world.lxd.put(NAME, installation="fleet", stage=stage, runner_id="7")
    config = {**world.lxd.there[NAME].config, "cloud-init.user-data": "#!/bin/sh"}
    world.lxd.there[NAME] = replace(world.lxd.there[NAME], config=config)
    Play(world, marks.read("Running", config))
    eventually(lambda: not holds_secrets(world))
    assert world.lxd.there[NAME].config[f"{marks.PREFIX}stage"] == stage


def test_a_runner_whose_actor_crashed_is_taken_over_from_lxd(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    before = play.world.parts.roster.get(NAME)
    play.happens(lifecycle.GuestReady())
    eventually(lambda: play.world.lxd.count("update_config") == 1)
    play.world.tell(NAME, Crash("a test"))
    eventually(lambda: play.world.lxd.count("instance") == 1)
    eventually(lambda: play.life().reason == "taken over")
    assert play.life().stage is Stage.READY
    after = play.world.parts.roster.get(NAME)
    assert before
    assert after
    assert after.signal_digest == before.signal_digest
    assert after.life.runner_id == before.life.runner_id
    assert play.world.lxd.count("create") == 1


def test_what_a_guest_says_while_it_is_looked_at_is_not_lost(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    gate = play.world.lxd.hold("instance")
    play.world.tell(NAME, Crash("a test"))
    eventually(lambda: play.world.lxd.count("instance") == 1)
    play.happens(lifecycle.GuestReady(), lifecycle.JobStarted(Job(name="test")))
    gate.set()
    play.comes_to("busy")


def test_a_look_at_an_lxd_that_is_down_is_repeated(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.world.lxd.fail("instance", LxdUnavailable("LXD is gone"))
    play.world.tell(NAME, Crash("a test"))
    eventually(lambda: play.world.shown(NAME) == ("unknown", "LXD is gone"))
    play.world.clock.advance(2)
    eventually(lambda: play.life().reason == "taken over")


def test_looks_that_fail_do_not_pile_up(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    lxd = play.world.lxd
    lxd.fail("instance", *[LxdUnavailable("LXD is gone")] * 4)
    for looks in range(1, 5):
        for _ in range(5):  # each reconcile wishes for one
            play.world.tell(NAME, Look())
        eventually(lambda looks=looks: lxd.count("instance") == looks)
        eventually(lambda: play.world.waiting(NAME) == 0)
        play.world.clock.advance(2)

    def looks_anew() -> bool:
        play.world.tell(NAME, Look())
        return lxd.count("instance") > 5

    eventually(looks_anew)


def test_a_crash_before_the_instance_was_made_leaves_nothing(make_world: MakeWorld) -> None:
    world = make_world()
    world.github.silent = True
    play = Play(world)
    eventually(lambda: world.github.asked == [NAME])
    world.tell(NAME, Crash("a test"))
    play.ends()
    assert play.stages[-1] == "deleted"
    assert world.lxd.there == {}


def test_one_that_does_not_say_where_it_is_registered_is_at_the_configured_place_for_good(
    make_world: MakeWorld,
) -> None:
    play = Play(make_world(), found("ready"))
    play.world.lxd.put(NAME, installation="fleet", stage="ready", runner_id="7", place="")
    play.comes_to("ready")
    noted = f"{marks.PREFIX}place"
    eventually(lambda: play.world.lxd.there[NAME].config.get(noted) == PLACE)
    play.world.reconfigure(path="other")
    play.world.tell(NAME, Crash("a test"))
    eventually(lambda: play.world.lxd.count("instance") == 1)
    play.happens(lifecycle.DeletionOrdered("the path has changed"))
    play.ends()
    assert play.world.github.deleted_at == [PLACE]


def test_a_runner_is_let_go_where_it_is_registered(make_world: MakeWorld) -> None:
    there = "https://github.com/other/project"
    play = Play(make_world(), replace(found("ready"), place=there))
    play.world.lxd.put(NAME, installation="fleet", stage="ready", runner_id="7", place=there)
    play.comes_to("ready")
    play.happens(lifecycle.DeletionOrdered("the path has changed"))
    play.ends()
    assert play.world.github.deleted_at == [there]


def test_a_runner_whose_actor_keeps_crashing_is_let_go(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady())
    eventually(lambda: play.world.lxd.count("update_config") == 1)
    for crashes in range(1, 4):
        play.world.tell(NAME, Crash("a test"))
        eventually(lambda crashes=crashes: play.world.lxd.count("instance") == crashes)
    play.ends()
    assert play.heard[-1].life.reason == "its actor crashed 3 times"
    assert play.world.lxd.there == {}


def test_an_order_that_waits_for_githubs_number_outlives_the_actor(make_world: MakeWorld) -> None:
    play = Play(make_world(), found("ready", runner_id=None))
    play.world.lxd.put(NAME, installation="fleet", stage="ready")
    play.comes_to("ready")
    play.happens(lifecycle.DeletionOrdered("flushed by order", stands=True))
    eventually(lambda: play.life().ordered_away)
    play.world.tell(NAME, Crash("a test"))
    eventually(lambda: play.world.lxd.count("instance") == 1)
    play.happens(lifecycle.RegistrationFound(7))
    play.ends()
    assert play.heard[-1].life.reason == "flushed by order"


def test_a_busy_runner_whose_actor_keeps_crashing_keeps_its_job(make_world: MakeWorld) -> None:
    play = Play(make_world(), found("busy"))
    play.world.lxd.put(NAME, installation="fleet", stage="busy", runner_id="7")
    play.comes_to("busy")
    for crashes in range(1, 5):
        play.world.tell(NAME, Crash("a test"))
        eventually(lambda crashes=crashes: play.world.lxd.count("instance") == crashes)
    play.comes_to("busy")
    assert play.world.lxd.count("delete") == 0


def test_a_fault_of_ours_in_the_work_restarts_the_runners_actor(make_world: MakeWorld) -> None:
    world = make_world()
    world.lxd.fail("start", RuntimeError("a bug"))
    play = Play(world)
    play.ends()  # found stopped, and removed
    assert world.lxd.there == {}


@pytest.mark.parametrize(
    ("marks_", "stage"),
    [(found("busy"), "busy"), (found("ready"), "ready"), (found(), "booting")],
)
def test_what_was_found_is_taken_over_at_its_stage(
    make_world: MakeWorld, marks_: Marks, stage: str
) -> None:
    play = Play(make_world(), marks_)
    play.comes_to(stage)
    assert play.stages == [stage]
    assert play.world.parts.roster.recognises(NAME, "token")


def test_what_was_found_stopped_is_removed_with_its_registration(make_world: MakeWorld) -> None:
    world = make_world()
    world.lxd.put(NAME, "Stopped", installation="fleet")
    play = Play(world, found(running=False))
    play.ends()
    assert world.lxd.there == {}
    eventually(lambda: world.github.deleted == [NAME])


def test_an_actor_that_is_stopped_leaves_its_instance_alone(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.world.system.stop()
    assert play.world.lxd.count("delete") == 0
    assert list(play.world.lxd.there) == [NAME]


def test_events_after_its_end_reach_nobody(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.happens(lifecycle.InstanceGone())
    play.ends()
    assert not play.world.system.directory.tell(NAME, Happened(lifecycle.GuestReady()))
    assert play.world.parts.roster.get(NAME) is None


def test_a_failed_guests_logs_are_kept_before_it_goes(make_world: MakeWorld) -> None:
    world = make_world()
    world.lxd.consoles[NAME] = "boots"
    play = Play(world)
    play.comes_to("booting")
    play.happens(lifecycle.Failed("the guest says: no disk"))
    play.ends()
    calls = [call for call, _ in world.lxd.calls]
    assert calls.index("console_log") < calls.index("output_of") < calls.index("delete")
    (kept,) = world.parts.logs.listing()
    assert (kept.runner, kept.reason) == (NAME, "the guest says: no disk")
    assert any(f"supervisor-cli logs {NAME}" in line for line in world.logged)


def test_a_guest_that_hangs_while_its_logs_are_read_delays_nobody_else(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    play = Play(world)
    play.comes_to("booting")
    reading = world.lxd.hold("output_of")
    play.happens(lifecycle.Failed("no disk"))
    eventually(lambda: world.lxd.count("output_of") == 1)
    play.comes_to("failed")
    assert world.lxd.count("delete") == 0
    reading.set()
    play.ends()
    assert world.lxd.there == {}


def test_logs_that_can_not_be_kept_are_one_warning_and_no_obstacle(make_world: MakeWorld) -> None:
    world = make_world()
    world.state.write_text("in the way of the directory")
    world.lxd.consoles[NAME] = "boots"
    play = Play(world)
    play.comes_to("booting")
    play.happens(lifecycle.Failed("no disk"))
    play.ends()
    assert len([line for line in world.logged if "the guest's logs are lost" in line]) == 1
    assert world.lxd.there == {}


def test_a_runner_that_is_ordered_away_leaves_no_logs(make_world: MakeWorld) -> None:
    world = make_world()
    world.lxd.consoles[NAME] = "boots"
    play = Play(world)
    play.comes_to("booting")
    play.happens(lifecycle.DeletionOrdered("too many", force=True))
    play.ends()
    assert world.parts.logs.listing() == []


def test_each_stage_of_a_runner_is_told_to_those_who_watch(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady(), lifecycle.Confirmed(busy=False))
    play.happens(lifecycle.JobStarted(Job("acme/demo", name="test")), lifecycle.JobFinished())
    play.happens(lifecycle.GuestFinished("0", "Succeeded"))
    play.happens(lifecycle.InstanceStopped(), lifecycle.InstanceGone())
    play.ends()
    told = [one for one in play.world.told if one.before != one.state]
    assert [one.before for one in told] == [
        "", "requested", "creating", "booting", "ready", "idle", "busy", "finished",
    ]  # fmt: skip
    assert [one.state for one in told[:-1]] == [one.before for one in told[1:]]
    assert (told[-1].state, told[-1].subject) == ("deleted", NAME)
    assert told[-1].details["job"]["result"] == "Succeeded"
    assert told[0].details["adopted"] is False


@pytest.mark.parametrize("set_by_s", [-7200, 7200])
def test_how_long_a_runner_was_where_it_was_is_told_though_the_time_of_day_was_set(
    make_world: MakeWorld, set_by_s: float
) -> None:
    world = make_world()
    play = Play(world)
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady())
    play.comes_to("ready")
    world.clock.advance(60)
    world.clock.set_by(set_by_s)
    play.happens(lifecycle.JobStarted(Job("acme/demo")))
    play.comes_to("busy")
    world.clock.advance(4)
    world.clock.set_by(set_by_s)
    play.happens(lifecycle.JobFinished())
    play.comes_to("finished")
    busy, finished = (
        next(one for one in world.told if one.state == state) for state in ("busy", "finished")
    )
    assert (busy.lasted_s, busy.details["waited_s"], finished.lasted_s) == (60.0, 60.0, 4.0)
    assert finished.at == world.clock.now()


def test_what_is_noted_and_shown_of_a_runner_is_the_time_of_day_as_it_is_set(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    world.clock.set_by(7200)
    play = Play(world)
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady(), lifecycle.JobStarted(Job("acme/demo")))
    play.comes_to("busy")
    now = world.clock.now()
    eventually(lambda: world.lxd.there[NAME].config.get("user.supervisor.stage") == "busy")
    config = world.lxd.there[NAME].config
    assert marks.read("Running", config).seen.since == now.replace(microsecond=0)
    assert world.told[0].details["since"] == now.isoformat()


@pytest.mark.parametrize("set_by_s", [-7200, 7200])
def test_a_runner_is_taken_over_with_its_age_though_the_time_of_day_was_set(
    make_world: MakeWorld, set_by_s: float
) -> None:
    world = make_world(limits={"busy": "1h"})
    world.clock.set_by(set_by_s)
    world.lxd.put(NAME, installation="fleet")
    began = world.clock.now() - timedelta(minutes=40)
    busy = found("busy")
    play = Play(world, replace(busy, seen=replace(busy.seen, since=began)))
    play.comes_to("busy")
    assert world.told[0].details["since"] == began.isoformat()
    world.clock.advance(20 * 60 - 1)
    assert play.life().stage is Stage.BUSY
    world.clock.advance(2)
    play.ends()


@pytest.mark.parametrize("set_by_s", [-3600, 3600])
def test_when_a_runner_was_made_is_known_by_the_clock_that_nobody_sets(
    make_world: MakeWorld, set_by_s: float
) -> None:
    world = make_world()
    world.clock.set_by(set_by_s)
    play = Play(world)
    play.comes_to("booting")
    entry = world.parts.roster.get(NAME)
    assert entry is not None
    assert entry.made_at == world.clock.steady()
    config = world.lxd.requests[NAME]["config"]
    assert marks.read("Running", config).seen.created_at == world.clock.now()


@pytest.mark.parametrize("set_by_s", [-3600, 3600])
@pytest.mark.parametrize("stage", ["ready", "busy"])
def test_a_runner_whose_actor_crashes_after_the_clock_was_set_keeps_its_age(
    make_world: MakeWorld, stage: str, set_by_s: float
) -> None:
    world = make_world()
    play = Play(world)
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady())
    play.comes_to("ready")
    if stage == "busy":
        play.happens(lifecycle.JobStarted(Job("acme/demo")))
        play.comes_to("busy")
    eventually(lambda: world.lxd.there[NAME].config.get("user.supervisor.stage") == stage)
    before = world.parts.roster.get(NAME)
    world.clock.advance(60)
    world.clock.set_by(set_by_s)
    world.tell(NAME, Crash("a test"))
    eventually(lambda: play.life().reason == "taken over")
    after = world.parts.roster.get(NAME)
    assert before
    assert after
    assert (after.life.stage, after.life.since) == (before.life.stage, before.life.since)
    assert after.made_at == before.made_at


def test_a_runners_stages_are_told_once_and_not_as_its_actors_too(make_world: MakeWorld) -> None:
    world = make_world()
    changes: list[Change] = []
    world.system.observer = changes.append
    play = Play(world)
    play.comes_to("booting")
    play.happens(lifecycle.InstanceGone())
    play.ends()
    assert {one.state for one in world.told} > {"requested", "booting"}
    assert [one for one in changes if one.id == NAME] == []


def test_a_runner_that_was_taken_over_is_told_as_such(make_world: MakeWorld) -> None:
    play = Play(make_world(), found("ready"))
    play.comes_to("ready")
    eventually(lambda: play.world.told)
    first = play.world.told[0]
    assert (first.before, first.state, first.details["adopted"]) == ("", "ready", True)


def test_a_failed_runner_is_told_with_the_stage_it_failed_in(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.happens(lifecycle.Failed("no network"))
    play.ends()
    failed = next(one for one in play.world.told if one.state == "failed")
    assert (failed.reason, failed.details["failed_in"]) == ("no network", "booting")
