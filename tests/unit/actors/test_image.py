"""The image that runners start from, prepared or built, under a clock that is moved by hand."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fake_actors import APPLICATION, Inbox, guarded, image_of
from fake_world import World
from under_way import Gate
from waiting import LIMIT_S, eventually

from supervisor.actors.image import ImageActor
from supervisor.causes import Cause
from supervisor.images.choice import Wish, choose
from supervisor.images.properties import BuiltImage
from supervisor.images.recipe import Recipe
from supervisor.images.settings import ImageSettings
from supervisor.lifecycle import Life, Stage
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.firewall import AnnounceFirewall, FirewallChanged
from supervisor.messages.image import AnnounceImage, BuildImage, BuildOrdered, BuildRefused
from supervisor.messages.signals import AnnounceSignals, SignalsListening
from supervisor.messages.storage import AnnounceStorage, StorageChanged
from supervisor.messages.upgrades import AnnounceApplication, ApplicationChanged
from supervisor.runners.roster import Entry
from supervisor.supervision import ChildSpec, Crash, Strategy
from supervisor.upgrades.application import Application
from supervisor.work.image import ImageFailed, ImageReady, Look

MakeWorld = Callable[..., World]
NEWER = Application(
    "https://github.example/newer", "1" * 64, "actions-runner-linux-x64-2.301.0.tar.gz"
)
PREPARED = "c3" * 32
HOUR = 3600.0


class Scene:
    """What LXD has of images, and how builds fare."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.numbers = itertools.count(0xA1)
        self.images: list[BuiltImage] = []
        self.aliases = {"github-runner": PREPARED}
        self.base = "ba" * 32
        self.faults: dict[str, ImageFailed] = {}
        self.gates: dict[str, Gate] = {}
        self.calls: list[str] = []
        self.spared: list[frozenset[str]] = []
        self.builds: list[dict[str, Any]] = []
        self.outdated = False

    def enter(self, call: str) -> ImageFailed | None:
        self.calls.append(call)
        if gate := self.gates.get(call):
            assert gate.wait(LIMIT_S)
        return self.faults.get(call)

    def hold(self, call: str) -> Gate:
        return self.gates.setdefault(call, Gate())

    def add(self, digest: str, **more: Any) -> BuiltImage:
        given: dict[str, Any] = {
            "fingerprint": f"{next(self.numbers):02x}" * 32,
            "installation": "fleet",
            "type": "virtual-machine",
            "application": APPLICATION.sha256,
            "base": self.base,
            "built_at": self.world.clock.now(),
            "verified": True,
            "size": 1 << 30,
            **more,
        }
        self.images.append(BuiltImage(digest=digest, **given))
        return self.images[-1]


