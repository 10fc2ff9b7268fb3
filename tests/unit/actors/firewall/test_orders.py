"""A look that is ordered, and the end of all looks."""

from __future__ import annotations

from fake_world import MakeWorld
from waiting import eventually

from supervisor.messages.firewall import CheckFirewall, CheckOrdered
from supervisor.work.firewall import Surroundings
from tests.unit.actors.firewall.kernel import BRIDGE, MAC, Kernel, started


def test_an_order_names_the_runners_and_says_when_it_is_done(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    world = make_world()
    started(world)
    shown = world.details("firewall")
    assert shown["rejected_of"] == {}
    assert shown["rejected_of_others"] == {"packets": 5, "bytes": 300}
    kernel.around = Surroundings(BRIDGE, runners={MAC: "fleet-aaaaaaaa"})
    ref = world.system.directory.ref("firewall")
    assert ref is not None
    incarnation = world.details("firewall")["incarnation"]
    assert ref.ask(CheckFirewall(with_runners=True), timeout=5) == CheckOrdered(2, incarnation)
    eventually(lambda: world.details("firewall")["checks"] == 2)
    assert [with_runners for _, with_runners in kernel.asked] == [False, True]
    shown = world.details("firewall")
    assert shown["rejected_of"] == {"fleet-aaaaaaaa": {"packets": 3, "bytes": 180}}
    assert shown["rejected_of_others"] == {"packets": 2, "bytes": 120}
    assert shown["rejected"] == {"packets": 5, "bytes": 300}


def test_an_order_during_a_look_is_done_with_the_next_one(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    world = make_world()
    started(world)
    kernel.asking_gate.clear()
    ref = world.system.directory.ref("firewall")
    assert ref is not None
    assert ref.ask(CheckFirewall(), timeout=5).done_by == 2
    assert ref.ask(CheckFirewall(with_runners=True), timeout=5).done_by == 3
    assert ref.ask(CheckFirewall(), timeout=5).done_by == 3
    kernel.asking_gate.set()
    eventually(lambda: world.details("firewall")["checks"] == 3)
    assert [with_runners for _, with_runners in kernel.asked] == [False, False, True]


def test_it_listens_no_more_when_it_has_ended(make_world: MakeWorld, kernel: Kernel) -> None:
    world = make_world()
    started(world)
    world.system.stop(5)
    assert [monitor.closed for monitor in world.nftables.monitors] == [True]
