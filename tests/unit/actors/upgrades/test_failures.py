"""What can't be had leaves the one in use, is told, and tried again ever more seldom."""

from __future__ import annotations

from typing import Any

import pytest
from fake_actors import APPLICATION
from fake_world import MakeWorld
from waiting import eventually

from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.tokens import ApplicationNotOffered, ApplicationOffered
from supervisor.messages.upgrades import ApplicationChanged, CheckUpgrades
from tests.unit.actors.upgrades.play import NEWER, Disk, Play


def test_a_failure_leaves_the_last_good_one_in_use_with_a_warning(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified, disk.failure = APPLICATION, "2.301.0 has another SHA-256 than GitHub says"
    play = Play(make_world(), ApplicationOffered(NEWER))
    warning = f"runner application 2.300.0 stays in use: {disk.failure}"
    eventually(lambda: play.warnings == (warning,))
    assert play.shown()[0] == "ready"
    play.told(ApplicationChanged(APPLICATION))
    standing = play.standing()
    assert (standing["installed"], standing["latest"]) == ("2.300.0", "2.301.0")


def test_a_failure_is_tried_again_ever_more_seldom_and_warned_of_once(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified, disk.failure = APPLICATION, "the disk is full"
    play = Play(make_world(), ApplicationOffered(NEWER))
    for tries, wait_s in enumerate((15, 30, 60, 120, 240, 480, 600, 600), start=1):
        play.look_ends(tries)
        play.world.clock.advance(wait_s - 0.1)
        assert len(disk.obtained) == tries
        play.world.clock.advance(0.1)
    play.look_ends(9)
    logged = [line for line in play.world.logged if "the disk is full" in line]
    assert len(logged) == 1
    disk.failure = ""
    play.world.clock.advance(600)
    play.has(NEWER)
    assert play.warnings == ()


def test_one_that_is_no_good_is_got_again_ever_more_seldom_than_one_that_did_not_arrive(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified, disk.failure, disk.refused = APPLICATION, "it is no archive", True
    play = Play(make_world(upgrade_interval="1d"), ApplicationOffered(NEWER))
    for tries, hours in enumerate((1, 2, 4, 8, 16, 24, 24), start=1):
        play.look_ends(tries)
        play.world.clock.advance(hours * 3600 - 0.1)
        assert len(disk.obtained) == tries
        play.world.clock.advance(0.1)
    play.look_ends(8)
    assert len(disk.obtained) == 8


def test_where_there_is_none_one_that_is_no_good_is_got_again_within_an_hour(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.failure, disk.refused = "it is no archive", True
    play = Play(make_world(upgrade_interval="1d"))
    for tries, wait_s in enumerate((15, 30, 60, 120, 240, 480, 960, 1920, 3600), start=1):
        play.look_ends(tries)
        play.world.clock.advance(wait_s)
    play.look_ends(10)
    assert len(disk.obtained) == 10


@pytest.mark.parametrize("order", [CheckUpgrades(), ConfigChanged])
def test_an_order_and_other_settings_have_a_failed_download_tried_at_once(
    make_world: MakeWorld, disk: Disk, order: Any
) -> None:
    disk.verified, disk.failure = APPLICATION, "the proxy refuses"
    play = Play(make_world(), ApplicationOffered(NEWER))
    play.look_ends(1)
    disk.failure = ""
    config = play.world.parts.settings.config
    play.tell(order if isinstance(order, CheckUpgrades) else order(config))
    play.has(NEWER)


def test_one_that_fails_again_when_it_is_ordered_is_warned_of_meanwhile_and_logged_once(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified, disk.failure = APPLICATION, "it is no archive"
    play = Play(make_world(), ApplicationOffered(NEWER))
    play.look_ends(1)
    gate = disk.hold("obtain")
    play.order()
    eventually(lambda: play.world.shown("upgrades")[0] == "upgrading")
    assert play.warnings != ()
    gate.set()
    play.look_ends(2)
    assert disk.obtained == [NEWER, NEWER]
    assert len([line for line in play.world.logged if "it is no archive" in line]) == 1


def test_none_can_be_used_where_the_first_one_fails(make_world: MakeWorld, disk: Disk) -> None:
    disk.failure = "it has another SHA-256 than GitHub says"
    play = Play(make_world())
    play.told(ApplicationChanged(reason=disk.failure))
    words = f"runner application: none can be used: {disk.failure}"
    eventually(lambda: play.shown() == ("failing", words))
    assert play.warnings == ()


def test_the_failure_is_still_told_while_it_is_tried_again(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.failure = "it is no archive"
    play = Play(make_world())
    play.look_ends(1)
    gate = disk.hold("obtain")
    play.world.clock.advance(15)
    eventually(lambda: len(disk.obtained) == 2)
    assert play.shown()[0] == "failing"
    gate.set()
    play.look_ends(2)


def test_an_offer_without_checksum_keeps_the_last_good_one_with_a_warning(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified = APPLICATION
    play = Play(make_world(), ApplicationNotOffered("GitHub gives no SHA-256 for 2.301.0"))
    play.look_ends(1)
    warning = "runner application 2.300.0 stays in use: GitHub gives no SHA-256 for 2.301.0"
    assert play.warnings == (warning,)
    play.told(ApplicationChanged(APPLICATION))


def test_an_outage_of_github_is_no_warning_as_others_tell_of_it(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified = APPLICATION
    play = Play(make_world(), ApplicationNotOffered("GitHub is away", outage=True))
    play.look_ends(1)
    assert play.warnings == ()
    shown = "runner application: 2.300.0 stays in use: GitHub is away"
    assert play.shown() == ("ready", shown)


def test_without_one_an_outage_is_why_none_can_be_used(make_world: MakeWorld, disk: Disk) -> None:
    play = Play(make_world(), ApplicationNotOffered("GitHub is away", outage=True))
    eventually(lambda: play.shown()[0] == "failing")
    play.told(ApplicationChanged(reason="GitHub is away"))
    play.answer = ApplicationOffered(APPLICATION)
    play.world.clock.advance(15)
    play.has(APPLICATION)