class FakeWork:
    """As `ImageWork`, over a scene."""

    def __init__(self, scene: Scene, _lxd: object, settings: ImageSettings) -> None:
        self.scene = scene
        self.settings = settings

    def look(self, application: Application, *, current: str = "") -> Look | ImageFailed:
        return self.scene.enter("look") or self._look(application, current)

    def _look(self, application: Application, current: str) -> Look:
        settings = self.settings
        recipe = Recipe(
            base=self.scene.base,
            instance_type=settings.template.type,
            architecture=settings.architecture,
            application=application.sha256,
            provisioning="",
            packages=settings.packages,
        )
        images = tuple(self.scene.images)
        kind = settings.template.type
        found = choose(
            recipe.digest, images, frozenset(), current, installation="fleet", instance_type=kind
        )
        return Look(recipe, images, found)

    def ensure(
        self,
        application: Application,
        archive: Path,
        verification: Any,
        note: Callable[[str], object],
        wish: Wish,
    ) -> ImageReady | ImageFailed:
        scene = self.scene
        scene.builds.append({"application": application, "forced": wish.forced})
        assert archive.parent.name == application.sha256
        assert verification.signals == "http://10.0.0.1:8642"
        look = self._look(application, wish.current)
        is_old = wish.forced or (wish.probing and scene.outdated)
        if look.chosen and not look.choice.build and not is_old:
            scene.enter("probe")
            return ImageReady(look.chosen, built=False, took_s=1.0)
        note("phase: provisioning")
        note("step: install packages")
        note("Get:1 http://archive.example noble")
        if failed := scene.enter("build"):
            return failed
        recipe = look.recipe
        kind, inside = recipe.instance_type, recipe.application
        made = scene.add(recipe.digest, application=inside, type=kind)
        return ImageReady(made, built=True, took_s=240.0)

    def listing(self) -> tuple[BuiltImage, ...] | ImageFailed:
        failed = self.scene.enter("listing")
        images = sorted(self.scene.images, key=lambda image: image.built_at, reverse=True)
        return failed or tuple(images)

    def clean_up(self, in_use: frozenset[str] = frozenset()) -> tuple[str, ...] | ImageFailed:
        scene = self.scene
        scene.spared.append(in_use)
        if failed := scene.enter("clean_up"):
            return failed
        kind = self.settings.template.type
        found = choose("", scene.images, in_use, installation="fleet", instance_type=kind)
        scene.images = [image for image in scene.images if image.fingerprint not in found.delete]
        return found.delete

    def resolve(self, alias: str) -> str | ImageFailed:
        failed = self.scene.enter("resolve")
        found = self.scene.aliases.get(alias)
        return (
            failed
            or found
            or ImageFailed(
                f"LXD has no image with the alias {alias}: import it", cause=Cause.IMAGE_MISSING
            )
        )


class Play:
    """The actor between its neighbours, each of which keeps what it is told."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.scene = Scene(world)
        self.fleet: list[Any] = []
        self.asked: list[Any] = []
        make = partial(FakeWork, self.scene)
        monkeypatch.setattr("supervisor.actors.image_errands.ImageWork", make)

    def run(self, *, furnished: bool = True) -> Play:
        system = self.world.system
        self.world.run(
            *(
                ChildSpec(name, partial(Inbox.start, system, self.asked))
                for name in ("signals", "storage", "firewall", "upgrades")
            ),
            ChildSpec("image", partial(ImageActor.start, system, self.world.parts)),
            ChildSpec("fleet", partial(Inbox.start, system, self.fleet)),
            strategy=Strategy.ONE_FOR_ONE,
        )
        # Who comes after it asks at its own start.
        system.directory.tell("image", AnnounceImage())
        if furnished:
            self.furnish()
        return self

    def furnish(self) -> None:
        """Tell the actor of all that a build needs."""
        config = self.world.parts.settings.config
        self.tell(ApplicationChanged(APPLICATION))
        self.tell(SignalsListening("http://10.0.0.1:8642"))
        self.tell(StorageChanged("default"))
        self.tell(guarded(config))

    def tell(self, message: object) -> None:
        self.world.tell("image", message)

    def reconfigure(self, **changes: Any) -> None:
        self.world.reconfigure(**changes)
        self.tell(ConfigChanged(self.world.parts.settings.config))

    def order(self) -> Any:
        ref = self.world.system.directory.ref("image")
        assert ref
        return ref.ask(BuildImage("a test"), timeout=LIMIT_S)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, once all that was to be handled has been."""
        self.settle()
        self.world.clock.advance(seconds)

    def settle(self) -> None:
        """Wait until the actor has nothing to handle and its workers nothing to do."""
        self.world.settle()

    def starts_from(self, fingerprint: str) -> None:
        """Wait until the fleet was told last that runners start from this image."""
        eventually(lambda: self.fleet and self.fleet[-1].image == fingerprint)

    def lacks(self, words: str) -> None:
        """Wait until the fleet was told last that there is no image, for this reason."""
        eventually(
            lambda: self.fleet and not self.fleet[-1].image and words in self.fleet[-1].reason
        )

    def used(self) -> list[str]:
        """Return all images that the fleet was told of, in order."""
        return list(dict.fromkeys(change.image for change in self.fleet if change.image))

    @property
    def shown(self) -> tuple[str, str]:
        return self.world.shown("image")

    def detail(self, key: str) -> Any:
        return self.world.details("image")[key]

    @property
    def newest(self) -> BuiltImage:
        return self.scene.images[-1]


