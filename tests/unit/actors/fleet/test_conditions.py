"""What must be there before a runner is made: pool, policy, firewall, application, image."""

from __future__ import annotations

import pytest
from fake_actors import APPLICATION, IMAGE, guarded, image_of
from fake_world import MakeWorld
from waiting import eventually

from supervisor.host.storage import wanted_bytes
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.firewall import FirewallChanged
from supervisor.messages.image import ImageChanged
from supervisor.messages.policy import PolicyChanged
from supervisor.messages.signals import SignalsListening
from supervisor.messages.storage import StorageChanged
from supervisor.messages.upgrades import ApplicationChanged
from tests.unit.actors.fleet.running import ready, start


def test_nothing_is_created_before_guests_can_report(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=2), signals=False)
    eventually(lambda: "guests can't report yet" in world.shown("fleet")[1])
    eventually(lambda: world.lxd.count("instances") == 1)
    assert world.github.asked == []
    world.tell("fleet", SignalsListening("http://127.0.0.1:8642"))
    eventually(lambda: world.stages() == {"booting": 2})


def test_nothing_is_created_before_there_is_a_pool(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=2), storage=StorageChanged(reason="no btrfs-progs"))
    why = "0 of 2 runners are there; none is created now: no btrfs-progs"
    eventually(lambda: world.shown("fleet")[1] == why)
    eventually(lambda: world.lxd.count("instances") == 1)
    world.settle()
    assert world.github.asked == []
    world.tell("fleet", StorageChanged("default"))
    eventually(lambda: world.stages() == {"booting": 2})


def test_a_pool_that_is_lost_stops_creations_and_harms_no_runner(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    world.tell("fleet", StorageChanged(reason="LXD has no storage pool default"))
    world.reconfigure(virtual_machines=2)
    world.tell("fleet", ConfigChanged(world.parts.settings.config))
    eventually(lambda: "none is created now: LXD has no" in world.shown("fleet")[1])
    world.settle()
    assert world.stages() == {"booting": 1}


def test_without_a_healthy_policy_service_no_runner_is_made_and_the_reason_is_shown(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=2, policy={"mode": "builtin"}))
    said = "none is created now: the policy service has not been looked at yet"
    eventually(lambda: said in world.shown("fleet")[1])
    world.tell("fleet", PolicyChanged(healthy=False, reason="the policy service is starting"))
    eventually(lambda: "the policy service is starting" in world.shown("fleet")[1])
    world.settle()
    assert world.stages() == {}
    world.tell("fleet", PolicyChanged(healthy=True, base="http://127.0.0.1:8643"))
    eventually(lambda: world.stages() == {"booting": 2})


def test_a_policy_service_that_is_lost_stops_creations_and_harms_no_runner(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=1, policy={"mode": "builtin"}))
    well = PolicyChanged(healthy=True, base="http://127.0.0.1:8643")
    world.tell("fleet", well)
    eventually(lambda: world.stages() == {"booting": 1})
    world.tell("fleet", PolicyChanged(healthy=False, reason="it does not answer"))
    world.reconfigure(virtual_machines=3)
    world.tell("fleet", ConfigChanged(world.parts.settings.config))
    eventually(lambda: "none is created now: it does not answer" in world.shown("fleet")[1])
    world.settle()
    assert world.stages() == {"booting": 1}
    assert world.github.ahead == []
    world.tell("fleet", well)
    eventually(lambda: world.stages() == {"booting": 3})


def test_more_runners_wait_until_their_pool_has_grown(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=1, runner_storage="memory")
    ready = StorageChanged("fleet-memory", wanted_bytes(world.parts.settings.config))
    start(world, storage=ready)
    eventually(lambda: world.stages() == {"booting": 1})
    world.reconfigure(virtual_machines=3)
    world.tell("fleet", ConfigChanged(world.parts.settings.config))
    eventually(lambda: "the storage pool is being made ready" in world.shown("fleet")[1])
    assert world.stages() == {"booting": 1}
    larger = wanted_bytes(world.parts.settings.config)
    world.tell("fleet", StorageChanged("fleet-memory", larger))
    eventually(lambda: world.stages() == {"booting": 3})
    world.reconfigure(virtual_machines=2)
    world.tell("fleet", ConfigChanged(world.parts.settings.config))
    eventually(lambda: world.stages() == {"booting": 2})
    assert {r["devices"]["root"]["pool"] for r in world.lxd.requests.values()} == {"fleet-memory"}


