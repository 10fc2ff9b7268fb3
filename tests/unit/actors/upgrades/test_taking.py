"""Which application is got, verified and used: the first, newer and older ones."""

from __future__ import annotations

from dataclasses import replace

from fake_actors import APPLICATION
from fake_world import MakeWorld
from waiting import eventually

from supervisor.messages.tokens import ApplicationOffered
from supervisor.messages.upgrades import ApplicationChanged, CheckUpgrades
from tests.unit.actors.upgrades.play import NEWER, NEWEST, VERIFYING, Disk, Play


def test_what_is_on_the_disk_is_verified_before_it_is_used(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified = APPLICATION
    gate = disk.hold("verify")
    play = Play(make_world())
    eventually(lambda: play.fleet == [ApplicationChanged(reason=VERIFYING)])
    assert play.shown() == ("waiting", f"runner application: {VERIFYING}")
    gate.set()
    play.has(APPLICATION)
    eventually(lambda: play.image[-1] == ApplicationChanged(APPLICATION))
    assert disk.pruned == []
    words = "runner application: 2.300.0, the latest, checked at 00:00:00 UTC"
    eventually(lambda: play.shown() == ("ready", words))


def test_the_first_application_is_got_and_then_told(make_world: MakeWorld, disk: Disk) -> None:
    gate = disk.hold("obtain")
    play = Play(make_world())
    play.told(ApplicationChanged(reason="2.300.0 is being got"))
    assert play.shown()[0] == "upgrading"
    gate.set()
    play.has(APPLICATION)
    assert disk.obtained == [APPLICATION]


def test_a_newer_one_is_got_while_the_one_in_use_serves(make_world: MakeWorld, disk: Disk) -> None:
    disk.verified = APPLICATION
    play = Play(make_world())
    play.has(APPLICATION)
    gate = disk.hold("obtain")
    play.answer = ApplicationOffered(NEWER)
    play.tell(CheckUpgrades())
    words = "runner application: 2.300.0 is in use, 2.301.0 is being got"
    eventually(lambda: play.shown()[1].startswith(words))
    play.told(ApplicationChanged(APPLICATION))
    gate.set()
    play.has(NEWER)
    eventually(lambda: disk.pruned == [frozenset({NEWER.sha256})])
    assert play.warnings == ()


def test_an_older_one_that_is_offered_is_not_taken_unless_it_is_ordered(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified = NEWER
    play = Play(make_world())
    eventually(lambda: play.subject().looks == 1)
    play.taken(CheckUpgrades(why="the configuration has changed"))
    eventually(lambda: play.subject().looks == 2)
    assert disk.obtained == []
    assert (play.subject().state, play.subject().installed) == ("ready", NEWER.version)
    assert "2.300.0 is offered, which is older than 2.301.0" in play.subject().warning
    play.tell(CheckUpgrades(ordered=True))
    eventually(lambda: play.subject().installed == APPLICATION.version)
    assert play.subject().warning == ""


def test_an_older_one_that_is_offered_for_a_day_is_taken(make_world: MakeWorld, disk: Disk) -> None:
    disk.verified = NEWER
    play = Play(make_world())
    eventually(lambda: play.subject().looks == 1)
    play.world.clock.advance(86399)
    play.taken(CheckUpgrades(why="a test"))
    eventually(lambda: not play.looks_now())
    assert play.subject().installed == NEWER.version

    def is_taken() -> bool:
        # A look is made where the clock stands by then: the next one may be due beyond the day.
        play.world.clock.advance(60)
        return bool(play.subject().installed == APPLICATION.version)

    eventually(is_taken)


def test_another_offer_is_tried_at_once(make_world: MakeWorld, disk: Disk) -> None:
    disk.verified, disk.failure = APPLICATION, "it is no archive"
    play = Play(make_world(), ApplicationOffered(NEWER))
    play.look_ends(1)
    disk.failure = ""
    play.answer = ApplicationOffered(NEWEST)
    play.world.clock.advance(10)
    play.tell(CheckUpgrades(fresh_s=10))
    play.has(NEWEST)
    assert disk.obtained == [NEWER, NEWEST]


def test_a_release_that_is_withdrawn_is_no_failure_any_more(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified, disk.failure = APPLICATION, "it is no archive"
    play = Play(make_world(), ApplicationOffered(NEWER))
    eventually(lambda: play.warnings)
    play.answer = ApplicationOffered(APPLICATION)
    play.tell(CheckUpgrades())
    play.look_ends(2)
    assert play.warnings == ()


def test_guests_are_given_the_address_that_github_offers_now(
    make_world: MakeWorld, disk: Disk
) -> None:
    disk.verified = APPLICATION
    elsewhere = replace(APPLICATION, url="https://ghe.example/runner.tar.gz")
    play = Play(make_world(), ApplicationOffered(elsewhere))
    play.has(elsewhere)
    assert disk.pruned == []


def test_it_is_got_through_the_configured_proxies(make_world: MakeWorld, disk: Disk) -> None:
    play = Play(make_world(http_proxy="http://proxy.example:3128"))
    play.has(APPLICATION)
    assert disk.proxies == [play.world.parts.settings.config.proxies]
