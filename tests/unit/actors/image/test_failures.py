"""What goes wrong with a build or a look keeps the image in use."""

from __future__ import annotations

from waiting import eventually

from supervisor.messages.upgrades import ApplicationChanged
from supervisor.work.image import ImageFailed
from tests.unit.actors.image.play import HOUR, NEWER, MakePlay, Play, built


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
