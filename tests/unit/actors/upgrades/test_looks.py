"""When GitHub is asked for what it offers, and whose answer counts."""

from __future__ import annotations

from fake_actors import APPLICATION
from fake_world import MakeWorld
from waiting import eventually

from supervisor.messages.tokens import ApplicationNotOffered, ApplicationOffered
from supervisor.messages.upgrades import CheckUpgrades, GitHubReachable
from tests.unit.actors.upgrades.play import NEWER, Disk, Play


def test_it_is_looked_for_at_each_interval(make_world: MakeWorld, disk: Disk) -> None:
    disk.verified = APPLICATION
    play = Play(make_world(upgrade_interval="2m"))
    play.has(APPLICATION)
    play.world.clock.advance(119)
    assert play.asked == 1
    play.answer = ApplicationOffered(NEWER)
    play.world.clock.advance(1)
    play.has(NEWER)
    assert play.asked == 2


def test_a_look_that_another_has_just_had_is_put_off_and_not_forgotten(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified = APPLICATION
    play = Play(make_world())
    play.has(APPLICATION)
    play.world.clock.advance(4)
    play.taken(CheckUpgrades(fresh_s=10))
    play.world.clock.advance(5)
    play.taken(CheckUpgrades(fresh_s=10))
    assert play.asked == 1
    play.world.clock.advance(1)
    play.look_ends(2)
    play.world.clock.advance(10)
    play.tell(CheckUpgrades(fresh_s=10))
    play.look_ends(3)


def test_an_order_that_comes_during_a_look_is_carried_out_after_it(
    make_world: MakeWorld, disk: Disk
) -> None:
    gate = disk.hold("obtain")
    play = Play(make_world())
    eventually(lambda: disk.obtained == [APPLICATION])
    ordered = play.order()
    assert ordered.done_by["runner application"] == 2
    assert ordered.incarnation == play.world.details("upgrades")["incarnation"]
    play.answer = ApplicationOffered(NEWER)
    gate.set()
    play.has(NEWER)
    play.look_ends(2)


def test_github_coming_back_has_it_asked_at_once_and_nothing_got_again_that_has_failed(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified, disk.failure = APPLICATION, "it is no archive"
    play = Play(make_world(), ApplicationOffered(NEWER))
    play.look_ends(1)
    play.answer = ApplicationNotOffered("GitHub is away", outage=True)
    play.world.clock.advance(10)
    play.tell(GitHubReachable())
    play.look_ends(2)
    play.answer = ApplicationOffered(NEWER)
    play.tell(GitHubReachable())
    play.look_ends(3)
    assert disk.obtained == [NEWER]


def test_looks_at_jobs_do_not_repeat_a_download_that_has_just_failed(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified, disk.failure = APPLICATION, "the disk is full"
    play = Play(make_world(), ApplicationOffered(NEWER))
    play.look_ends(1)
    play.world.clock.advance(14)
    play.tell(CheckUpgrades(fresh_s=10))
    play.look_ends(2)
    assert disk.obtained == [NEWER]
    assert play.warnings != ()
    play.world.clock.advance(1)
    play.look_ends(3)
    assert disk.obtained == [NEWER, NEWER]


def test_github_is_not_asked_at_each_job_while_it_refuses(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified = APPLICATION
    play = Play(make_world(), ApplicationNotOffered("GitHub gives no SHA-256 for 2.301.0"))
    play.look_ends(1)
    for _ in range(7):
        play.world.clock.advance(2)
        play.taken(CheckUpgrades(fresh_s=1))
    assert play.asked == 1
    play.world.clock.advance(1)
    play.look_ends(2)


def test_an_answer_to_an_incarnation_before_is_not_counted(
    make_world: MakeWorld, disk: Disk
) -> None:
    gate = disk.hold("verify")
    play = Play(make_world())
    play.taken(ApplicationOffered(NEWER))
    gate.set()
    play.has(APPLICATION)
    assert disk.obtained == [APPLICATION]
    assert play.subject().looks == 1
