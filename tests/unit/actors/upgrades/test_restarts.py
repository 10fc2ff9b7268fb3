"""What outlives the daemon, and the actor's own end."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from fake_actors import APPLICATION
from fake_world import MakeWorld, World
from waiting import LIMIT_S, eventually

from supervisor.gateways.application_store import ARCHIVE, ApplicationStore
from supervisor.gateways.upgrade_notes import UpgradeNotes
from supervisor.messages.tokens import ApplicationOffered
from supervisor.messages.upgrades import ApplicationChanged, CheckUpgrades
from supervisor.supervision import Crash
from supervisor.upgrades.application import Application
from supervisor.upgrades.notes import Note
from tests.unit.actors.upgrades.play import NEWER, NEWEST, VERIFYING, Disk, Play


def test_since_when_a_newer_one_is_known_stays_while_it_can_not_be_had(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified = APPLICATION
    play = Play(make_world())
    play.has(APPLICATION)
    assert play.subject().outdated_since is None
    play.world.clock.advance(60)
    disk.failure = "the disk is full"
    play.answer = ApplicationOffered(NEWER)
    heard_at = play.world.clock.now()
    play.tell(CheckUpgrades())
    eventually(lambda: play.subject().error == "the disk is full")
    play.world.clock.advance(60)
    play.tell(CheckUpgrades())
    eventually(lambda: play.subject().checked_at > heard_at)
    assert play.subject().outdated_since == heard_at


def restarted(play: Play, make_world: MakeWorld, **config: Any) -> World:
    """A daemon that is started where that of a play was."""
    world = make_world(**config)
    play.world.system.stop(LIMIT_S)
    notes = UpgradeNotes(play.world.state / "upgrade-notes")
    world.parts = replace(world.parts, upgrade_notes=notes)
    return world


def test_since_when_a_newer_one_is_known_outlives_the_daemon(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified, disk.failure = APPLICATION, "the disk is full"
    play = Play(make_world(), ApplicationOffered(NEWER))
    eventually(lambda: play.subject().error == "the disk is full")
    heard_at = play.world.clock.now()
    world = restarted(play, make_world)
    world.clock.advance(86400)
    play = Play(world, ApplicationOffered(NEWER))
    eventually(lambda: play.subject().error == "the disk is full")
    assert len(disk.obtained) == 2
    assert play.subject().outdated_since == heard_at


def test_one_that_did_not_arrive_is_got_again_at_each_start(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified, disk.failure = APPLICATION, "the connection broke off"
    play = Play(make_world(), ApplicationOffered(NEWER))
    play.look_ends(1)
    play = Play(restarted(play, make_world), ApplicationOffered(NEWER))
    play.look_ends(1)
    assert disk.obtained == [NEWER, NEWER]


def test_one_that_is_no_good_is_not_got_again_at_each_start(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified, disk.failure, disk.refused = APPLICATION, "it is no archive", True
    play = Play(make_world(), ApplicationOffered(NEWER))
    play.look_ends(1)
    world = restarted(play, make_world, upgrade_interval="1d")
    world.clock.advance(1800)
    play = Play(world, ApplicationOffered(NEWER))
    play.look_ends(1)
    assert disk.obtained == [NEWER]
    assert play.warnings == ("runner application 2.300.0 stays in use: it is no archive",)
    play.world.clock.advance(1800)
    eventually(lambda: disk.obtained == [NEWER, NEWER])


def test_what_can_not_be_noted_is_a_warning_until_it_can_be(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified = APPLICATION
    world = make_world()
    notes = world.state / "upgrade-notes"
    notes.mkdir(parents=True)
    play = Play(world, ApplicationOffered(NEWER))
    warning = f"can't note how upgrades fare: {notes}: Is a directory"
    eventually(lambda: play.warnings == (warning,))
    notes.rmdir()
    play.answer = ApplicationOffered(NEWEST)
    play.tell(CheckUpgrades())
    eventually(lambda: play.warnings == ())


@pytest.mark.parametrize("forget", [CheckUpgrades(), ApplicationOffered(NEWEST), None])
def test_one_that_is_no_good_is_forgotten_by_an_order_by_another_offer_and_without_one_that_serves(
    make_world: MakeWorld, disk: Disk, forget: Any
) -> None:
    disk.verified, disk.failure, disk.refused = APPLICATION, "it is no archive", True
    play = Play(make_world(), ApplicationOffered(NEWER))
    play.look_ends(1)
    world = restarted(play, make_world)
    disk.failure = ""
    offered = forget if isinstance(forget, ApplicationOffered) else ApplicationOffered(NEWER)
    if forget is None:
        disk.verified = None
    if isinstance(forget, CheckUpgrades):
        gate = disk.hold("verify")
        play = Play(world, offered)
        play.tell(forget)
        gate.set()
    else:
        play = Play(world, offered)
    play.has(offered.application)
    assert disk.obtained == [NEWER, offered.application]
    assert UpgradeNotes(play.world.state.parent / "state-0" / "upgrade-notes").of(
        "runner application"
    ) == Note(offered.application.sha256, play.world.clock.now())


def test_the_day_of_an_older_one_goes_on_over_a_restart(make_world: MakeWorld, disk: Disk) -> None:
    disk.verified = NEWER
    play = Play(make_world())
    play.look_ends(1)
    world = restarted(play, make_world)
    world.clock.advance(86399)
    play = Play(world)
    play.look_ends(1)
    assert play.subject().installed == NEWER.version
    assert "is taken after a day" in play.subject().warning
    play.world.clock.advance(600)
    eventually(lambda: play.subject().installed == APPLICATION.version)


def test_an_actor_that_crashed_verifies_again_what_is_there(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified = APPLICATION
    play = Play(make_world())
    play.has(APPLICATION)
    before = play.order().incarnation
    play.tell(Crash("a test"))
    eventually(lambda: ApplicationChanged(reason=VERIFYING) in play.fleet[1:])
    eventually(lambda: play.fleet[-1] == ApplicationChanged(APPLICATION))
    assert play.order().incarnation != before


def keep(store: ApplicationStore) -> Application:
    """Have the store verify one, and switch to it."""
    store.prepare()
    content = b"an archive"
    kept = replace(APPLICATION, sha256=hashlib.sha256(content).hexdigest())
    (store.incoming(kept.sha256) / ARCHIVE).write_bytes(content)
    store.admit(kept)
    store.switch(kept)
    return kept


def test_a_crash_during_a_download_takes_from_nobody_what_is_verified(
    make_world: MakeWorld, disk: Disk
) -> None:
    world = make_world()
    disk.verified = kept = keep(world.parts.applications)
    play = Play(world, ApplicationOffered(kept))
    play.has(kept)
    gate = disk.hold("obtain")
    play.answer = ApplicationOffered(NEWER)
    play.order()
    eventually(lambda: disk.obtained == [NEWER])
    before = len(play.fleet)
    play.tell(Crash("a test"))
    eventually(lambda: len(play.fleet) > before)
    eventually(lambda: play.asked == 3)
    assert play.fleet[before:] == [ApplicationChanged(kept)]
    gate.set()
    play.told(ApplicationChanged(NEWER))


def test_a_fault_of_the_worker_is_a_crash_and_what_follows_is_right(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified, disk.error = APPLICATION, ValueError("a fault of ours")
    play = Play(make_world())
    play.told(ApplicationChanged(APPLICATION))
