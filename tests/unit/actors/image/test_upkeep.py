"""Looking after what was built: packages, former images, those that somebody deletes."""

from __future__ import annotations

from waiting import eventually

from supervisor.lifecycle import Life, Stage
from supervisor.messages.upgrades import ApplicationChanged
from supervisor.runners.roster import Entry
from tests.unit.actors.image.play import HOUR, NEWER, PREPARED, Play, built


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