MakePlay = Callable[..., Play]


@pytest.fixture
def make_play(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> Any:
    plays: list[Play] = []

    def make(**config: Any) -> Play:
        plays.append(Play(make_world(**config), monkeypatch))
        return plays[-1]

    yield make
    for play in plays:
        for gate in play.scene.gates.values():
            gate.set()


@pytest.fixture
def prepared(make_play: MakePlay) -> Play:
    return make_play()


@pytest.fixture
def building(make_play: MakePlay) -> Play:
    return make_play(lxd={"image": None})


# A prepared image


def test_a_prepared_image_is_used_as_its_alias_means_it(prepared: Play) -> None:
    prepared.run(furnished=False)
    prepared.starts_from(PREPARED)
    assert prepared.shown == ("ready", f"github-runner ({PREPARED[:12]})")
    assert prepared.detail("warnings") == ()


def test_an_alias_that_means_another_image_is_noticed_within_a_minute(prepared: Play) -> None:
    prepared.run()
    prepared.starts_from(PREPARED)
    prepared.scene.aliases["github-runner"] = "d4" * 32
    prepared.pass_time(60)
    prepared.starts_from("d4" * 32)


def test_with_a_prepared_image_lxd_is_not_tidied_once_nothing_of_ours_is_there(
    prepared: Play,
) -> None:
    calls = prepared.scene.calls
    prepared.scene.add("d1" * 32)  # the newest good one is never removed
    prepared.run()
    prepared.pass_time(60)
    eventually(lambda: calls.count("clean_up") >= 2)
    prepared.settle()
    prepared.scene.images.clear()
    tidied = calls.count("clean_up")
    prepared.pass_time(60)
    eventually(lambda: calls.count("clean_up") > tidied)
    tidied, resolved = calls.count("clean_up"), calls.count("resolve")
    prepared.pass_time(60)
    eventually(lambda: calls.count("resolve") > resolved)
    prepared.settle()
    assert calls.count("clean_up") == tidied


def test_without_its_alias_there_is_no_image_and_the_operator_reads_what_to_do(
    prepared: Play,
) -> None:
    prepared.scene.aliases.clear()
    prepared.run()
    prepared.lacks("LXD has no image with the alias github-runner: import it")
    assert (prepared.shown[0], prepared.detail("cause")) == ("failing", "image-missing")
    prepared.scene.aliases["github-runner"] = PREPARED
    prepared.pass_time(2)
    prepared.starts_from(PREPARED)
    assert prepared.detail("cause") == ""
    prepared.scene.aliases.clear()
    prepared.pass_time(60)
    prepared.lacks("LXD has no image with the alias github-runner")


def test_while_lxd_is_away_a_prepared_image_stays_in_use(prepared: Play) -> None:
    prepared.run()
    prepared.starts_from(PREPARED)
    for call in ("resolve", "clean_up"):
        prepared.scene.faults[call] = ImageFailed("LXD is away", outage=True)
    prepared.pass_time(60)
    prepared.settle()
    assert prepared.fleet[-1] == image_of(PREPARED)
    assert prepared.shown[0] == "ready"
    assert prepared.detail("warnings") == ()


def test_a_prepared_image_is_found_soon_after_lxd_is_there(prepared: Play) -> None:
    prepared.scene.faults["resolve"] = ImageFailed("LXD is away", outage=True)
    prepared.run()
    prepared.lacks("LXD is away")
    prepared.settle()
    prepared.scene.faults.clear()
    prepared.pass_time(2)
    prepared.starts_from(PREPARED)


def test_with_a_prepared_image_nothing_is_built_not_even_by_order(prepared: Play) -> None:
    prepared.run()
    prepared.starts_from(PREPARED)
    refused = prepared.order()
    assert isinstance(refused, BuildRefused)
    assert "lxd.image names a prepared image, github-runner" in refused.reason
    prepared.tell(ApplicationChanged(NEWER))
    prepared.pass_time(7 * HOUR)
    prepared.settle()
    assert prepared.scene.builds == []


# One that is built


def test_the_first_image_is_built_and_the_fleet_waits_for_it(building: Play) -> None:
    gate = building.scene.hold("build")
    building.run()
    eventually(lambda: building.shown == ("building", "the first image: install packages"))
    building.lacks("there is no image to start from: the first is being built")
    gate.set()
    eventually(lambda: building.scene.images)
    building.starts_from(building.newest.fingerprint)
    assert building.fleet[-1].application == APPLICATION.sha256
    alias = building.newest.alias
    eventually(lambda: building.shown[0] == "ready" and alias in building.shown[1])
    (shown,) = building.detail("images")
    assert (shown["used"], shown["application_version"]) == (True, APPLICATION.version)


def test_the_fleet_is_not_told_of_each_step_of_a_build(building: Play) -> None:
    building.run()
    eventually(lambda: building.scene.images)
    building.starts_from(building.newest.fingerprint)
    told = [change for change in building.fleet if "being built" in change.reason]
    assert len(told) == 1


@pytest.mark.parametrize(
    ("change", "lacking"),
    [
        (ApplicationChanged(reason="GitHub is down"), "no verified runner application yet"),
        (SignalsListening(""), "guests can't report yet"),
        (StorageChanged(reason="the pool is gone"), "the pool is gone"),
        (FirewallChanged(in_place=False, reason="nft is missing"), "nft is missing"),
        (FirewallChanged(in_place=True), "the firewall is being changed to what is configured"),
    ],
)
def test_nothing_is_built_before_a_guest_could_be_a_runner(
    building: Play, change: object, lacking: str
) -> None:
    building.run(furnished=False)
    messages = [
        ApplicationChanged(APPLICATION),
        SignalsListening("http://10.0.0.1:8642"),
        StorageChanged("default"),
        guarded(building.world.parts.settings.config),
    ]
    for message in messages:
        building.tell(change if type(message) is type(change) else message)
    building.lacks(lacking)
    building.settle()
    assert building.scene.builds == []
    building.furnish()
    eventually(lambda: building.scene.images)
    building.starts_from(building.newest.fingerprint)


def test_what_it_needs_is_asked_for_at_its_start(building: Play) -> None:
    building.run(furnished=False)
    eventually(
        lambda: (
            {type(message) for message in building.asked}
            == {AnnounceApplication, AnnounceSignals, AnnounceStorage, AnnounceFirewall}
        )
    )


def built(play: Play) -> BuiltImage:
    """Run it until its first image is in use."""
    play.run()
    eventually(lambda: play.scene.images)
    play.starts_from(play.newest.fingerprint)
    play.settle()
    return play.newest


def test_an_image_of_the_same_inputs_is_used_and_not_built_again(building: Play) -> None:
    first = built(building)
    for _ in range(5):
        building.pass_time(HOUR)
    building.reconfigure(virtual_machines=3)
    building.settle()
    assert len(building.scene.builds) == 1
    assert building.fleet[-1].image == first.fingerprint


def test_a_new_daemon_uses_the_last_verified_image_before_it_knows_of_anything_newer(
    building: Play,
) -> None:
    old = building.scene.add("0" * 64, verified=True)
    building.scene.add("1" * 64, verified=False, built_at=datetime.now(timezone.utc))
    building.run(furnished=False)
    building.starts_from(old.fingerprint)
    building.settle()
    assert set(building.scene.calls) == {"listing", "clean_up"}


@pytest.mark.parametrize("what", ["application", "base", "packages"])
def test_a_new_input_makes_another_image_while_the_old_one_serves(
    building: Play, what: str
) -> None:
    first = built(building)
    gate = building.scene.hold("build")
    if what == "application":
        building.tell(ApplicationChanged(NEWER))
    elif what == "packages":
        building.reconfigure(image_extra_packages="cmake")
    else:
        building.scene.base = "bb" * 32
        building.pass_time(6 * HOUR)
    eventually(lambda: "another is being built: install packages" in building.shown[1])
    assert building.shown[0] == "ready"
    assert building.fleet[-1].image == first.fingerprint
    gate.set()
    eventually(lambda: len(building.scene.images) == 2)
    building.starts_from(building.newest.fingerprint)


def test_what_changes_during_a_build_is_built_after_it(building: Play) -> None:
    gate = building.scene.hold("build")
    building.run()
    eventually(lambda: building.scene.builds)
    building.tell(ApplicationChanged(NEWER))
    building.tell(ApplicationChanged(NEWER))
    building.reconfigure(image_extra_packages="cmake")
    gate.set()
    eventually(lambda: len(building.scene.builds) == 2)
    building.starts_from(building.newest.fingerprint)
    building.settle()
    assert [build["application"] for build in building.scene.builds] == [APPLICATION, NEWER]


def test_a_failed_build_keeps_the_image_in_use_and_says_why(building: Play) -> None:
    first = built(building)
    building.scene.faults["build"] = ImageFailed("provisioning failed with 1")
    building.tell(ApplicationChanged(NEWER))
    eventually(lambda: building.detail("warnings"))
    (warning,) = building.detail("warnings")
    assert warning.startswith("image: no newer one could be made: provisioning failed with 1 (")
    assert building.shown[0] == "ready"
    assert building.fleet[-1].image == first.fingerprint
    log = building.detail("error_log")
    assert f"supervisor-cli image logs {log}" in warning
    kept = building.world.parts.build_logs.read(log)
    assert kept
    assert "install packages\nGet:1 http://archive.example noble\n" in kept.text
    assert kept.reason == "provisioning failed with 1"


def test_a_failed_build_is_tried_again_ever_more_seldom_until_it_succeeds(building: Play) -> None:
    building.scene.faults["build"] = ImageFailed("provisioning failed")
    building.run()
    for number, minutes in enumerate((1, 2, 4, 8), 1):
        eventually(lambda count=number: len(building.scene.builds) == count)
        building.settle()
        building.lacks("there is no image to start from: provisioning failed")
        building.pass_time(minutes * 60 - 1)
        building.settle()
        assert len(building.scene.builds) == number
        building.pass_time(1)
    eventually(lambda: len(building.scene.builds) == 5)
    building.settle()
    assert building.shown[0] == "failing"
    building.scene.faults.clear()
    building.pass_time(16 * 60)
    eventually(lambda: building.scene.images)
    building.starts_from(building.newest.fingerprint)
    eventually(lambda: building.detail("error") == "")


def test_it_is_tried_at_least_once_in_each_interval(make_play: MakePlay) -> None:
    play = make_play(lxd={"image": None}, image_build_interval="10m")
    play.scene.faults["build"] = ImageFailed("provisioning failed")
    play.run()
    for builds, minutes in enumerate((1, 2, 4, 8, 10, 10), start=1):
        play.settle()
        assert len(play.scene.builds) == builds
        play.pass_time(minutes * 60)
    assert len(play.scene.builds) == 7


def test_a_look_that_fails_keeps_the_image_in_use_too(building: Play) -> None:
    first = built(building)
    building.scene.faults["look"] = ImageFailed("image-script: /image.sh can't be read")
    building.reconfigure(image_extra_packages="cmake")
    eventually(lambda: building.detail("warnings"))
    assert building.fleet[-1].image == first.fingerprint
    building.scene.faults.clear()
    building.pass_time(60)
    eventually(lambda: len(building.scene.images) == 2)
    building.starts_from(building.newest.fingerprint)
    building.settle()
    assert building.detail("warnings") == ()


def test_while_lxd_is_away_the_image_stays_and_nobody_is_warned_of_it(building: Play) -> None:
    first = built(building)
    for call in ("look", "clean_up"):
        building.scene.faults[call] = ImageFailed("LXD is away", outage=True)
    building.pass_time(6 * HOUR)
    building.settle()
    assert building.fleet[-1].image == first.fingerprint
    assert building.detail("warnings") == ()


def test_while_a_build_goes_on_the_image_in_use_is_looked_after(building: Play) -> None:
    first = built(building)
    gate = building.scene.hold("build")
    building.tell(ApplicationChanged(NEWER))
    eventually(lambda: len(building.scene.builds) == 2)
    building.scene.images.clear()
    building.world.clock.advance(60)
    building.lacks("there is no image to start from")
    building.scene.images.append(first)
    building.world.clock.advance(60)
    building.starts_from(first.fingerprint)
    gate.set()


def test_what_was_built_for_settings_of_before_is_not_used(building: Play) -> None:
    first = built(building)
    gate = building.scene.hold("build")
    building.reconfigure(image_extra_packages="cmake")
    eventually(lambda: len(building.scene.builds) == 2)
    building.reconfigure(image_extra_packages="clang")
    gate.set()
    eventually(lambda: len(building.scene.images) == 3)
    building.starts_from(building.newest.fingerprint)
    assert building.used() == [first.fingerprint, building.newest.fingerprint]


def test_what_a_look_has_found_for_settings_of_before_is_not_used(building: Play) -> None:
    first = built(building)
    building.reconfigure(image_extra_packages="cmake")
    eventually(lambda: len(building.scene.images) == 2)
    building.starts_from(building.newest.fingerprint)
    building.reconfigure(virtual_machines=2)
    building.starts_from(first.fingerprint)
    building.settle()
    building.fleet.clear()
    gate, looks = building.scene.hold("look"), building.scene.calls.count("look")
    building.reconfigure(image_extra_packages="cmake")
    eventually(lambda: building.scene.calls.count("look") == looks + 1)
    building.reconfigure(image_extra_packages="clang")
    gate.set()
    eventually(lambda: len(building.scene.images) == 3)
    building.starts_from(building.newest.fingerprint)
    assert building.used() == [building.newest.fingerprint]


def test_what_was_built_meanwhile_is_used_after_a_change_that_does_not_concern_it(
    building: Play,
) -> None:
    built(building)
    gate = building.scene.hold("build")
    building.tell(ApplicationChanged(NEWER))
    eventually(lambda: len(building.scene.builds) == 2)
    building.reconfigure(virtual_machines=3)
    gate.set()
    eventually(lambda: len(building.scene.images) == 2)
    building.starts_from(building.newest.fingerprint)
    building.settle()
    assert len(building.scene.builds) == 2


def test_what_can_not_be_removed_is_said_and_has_no_build_tried_sooner(building: Play) -> None:
    built(building)
    building.scene.faults["build"] = ImageFailed("provisioning failed")
    building.tell(ApplicationChanged(NEWER))
    for minutes in (1, 2, 4, 8):
        building.pass_time(minutes * 60)
    building.settle()
    builds = len(building.scene.builds)
    building.scene.faults["clean_up"] = ImageFailed("LXD refuses to delete it")
    for _ in range(15):
        building.pass_time(60)
    building.settle()
    assert len(building.scene.builds) == builds
    assert "image: what is not needed stays for now: LXD refuses to delete it" in building.detail(
        "warnings"
    )
    building.scene.faults.clear()
    building.pass_time(60)
    eventually(lambda: building.detail("warnings") == ())


# Looking after it


def test_packages_are_looked_at_in_each_interval_and_old_ones_make_another_image(
    building: Play,
) -> None:
    built(building)
    building.pass_time(6 * HOUR)
    eventually(lambda: building.scene.calls.count("probe") == 1)
    building.settle()
    assert len(building.scene.images) == 1
    building.scene.outdated = True
    building.pass_time(6 * HOUR)
    eventually(lambda: len(building.scene.images) == 2)
    building.starts_from(building.newest.fingerprint)


def test_an_old_image_goes_when_no_instance_is_made_from_it_any_more(building: Play) -> None:
    first = built(building)
    life = Life(Stage.CREATING, building.world.clock.now())
    building.world.parts.roster.put(Entry("fleet-aaaaaaaa", "g", life))
    building.tell(ApplicationChanged(NEWER))
    eventually(lambda: len(building.scene.images) == 2)
    building.starts_from(building.newest.fingerprint)
    building.pass_time(60)
    building.settle()
    # The one that is being made may be made from the former one.
    assert building.scene.spared[-1] == {first.fingerprint, building.newest.fingerprint}
    assert len(building.scene.images) == 2
    building.world.parts.roster.drop("fleet-aaaaaaaa")
    building.pass_time(60)
    eventually(lambda: len(building.scene.images) == 1)
    assert building.scene.spared[-1] == {building.newest.fingerprint}


def test_a_former_image_stays_for_a_minute_as_the_fleet_may_not_know_yet(building: Play) -> None:
    first = built(building)
    building.world.clock.advance(59)
    building.tell(ApplicationChanged(NEWER))
    eventually(lambda: len(building.scene.images) == 2)
    building.starts_from(building.newest.fingerprint)
    building.pass_time(1)
    building.settle()
    assert building.scene.spared[-1] == {first.fingerprint, building.newest.fingerprint}
    building.pass_time(60)
    building.settle()
    assert building.scene.spared[-1] == {building.newest.fingerprint}


def test_a_former_image_is_not_spared_for_longer_than_a_runner_may_take_to_be_made(
    building: Play,
) -> None:
    built(building)
    life = Life(Stage.CREATING, building.world.clock.now())
    building.world.parts.roster.put(Entry("fleet-aaaaaaaa", "g", life))
    building.tell(ApplicationChanged(NEWER))
    eventually(lambda: len(building.scene.images) == 2)
    for _ in range(21):
        building.pass_time(60)
    building.settle()
    assert len(building.scene.images) == 1


def test_an_image_that_somebody_deletes_is_built_again(building: Play) -> None:
    built(building)
    building.scene.images.clear()
    gate = building.scene.hold("build")
    building.pass_time(60)
    building.lacks("there is no image to start from")
    gate.set()
    eventually(lambda: building.scene.images)
    building.starts_from(building.newest.fingerprint)


def test_an_image_for_other_instances_is_of_no_use(building: Play) -> None:
    first = built(building)
    gate = building.scene.hold("build")
    building.reconfigure(lxd={"image": None, "instance-type": "container"})
    building.lacks("there is no image to start from")
    gate.set()
    assert first.type == "virtual-machine"
    eventually(lambda: building.fleet[-1].instance_type == "container")
    assert building.fleet[-1].image != first.fingerprint


def test_other_instances_do_not_wait_for_a_build_to_end(building: Play) -> None:
    first = built(building)
    other = building.scene.add("0" * 64, type="container")
    gate = building.scene.hold("build")
    building.tell(ApplicationChanged(NEWER))
    eventually(lambda: len(building.scene.builds) == 2)
    building.reconfigure(lxd={"image": None, "instance-type": "container"})
    building.starts_from(other.fingerprint)
    building.reconfigure(lxd={"image": "github-runner"})
    building.starts_from(PREPARED)
    building.reconfigure(lxd={"image": None})
    building.starts_from(first.fingerprint)
    gate.set()


# Orders


def test_an_ordered_build_is_done_though_nothing_has_changed(building: Play) -> None:
    first = built(building)
    ordered = building.order()
    assert isinstance(ordered, BuildOrdered)
    eventually(lambda: building.detail("orders") == ordered.done_by)
    assert building.detail("incarnation") == ordered.incarnation
    assert building.scene.builds[-1]["forced"] is True
    building.starts_from(building.newest.fingerprint)
    assert building.newest.fingerprint != first.fingerprint


def test_orders_during_a_build_are_one_more_build(building: Play) -> None:
    built(building)
    gate = building.scene.hold("build")
    orders = [building.order()]
    eventually(lambda: len(building.scene.builds) == 2)
    orders += [building.order(), building.order()]
    assert [one.done_by for one in orders] == [1, 2, 3]
    gate.set()
    eventually(lambda: building.detail("orders") == 3)
    building.settle()
    assert len(building.scene.builds) == 3


def test_an_order_outlasts_a_change_of_the_configuration(building: Play) -> None:
    built(building)
    building.tell(SignalsListening(""))
    building.order()
    building.reconfigure(virtual_machines=3)
    building.settle()
    assert building.detail("lacks") == "guests can't report yet"
    building.furnish()
    eventually(lambda: building.detail("orders") == 1)


def test_an_ordered_build_that_fails_is_done_and_says_so(building: Play) -> None:
    built(building)
    building.scene.faults["build"] = ImageFailed("no route to anywhere")
    building.order()
    eventually(lambda: building.detail("orders") == 1)
    assert building.detail("error") == "no route to anywhere"


# Its own end


def test_after_a_crash_during_a_build_it_finds_what_was_built(building: Play) -> None:
    gate = building.scene.hold("build")
    building.run()
    eventually(lambda: building.scene.builds)
    building.tell(Crash("a test"))
    eventually(lambda: len(building.asked) == 8)
    building.furnish()
    gate.set()
    eventually(lambda: building.scene.images)
    building.starts_from(building.newest.fingerprint)
    building.settle()
    assert len(building.scene.builds) == 1


def test_after_a_crash_during_a_build_runners_start_from_the_image_of_before(
    building: Play,
) -> None:
    first = built(building)
    gate = building.scene.hold("build")
    building.tell(ApplicationChanged(NEWER))
    eventually(lambda: len(building.scene.builds) == 2)
    building.fleet.clear()
    building.tell(Crash("a test"))
    building.starts_from(first.fingerprint)
    building.furnish()
    gate.set()
    eventually(lambda: len(building.scene.images) == 2)
    building.starts_from(building.newest.fingerprint)


def test_a_fault_of_ours_in_its_work_restarts_it(
    building: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    bugs = [RuntimeError("a bug")]
    sound = FakeWork.clean_up

    def clean_up(work: FakeWork, in_use: frozenset[str]) -> Any:
        if bugs:
            raise bugs.pop()
        return sound(work, in_use)

    monkeypatch.setattr(FakeWork, "clean_up", clean_up)
    building.run(furnished=False)
    eventually(lambda: len(building.asked) == 8)
    building.furnish()
    eventually(lambda: building.scene.images)
    building.starts_from(building.newest.fingerprint)


def test_a_fleet_that_starts_anew_is_told_again(prepared: Play) -> None:
    prepared.run()
    prepared.starts_from(PREPARED)
    prepared.settle()
    prepared.fleet.clear()
    prepared.tell(AnnounceImage())
    eventually(lambda: prepared.fleet == [image_of(PREPARED)])


# From one kind to the other


def test_from_a_prepared_image_to_a_built_one_and_back(make_play: MakePlay) -> None:
    play = make_play().run()
    play.starts_from(PREPARED)
    play.reconfigure(lxd={"image": None})
    eventually(lambda: play.scene.images)
    play.starts_from(play.newest.fingerprint)
    play.settle()
    play.reconfigure(lxd={"image": "github-runner"})
    play.starts_from(PREPARED)
    play.settle()
    assert play.detail("prepared") == "github-runner"


def test_what_is_built_for_settings_that_have_gone_is_not_used(building: Play) -> None:
    gate = building.scene.hold("build")
    building.run()
    eventually(lambda: building.scene.builds)
    building.reconfigure(lxd={"image": "github-runner"})
    gate.set()
    building.starts_from(PREPARED)
    building.settle()
    assert building.fleet[-1] == image_of(PREPARED)


def test_times_are_those_of_the_clock(building: Play) -> None:
    built(building)
    next_look = datetime.fromisoformat(building.detail("next_look"))
    assert next_look - building.world.clock.now() == timedelta(hours=6)
