"""Which runners are replaced by newer ones, one after the other, and which are not."""

from __future__ import annotations

from dataclasses import replace

from fake_actors import APPLICATION, FILENAME, IMAGE, guarded, image_of
from fake_world import MakeWorld
from waiting import eventually

from supervisor.host.storage import wanted_bytes
from supervisor.lifecycle import GuestReady, Job, JobFinished, JobStarted
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.firewall import FirewallChanged
from supervisor.messages.fleet import Drain, Reconcile
from supervisor.messages.image import ImageChanged
from supervisor.messages.runner import Happened
from supervisor.messages.storage import StorageChanged
from supervisor.messages.upgrades import ApplicationChanged
from supervisor.runners.blueprints import blueprint_of
from supervisor.runners.instances import USER_DATA
from supervisor.upgrades.application import Application
from tests.unit.actors.fleet.running import generation_of, goes, ready, reconciles_done, start

NEWER = Application("https://github.example/newer", "1" * 64, FILENAME.replace("300", "301"))


def test_runners_without_a_filter_of_ipv6_are_replaced_when_the_kernel_lets_lxd_filter_it(
    make_world: MakeWorld,
) -> None:
    def filters_of(name: str) -> list[str]:
        return [key for key in world.lxd.requests[name]["devices"]["eth0"] if "ipv6" in key]

    world = make_world(virtual_machines=1)
    config = world.parts.settings.config
    start(world, firewall=guarded(config, filters_ipv6=False))
    eventually(lambda: world.stages() == {"booting": 1})
    (first,) = world.names()

    world.tell("fleet", guarded(config))

    eventually(lambda: first not in world.names() and world.stages() == {"booting": 1})
    (second,) = world.names()
    assert (filters_of(first), filters_of(second)) == ([], ["security.ipv6_filtering"])


def test_no_runner_is_replaced_before_it_is_known_what_lxd_can_filter(
    make_world: MakeWorld,
) -> None:
    world = make_world(virtual_machines=1)
    config = world.parts.settings.config
    without = blueprint_of(
        config, ipv6_filtering=False, application=APPLICATION.sha256, image=IMAGE
    ).generation
    number = str(world.github.add("fleet-aaaaaaaa", online=True))
    marks = {"installation": "fleet", "generation": without, "runner_id": number}
    world.lxd.put("fleet-aaaaaaaa", stage="ready", **marks)
    start(world, firewall=FirewallChanged(in_place=False, reason="not looked at yet"))
    eventually(lambda: reconciles_done(world) == 1)
    eventually(lambda: world.names() == ["fleet-aaaaaaaa"])
    world.tell("fleet", guarded(config, filters_ipv6=False))
    world.tell("fleet", Reconcile("a test"))
    eventually(lambda: reconciles_done(world) >= 2)
    assert world.names() == ["fleet-aaaaaaaa"]
    assert world.github.deleted == []
    world.tell("fleet", guarded(config))
    eventually(lambda: world.github.deleted == ["fleet-aaaaaaaa"])


SERVER = {
    "host": "10.5.0.7",
    "port": 22,
    "rsa-fingerprint": "SHA256:" + "r" * 43,
    "ed25519-fingerprint": "SHA256:" + "e" * 43,
}