def test_nothing_is_created_before_the_firewall_is_in_place(make_world: MakeWorld) -> None:
    missing = FirewallChanged(in_place=False, reason="the firewall is not in place: no nft")
    world = start(make_world(virtual_machines=2), firewall=missing)
    eventually(lambda: "none is created now: the firewall is not" in world.shown("fleet")[1])
    eventually(lambda: world.lxd.count("instances") == 1)
    assert world.github.asked == []
    assert world.github.ahead == []
    world.tell("fleet", guarded(world.parts.settings.config))
    eventually(lambda: world.stages() == {"booting": 2})


def test_nothing_is_created_before_a_runner_application_is_verified(make_world: MakeWorld) -> None:
    missing = ApplicationChanged(reason="GitHub gives no SHA-256 for it")
    world = start(make_world(virtual_machines=2), upgrades=missing)
    lacks = "no verified runner application yet: GitHub gives no SHA-256 for it"
    eventually(lambda: f"none is created now: {lacks}" in world.shown("fleet")[1])
    eventually(lambda: world.lxd.count("instances") == 1)
    assert world.github.asked == []
    assert world.github.ahead == []
    world.tell("fleet", ApplicationChanged(APPLICATION))
    eventually(lambda: world.stages() == {"booting": 2})


def test_nothing_is_created_before_there_is_an_image(make_world: MakeWorld) -> None:
    missing = ImageChanged(reason="there is no image to start from: the first is being built")
    world = start(make_world(virtual_machines=2), image=missing)
    eventually(lambda: f"none is created now: {missing.reason}" in world.shown("fleet")[1])
    eventually(lambda: world.lxd.count("instances") == 1)
    assert world.github.asked == []
    assert world.github.ahead == []
    world.tell("fleet", image_of(IMAGE))
    eventually(lambda: world.stages() == {"booting": 2})
    sources = [request["source"] for request in world.lxd.requests.values()]
    assert sources == [{"type": "image", "fingerprint": IMAGE}] * 2


def test_no_runner_starts_from_an_image_for_other_instances(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=2))
    eventually(lambda: world.stages() == {"booting": 2})
    ready(world)
    eventually(lambda: world.stages() == {"ready": 2})
    before = world.names()
    world.reconfigure(virtual_machines=4, lxd={"instance-type": "container"})
    world.tell("fleet", ConfigChanged(world.parts.settings.config))
    missing = "none is created now: the image is being changed to what is configured"
    eventually(lambda: missing in world.shown("fleet")[1])
    assert world.names() == before
    world.tell("fleet", image_of("2b" * 32, "container"))
    eventually(lambda: world.stages()["booting"] >= 2)
    for name in set(world.lxd.requests) - set(before):
        assert world.lxd.requests[name]["source"]["fingerprint"] == "2b" * 32


def test_a_firewall_that_is_lost_stops_creations_and_harms_no_runner(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=2))
    eventually(lambda: world.stages() == {"booting": 2})
    ready(world)
    eventually(lambda: world.stages() == {"ready": 2})
    world.tell("fleet", FirewallChanged(in_place=False, reason="nft is gone"))
    world.reconfigure(virtual_machines=3)
    world.tell("fleet", ConfigChanged(world.parts.settings.config))
    eventually(lambda: "none is created now: nft is gone" in world.shown("fleet")[1])
    assert world.stages() == {"ready": 2}
    world.tell("fleet", guarded(world.parts.settings.config))
    eventually(lambda: world.stages() == {"ready": 2, "booting": 1})


@pytest.mark.parametrize(
    "change",
    [
        {"denylist": "10.0.0.0/8"},
        {"allowlist": "10.1.2.3:443"},
        {"http_proxy": "http://proxy.example:3128"},
    ],
)
def test_no_runner_is_created_before_what_is_configured_is_in_force(
    make_world: MakeWorld, change: dict[str, str]
) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    world.reconfigure(virtual_machines=2, max_unavailable="100%", **change)
    config = world.parts.settings.config
    world.tell("fleet", ConfigChanged(config))
    eventually(lambda: "being changed to what is configured" in world.shown("fleet")[1])
    assert world.lxd.count("create") == 1
    world.tell("fleet", guarded(config))
    eventually(lambda: world.stages() == {"booting": 2})
