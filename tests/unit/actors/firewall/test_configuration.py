"""What is configured, and what names stand for, is what comes into force."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface

from fake_world import MakeWorld
from waiting import eventually

from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.firewall import AnnounceFirewall, CheckFirewall
from supervisor.work.firewall import Surroundings
from tests.unit.actors.firewall.kernel import BRIDGE, Kernel, in_place, notify, start, started


def test_the_fleet_is_told_when_it_is_in_place(make_world: MakeWorld, kernel: Kernel) -> None:
    world = make_world(denylist="10.0.0.0/8, 192.168.0.0/16")
    started(world)
    assert world.shown("firewall") == ("ready", "it guards bridge lxdbr0: 2 denied, 0 allowed")
    shown = world.details("firewall")
    assert shown["in_place"]
    assert shown["in_place_since"] == shown["verified_at"] == world.clock.now().isoformat()
    assert shown["table"] == "github-runners.fleet.lxdbr0"
    assert shown["services"] == ["10.9.0.1:8642"]


def test_it_says_so_again_to_a_fleet_that_asks(make_world: MakeWorld, kernel: Kernel) -> None:
    world = make_world()
    told = started(world)
    world.tell("firewall", AnnounceFirewall())
    eventually(lambda: told == [in_place(world)] * 2)
    assert len(kernel.ensured) == 1


def test_another_denylist_is_put_in_place_without_asking_anybody(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    world = make_world()
    told = started(world)
    before = in_place(world)
    kernel.asking_gate.clear()
    world.reconfigure(denylist="198.51.100.0/24")
    world.tell("firewall", ConfigChanged(world.parts.settings.config))
    eventually(lambda: [len(policy.denied) for policy in kernel.applied] == [0, 1])
    eventually(lambda: "1 denied" in world.shown("firewall")[1])
    eventually(lambda: told == [before, in_place(world)])
    assert world.details("firewall")["healed"] == 0
    kernel.asking_gate.set()
    eventually(lambda: world.details("firewall")["checks"] == 2)


def test_a_configuration_read_during_a_look_is_in_force_only_with_the_next(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    world = make_world()
    told = started(world)
    before = in_place(world)
    kernel.asking_gate.clear()
    kernel.gate.clear()
    notify(world)
    eventually(lambda: len(kernel.ensured) == 2)
    world.reconfigure(denylist="198.51.100.0/24")
    world.tell("firewall", ConfigChanged(world.parts.settings.config))
    eventually(lambda: world.waiting("firewall") == 0)
    kernel.gate.set()
    eventually(lambda: told[-1] == in_place(world))
    assert told == [before, in_place(world)]
    assert [len(policy.denied) for policy in kernel.ensured] == [0, 0, 1]


def test_a_proxy_that_was_not_looked_up_yet_is_not_said_to_be_open(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    world = make_world()
    told = started(world)
    kernel.asking_gate.clear()
    world.reconfigure(http_proxy="http://proxy.example:3128")
    world.tell("firewall", ConfigChanged(world.parts.settings.config))
    eventually(lambda: told[1:] == [replace(in_place(world), intent=None)])
    kernel.around = Surroundings(BRIDGE, {"proxy.example": (ip_interface("10.7.7.7/32").ip,)})
    kernel.asking_gate.set()
    eventually(lambda: told[2:] == [in_place(world)])


def test_a_denylist_that_can_not_be_put_in_place_is_told(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    world = make_world()
    told = started(world)
    kernel.failure = "no room"
    world.reconfigure(denylist="198.51.100.0/24")
    world.tell("firewall", ConfigChanged(world.parts.settings.config))
    eventually(lambda: world.shown("firewall") == ("failing", "no room"))
    eventually(lambda: not told[-1].in_place)


def test_what_a_name_stands_for_now_is_what_is_open(make_world: MakeWorld, kernel: Kernel) -> None:
    kernel.around = Surroundings(BRIDGE, {"proxy.example": ()})
    world = make_world(http_proxy="http://proxy.example:3128")
    started(world)
    addresses = {"proxy.example": (ip_interface("10.7.7.7/32").ip,)}
    kernel.around = Surroundings(BRIDGE, addresses, ("a warning",))
    world.tell("firewall", CheckFirewall())
    eventually(lambda: world.details("firewall")["checks"] == 2)
    assert [str(one) for one in kernel.applied[-1].elsewhere] == ["10.7.7.7:3128"]
    assert world.details("firewall")["warnings"] == ("a warning",)


def test_the_fleet_is_told_which_debug_servers_runners_can_not_reach(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    servers = {("10.9.0.1", 22): "10.9.0.1 is an address of this host"}
    kernel.around = Surroundings(BRIDGE, servers=servers)
    world = make_world()
    told = start(world)
    eventually(lambda: told == [replace(in_place(world), servers=servers)])


def test_an_external_firewall_is_left_to_others_with_a_standing_warning(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    kernel.around = Surroundings(warnings=("firewall: external: nothing here holds the guests",))
    world = make_world(firewall="external")
    told = started(world)
    before = in_place(world)
    assert world.shown("firewall") == ("ready", "firewall: external: it is left to others")
    assert world.details("firewall")["warnings"] == kernel.around.warnings
    world.reconfigure(firewall="external", denylist="10.0.0.0/8")
    world.tell("firewall", ConfigChanged(world.parts.settings.config))
    eventually(lambda: world.details("firewall")["checks"] == 2)
    eventually(lambda: told == [before, in_place(world)])
    assert (kernel.ensured, world.nftables.monitors) == ([], [])


def test_warnings_of_what_is_there_besides_are_shown(make_world: MakeWorld, kernel: Kernel) -> None:
    kernel.warnings = ("nft table inet x is of an earlier lxd.network",)
    world = make_world()
    started(world)
    assert world.details("firewall")["warnings"] == kernel.warnings