def test_no_runner_is_replaced_for_a_debug_server_that_runners_can_not_reach(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    ready(world)
    eventually(lambda: world.stages() == {"ready": 1})
    names = world.names()
    world.reconfigure(virtual_machines=1, ssh_debug=[SERVER])
    config = world.parts.settings.config
    world.tell("fleet", ConfigChanged(config))
    left_out = {("10.5.0.7", 22): "10.5.0.7 is an address of this host"}
    world.tell("fleet", replace(guarded(config), servers=left_out))
    reconciles = reconciles_done(world)
    world.tell("fleet", Reconcile("a test"))
    eventually(lambda: reconciles_done(world) > reconciles)
    assert world.names() == names
    assert world.stages() == {"ready": 1}
    world.tell("fleet", guarded(config))
    eventually(lambda: world.names() != names)


def test_in_a_pool_of_our_own_a_busy_runner_of_older_settings_keeps_its_place(
    make_world: MakeWorld,
) -> None:
    world = make_world(virtual_machines=1, runner_storage="memory")
    ready = StorageChanged("fleet-memory", wanted_bytes(world.parts.settings.config))
    start(world, storage=ready)
    eventually(lambda: world.stages() == {"booting": 1})
    (first,) = world.names()
    world.tell(first, Happened(JobStarted(Job(name="test"))))
    eventually(lambda: world.stages() == {"busy": 1})
    world.reconfigure(labels="new")
    world.tell("fleet", ConfigChanged(world.parts.settings.config))
    world.settle()
    assert world.names() == [first]
    goes(world, first)
    eventually(lambda: world.stages() == {"booting": 1} and world.names() != [first])


def test_other_labels_and_more_runners_at_once_wait_for_no_job_in_a_pool_of_our_own(
    make_world: MakeWorld,
) -> None:
    world = make_world(virtual_machines=2, runner_storage="memory")
    ready_pool = StorageChanged("fleet-memory", wanted_bytes(world.parts.settings.config))
    start(world, storage=ready_pool)
    eventually(lambda: world.stages() == {"booting": 2})
    busy, idle = world.names()
    world.tell(busy, Happened(JobStarted(Job(name="test"))))
    world.tell(idle, Happened(GuestReady()))
    eventually(lambda: world.stages() == {"busy": 1, "ready": 1})
    world.reconfigure(labels="new", virtual_machines=4)
    config = world.parts.settings.config
    world.tell("fleet", ConfigChanged(config))
    eventually(lambda: "the storage pool is being made ready" in world.shown("fleet")[1])
    world.tell("fleet", StorageChanged("fleet-memory", wanted_bytes(config)))
    eventually(lambda: len(world.names()) == 4)

    def is_whole() -> bool:
        ready(world)
        return world.stages() == {"busy": 1, "ready": 3} and idle not in world.names()

    eventually(is_whole)
    goes(world, busy)
    eventually(lambda: len(world.names()) == 4 and busy not in world.names())
    assert world.lxd.most_there <= 4


def test_a_guest_is_given_the_application_that_is_verified_when_it_is_ordered(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    (first,) = world.names()
    world.tell("fleet", ApplicationChanged(NEWER))
    eventually(lambda: world.stages() == {"booting": 1} and first not in world.names())
    (second,) = world.names()
    given = [world.lxd.requests[name]["config"][USER_DATA] for name in (first, second)]
    assert [APPLICATION.sha256 in given[0], NEWER.sha256 in given[1]] == [True, True]


def test_idle_runners_of_a_prepared_image_are_replaced_by_ones_with_the_newer_application(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=2, max_unavailable="1"))
    eventually(lambda: world.stages() == {"booting": 2})
    ready(world)
    eventually(lambda: world.stages() == {"ready": 2})
    before = set(world.names())
    world.tell("fleet", ApplicationChanged(NEWER))
    eventually(lambda: world.stages() == {"ready": 1, "booting": 1})
    assert len(before & set(world.names())) == 1


def test_no_runner_is_replaced_before_an_application_is_verified(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=1)
    number = str(world.github.add("fleet-aaaaaaaa", online=True))
    marks = {"installation": "fleet", "generation": generation_of(world), "runner_id": number}
    world.lxd.put("fleet-aaaaaaaa", stage="ready", **marks)
    start(world, upgrades=ApplicationChanged(reason="it is being verified"))
    eventually(lambda: world.names() == ["fleet-aaaaaaaa"])
    world.tell("fleet", Reconcile("a test"))
    eventually(lambda: reconciles_done(world) >= 2)
    world.tell("fleet", ApplicationChanged(APPLICATION))
    eventually(lambda: world.shown("fleet") == ("keeping", "1 of 1 runners are there"))
    assert world.github.deleted == []


def test_a_fleet_without_an_application_can_be_drained(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=1)
    number = str(world.github.add("fleet-aaaaaaaa", online=True))
    marks = {"installation": "fleet", "generation": generation_of(world), "runner_id": number}
    world.lxd.put("fleet-aaaaaaaa", stage="ready", **marks)
    start(world, upgrades=ApplicationChanged(reason="GitHub offers none"))
    eventually(lambda: world.names() == ["fleet-aaaaaaaa"])
    world.parts.drain.set(world.clock.now())
    world.tell("fleet", Drain())
    eventually(lambda: world.github.deleted == ["fleet-aaaaaaaa"])


def test_idle_runners_of_an_older_image_are_replaced_one_after_the_other_and_busy_ones_end(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=2, max_unavailable="1"))
    eventually(lambda: world.stages() == {"booting": 2})
    ready(world)
    eventually(lambda: world.stages() == {"ready": 2})
    busy, idle = world.names()
    world.tell(busy, Happened(JobStarted(Job())))
    eventually(lambda: world.stages() == {"busy": 1, "ready": 1})
    world.tell("fleet", image_of("2b" * 32))
    # Who ends a job under other settings is one more than wanted.
    eventually(lambda: world.stages() == {"busy": 1, "booting": 2})
    assert idle not in world.names()
    for name in set(world.names()) - {busy}:
        assert world.lxd.requests[name]["source"]["fingerprint"] == "2b" * 32


def test_no_runner_is_replaced_or_made_while_there_is_no_image(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=2))
    eventually(lambda: world.stages() == {"booting": 2})
    ready(world)
    eventually(lambda: world.stages() == {"ready": 2})
    before = world.names()
    world.tell("fleet", ImageChanged(reason="it was deleted"))
    world.tell("fleet", Reconcile("a test"))
    eventually(lambda: "none is created now: it was deleted" in world.shown("fleet")[1])
    assert reconciles_done(world) >= 2
    assert world.names() == before
    world.tell("fleet", image_of(IMAGE))
    eventually(lambda: world.shown("fleet") == ("keeping", "2 of 2 runners are there"))
    assert world.github.deleted == []


def test_newer_versions_are_looked_for_when_a_job_begins_and_when_it_ends(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    (name,) = world.names()
    assert world.upgrade_looks == []
    world.tell(name, Happened(JobStarted(Job())))
    eventually(lambda: len(world.upgrade_looks) == 1)
    world.tell(name, Happened(JobFinished()))
    eventually(lambda: len(world.upgrade_looks) >= 2)
    assert {look.fresh_s for look in world.upgrade_looks} == {10.0}
