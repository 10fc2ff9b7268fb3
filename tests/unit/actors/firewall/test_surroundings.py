"""What LXD, the bridge and others beside it mean for the table."""

from __future__ import annotations

from fake_world import MakeWorld
from waiting import eventually

from supervisor.causes import Cause
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.firewall import CheckFirewall
from supervisor.work.firewall import Surroundings
from tests.unit.actors.firewall.kernel import BRIDGE, Kernel, in_place, notify, start, started


def test_while_lxd_is_away_its_bridge_is_what_it_was(make_world: MakeWorld, kernel: Kernel) -> None:
    world = make_world()
    told = started(world)
    kernel.around = Surroundings(error="LXD is not running", outage=True)
    kernel.differs = "the table is gone"
    world.tell("firewall", CheckFirewall())
    eventually(lambda: world.details("firewall")["checks"] == 2)
    assert world.details("firewall")["healed"] == 1
    assert told == [in_place(world)]


def test_without_lxd_at_the_start_it_is_not_in_place(make_world: MakeWorld, kernel: Kernel) -> None:
    kernel.around = Surroundings(error="LXD is not running", outage=True)
    world = make_world()
    told = start(world)
    eventually(lambda: world.shown("firewall") == ("failing", "LXD is not running"))
    assert kernel.ensured == []
    kernel.around = Surroundings(BRIDGE)
    world.clock.advance(1.1)
    eventually(lambda: told[-1:] == [in_place(world)])


def test_a_bridge_that_is_none_is_said_and_what_was_wanted_last_is_kept_up(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    world = make_world()
    told = started(world)
    kernel.around = Surroundings(
        error="it is no bridge that LXD manages", cause=Cause.LXD_INCOMPLETE
    )
    world.tell("firewall", CheckFirewall())
    eventually(lambda: world.shown("firewall")[0] == "failing")
    eventually(lambda: "it is no bridge that LXD manages" in told[-1].reason)
    kernel.differs = "the table is gone"
    notify(world)
    eventually(lambda: world.details("firewall")["healed"] == 1)
    assert kernel.applied[-1].gateways == kernel.applied[0].gateways
    assert world.shown("firewall") == ("failing", "it is no bridge that LXD manages")
    assert world.details("firewall")["cause"] == "lxd-incomplete"
    world.reconfigure(denylist="198.51.100.0/24")
    world.tell("firewall", ConfigChanged(world.parts.settings.config))
    eventually(lambda: len(kernel.applied[-1].denied) == 1)
    # An outage says nothing of whether it is one now.
    kernel.around = Surroundings(error="LXD is not running", outage=True)
    done = world.details("firewall")["checks"]
    world.tell("firewall", CheckFirewall())
    eventually(lambda: world.details("firewall")["checks"] > done)
    assert not told[-1].in_place
    kernel.around = Surroundings(BRIDGE)
    world.clock.advance(61)
    eventually(lambda: told[-1] == in_place(world))


def test_what_makes_the_table_worthless_is_told_while_it_is_kept_up(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    world = make_world()
    told = started(world)
    kernel.obstacle, kernel.differs = "installation other guards it already", "the table is gone"
    notify(world)
    eventually(lambda: world.shown("firewall") == ("failing", kernel.obstacle))
    eventually(lambda: told[-1].reason == f"the firewall is not in place: {kernel.obstacle}")
    assert world.details("firewall")["healed"] == 1
    world.clock.advance(1.1)
    kernel.differs = "the table is gone again"
    notify(world)
    eventually(lambda: world.details("firewall")["healed"] == 2)
    kernel.obstacle = ""
    world.tell("firewall", CheckFirewall())
    eventually(lambda: told[-1] == in_place(world))


def test_where_lxd_can_not_filter_ipv6_the_table_closes_it_and_it_is_warned_of(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    world = make_world()
    world.filters_ipv6 = False
    kernel.around = Surroundings(BRIDGE, warnings=("LXD can't filter runners' IPv6",))
    told = started(world)
    assert told[-1].filters_ipv6 is False
    assert kernel.applied[-1].closes_ipv6
    assert world.details("firewall")["warnings"] == ("LXD can't filter runners' IPv6",)
    assert any("LXD can't filter runners' IPv6" in line for line in world.logged)
    world.filters_ipv6, kernel.around = True, Surroundings(BRIDGE)
    world.tell("firewall", CheckFirewall())
    eventually(lambda: told[-1].filters_ipv6 is True)
    eventually(lambda: not kernel.applied[-1].closes_ipv6)
    eventually(lambda: world.details("firewall")["warnings"] == ())
