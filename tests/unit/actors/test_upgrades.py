from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from fake_actors import APPLICATION, FILENAME, Inbox
from fake_world import World
from under_way import Gate
from waiting import LIMIT_S, eventually

from supervisor.actors.upgrades import UpgradesActor
from supervisor.gateways.application_store import ARCHIVE, ApplicationStore
from supervisor.gateways.upgrade_notes import UpgradeNotes
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.tokens import ApplicationNotOffered, ApplicationOffered, AskApplication
from supervisor.messages.upgrades import (
    AnnounceApplication,
    ApplicationChanged,
    CheckUpgrades,
    GitHubReachable,
    UpgradesOrdered,
)
from supervisor.supervision import ChildSpec, Crash, Strategy
from supervisor.upgrades.application import Application
from supervisor.upgrades.notes import Note
from supervisor.web.proxies import Proxies
from supervisor.work import application as application_work
from supervisor.work.application import NotObtained, Obtained, Progress

MakeWorld = Callable[..., World]
NEWER = Application("https://github.example/newer", "1" * 64, FILENAME.replace("300", "301"))
NEWEST = Application("https://github.example/newest", "2" * 64, FILENAME.replace("300", "302"))
VERIFYING = "the one that is there is being verified"


class Disk:
    """What the worker finds and gets, in its place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.verified: Application | None = None
        self.failure = ""
        self.refused = False
        self.error: Exception | None = None
        self.obtained: list[Application] = []
        self.proxies: list[Proxies] = []
        self.pruned: list[frozenset[str]] = []
        self.gates: dict[str, Gate] = {}
        monkeypatch.setattr(application_work, "verify_current", self._verify)
        monkeypatch.setattr(application_work, "obtain", self._obtain)
        monkeypatch.setattr(application_work, "prune", self._prune)

    def hold(self, call: str) -> Gate:
        """Have calls hang until the returned event is set."""
        return self.gates.setdefault(call, Gate())

    def _enter(self, call: str) -> None:
        if gate := self.gates.get(call):
            assert gate.wait(LIMIT_S)

    def _verify(self, _store: ApplicationStore) -> Application | None:
        self._enter("verify")
        if self.error:
            error, self.error = self.error, None
            raise error
        return self.verified

    def _obtain(
        self, _store: ApplicationStore, offer: Application, proxies: Proxies, _progress: Progress
    ) -> Obtained | NotObtained:
        self.obtained.append(offer)
        self.proxies.append(proxies)
        self._enter("obtain")
        if self.failure:
            return NotObtained(offer, self.failure, self.refused)
        was_there = self.verified is not None and self.verified.sha256 == offer.sha256
        self.verified = offer
        return Obtained(offer, 1.0, was_there)

    def _prune(self, _store: ApplicationStore, in_use: frozenset[str]) -> tuple[str, ...]:
        self.pruned.append(in_use)
        return ()


class Play:
    """The actor, between `tokens`, and those that make runners."""

    def __init__(self, world: World, answer: object = None) -> None:
        self.world = world
        self.answer: object = answer or ApplicationOffered(APPLICATION)
        self.asked = 0
        self.fleet: list[Any] = []
        self.image: list[Any] = []
        system = world.system
        world.run(
            ChildSpec("tokens", partial(_Tokens.start, system, self)),
            ChildSpec("upgrades", partial(UpgradesActor.start, system, world.parts)),
            ChildSpec("image", partial(Inbox.start, system, self.image)),
            ChildSpec("fleet", partial(Inbox.start, system, self.fleet)),
            strategy=Strategy.ONE_FOR_ONE,
        )
        # Who comes after it asks at its own start.
        system.directory.tell("upgrades", AnnounceApplication())

    def tell(self, message: object) -> None:
        self.world.tell("upgrades", message)

    def taken(self, message: object) -> None:
        """Tell it, and wait until that was taken in."""
        self.tell(message)
        eventually(lambda: not self.world.waiting("upgrades"))

    def order(self) -> UpgradesOrdered:
        ref = self.world.system.directory.ref("upgrades")
        assert ref
        ordered: UpgradesOrdered = ref.ask(CheckUpgrades(), timeout=LIMIT_S)
        return ordered

    def told(self, change: ApplicationChanged) -> None:
        """Wait until this is the last that the fleet was told."""
        eventually(lambda: self.fleet[-1:] == [change])

    def has(self, application: Application) -> None:
        """Wait until it is told that this one is in use, and all is well."""
        self.told(ApplicationChanged(application))
        eventually(lambda: not self.looks_now())

    def shown(self) -> tuple[str, str]:
        """What is published of the application; on the host all is as it should be."""
        state, reason = self.world.shown("upgrades")
        return state, re.sub(r"; host: [^;]*UTC|; host: is being looked at", "", reason)

    def looks_now(self) -> bool:
        return self.standing()["progress"] != "" or self.subject().looks != self.asked

    def subject(self) -> Any:
        return self.world.details("upgrades")["subjects"][0]

    def standing(self) -> Mapping[str, Any]:
        return dict(vars(self.subject()))

    def look_ends(self, count: int) -> None:
        eventually(lambda: self.subject().looks == count)

    @property
    def warnings(self) -> tuple[str, ...]:
        found: tuple[str, ...] = self.world.details("upgrades")["warnings"]
        return found


class _Tokens(Inbox):
    """Answers what it is told to; nothing while that is empty."""

    def __init__(self, system: Any, play: Play) -> None:
        super().__init__(system, [])
        self._play = play

    def on_receive(self, message: Any) -> Any:
        assert isinstance(message, AskApplication)
        self._play.asked += 1
        if self._play.answer:
            self.system.directory.tell("upgrades", self._play.answer)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


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
