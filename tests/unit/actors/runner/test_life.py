"""A runner's life from its request to its end, within its limits."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from fake_actors import APPLICATION
from fake_github import PLACE
from fake_world import MakeWorld
from waiting import eventually

from supervisor import lifecycle
from supervisor.lifecycle import Job, Seen, Stage
from supervisor.messages.runner import Happened
from supervisor.messages.tokens import InquireJob, JitConfigMade
from supervisor.runners import marks
from supervisor.runners.marks import Marks
from supervisor.runners.roster import digest
from tests.unit.actors.runner.play import NAME, Play, found


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


@pytest.mark.parametrize("result", ["", "Succeeded"])
def test_what_github_knows_of_its_job_is_asked_at_its_end_and_once(
    make_world: MakeWorld, result: str
) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    job = Job("acme/demo", run_id="7")
    play.happens(lifecycle.GuestReady(), lifecycle.JobStarted(job), lifecycle.JobFinished())
    play.happens(lifecycle.GuestFinished(result=result))
    play.comes_to("finished")
    assert play.world.github.inquiries == []
    play.happens(lifecycle.InstanceGone())
    play.ends()
    eventually(lambda: play.world.github.inquiries)
    assert play.world.github.inquiries == [
        InquireJob(NAME, "acme/demo", "7", PLACE, has_result=bool(result))
    ]


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
