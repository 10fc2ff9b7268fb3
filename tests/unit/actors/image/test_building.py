"""One that is built: when, of what, and for which settings."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from fake_actors import APPLICATION, guarded, image_of
from waiting import eventually

from supervisor.messages.firewall import AnnounceFirewall, FirewallChanged
from supervisor.messages.signals import AnnounceSignals, SignalsListening
from supervisor.messages.storage import AnnounceStorage, StorageChanged
from supervisor.messages.upgrades import AnnounceApplication, ApplicationChanged
from tests.unit.actors.image.play import HOUR, NEWER, PREPARED, MakePlay, Play, built

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
