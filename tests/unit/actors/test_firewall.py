from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from ipaddress import ip_interface
from typing import Any

import pytest
from fake_actors import Inbox, guarded
from fake_world import World
from under_way import Gate
from waiting import LIMIT_S, eventually

from supervisor.actors.firewall import FirewallActor
from supervisor.causes import Cause
from supervisor.config import Config
from supervisor.firewall.live import Counted, LiveTable
from supervisor.firewall.names import REJECTED, table_name
from supervisor.firewall.policy import Policy
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.firewall import (
    AnnounceFirewall,
    CheckFirewall,
    CheckOrdered,
    FirewallChanged,
)
from supervisor.supervision import Backoff, ChildSpec, Crash
from supervisor.work import firewall as firewall_work
from supervisor.work.firewall import Kept, Surroundings, TableFailed, TableReady

MakeWorld = Callable[..., World]

BRIDGE = (ip_interface("10.9.0.1/24"),)
MAC = "00:16:3e:00:00:01"


class Kernel:
    """What the work finds, in its place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[Config, bool]] = []
        self.around = Surroundings(BRIDGE)
        self.ensured: list[Policy] = []
        self.applied: list[Policy] = []
        self.failure = ""
        self.differs = ""
        self.error: Exception | None = None
        self.warnings: tuple[str, ...] = ()
        self.closed: list[Policy] = []
        self.obstacle = ""
        self.gate = Gate()
        self.gate.set()
        self.asking_gate = Gate()
        self.asking_gate.set()
        monkeypatch.setattr(firewall_work, "ask", self._ask)
        monkeypatch.setattr(firewall_work, "ensure", self._ensure)
        monkeypatch.setattr(firewall_work, "close_if_gone", self._close_if_gone)

    def _ask(
        self,
        _lxd: object,
        _names: object,
        sees_ipv6: Callable[[], bool],
        config: Config,
        *,
        with_runners: bool,
    ) -> Surroundings:
        self.asked.append((config, with_runners))
        assert self.asking_gate.wait(LIMIT_S)
        return replace(self.around, filters_ipv6=sees_ipv6())

    def _ensure(
        self, _nftables: object, policy: Policy, kept: Kept | None, _before: LiveTable | None
    ) -> TableReady | TableFailed:
        self.ensured.append(policy)
        assert self.gate.wait(LIMIT_S)
        if self.error:
            error, self.error = self.error, None
            raise error
        if self.failure:
            return TableFailed(self.failure)
        differs, self.differs = self.differs, ""
        live = _table(policy)
        if kept is None or kept.policy != policy or differs:
            self.applied.append(policy)
        return TableReady(Kept(policy, live), live, differs, self.warnings, self.obstacle)

    def _close_if_gone(self, _nftables: object, policy: Policy, before: LiveTable | None) -> None:
        assert before is not None
        self.closed.append(policy)


def _table(policy: Policy) -> LiveTable:
    counts = {MAC: Counted(3, 180), "00:16:3e:00:00:02": Counted(2, 120)}
    name = table_name(policy.installation, policy.bridge)
    return LiveTable(name, {}, (), {}, {}, counts, {REJECTED: Counted(5, 300)})


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    kernel = Kernel(monkeypatch)
    yield kernel
    kernel.gate.set()
    kernel.asking_gate.set()


def start(world: World) -> list[Any]:
    """Run the actor, and return what the fleet is told."""
    told: list[Any] = []
    world.run(
        ChildSpec("fleet", partial(Inbox.start, world.system, told)),
        ChildSpec("firewall", partial(FirewallActor.start, world.system, world.parts)),
        backoff=Backoff(minimum=0, maximum=0, factor=1, jitter=0),
    )
    return told


def started(world: World) -> list[Any]:
    """Run the actor, and return what the fleet is told when all is in place."""
    told = start(world)
    eventually(lambda: told == [in_place(world)])
    eventually(lambda: world.details("firewall").get("checks") == 1)
    return told


def in_place(world: World) -> FirewallChanged:
    return guarded(world.parts.settings.config, filters_ipv6=world.filters_ipv6)


def notify(world: World) -> None:
    """Have the kernel say that something has changed."""
    world.nftables.monitors[-1].changed()


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


def test_a_change_in_the_kernel_is_put_back_at_once_with_a_warning(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    world = make_world()
    told = started(world)
    kernel.differs = "the set denied4 lacks 10.0.0.0/8"
    notify(world)
    eventually(lambda: world.details("firewall")["healed"] == 1)
    assert len(kernel.applied) == 2
    assert len(kernel.asked) == 1, "neither LXD nor a name server was needed"
    said = "the firewall was changed, and is put back: the set denied4 lacks 10.0.0.0/8"
    assert any(said in line for line in world.logged)
    assert told == [in_place(world)]


def test_it_is_put_back_while_lxd_hangs(make_world: MakeWorld, kernel: Kernel) -> None:
    world = make_world()
    started(world)
    kernel.asking_gate.clear()
    world.tell("firewall", CheckFirewall())
    eventually(lambda: len(kernel.asked) == 2)
    kernel.differs = "the table is gone"
    notify(world)
    eventually(lambda: world.details("firewall")["healed"] == 1)
    assert world.details("firewall")["checks"] == 1
    kernel.asking_gate.set()
    eventually(lambda: world.details("firewall")["checks"] == 2)


def test_one_failure_of_nft_while_lxd_hangs_is_made_good_without_lxd(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    world = make_world()
    told = started(world)
    kernel.asking_gate.clear()
    world.tell("firewall", CheckFirewall())
    eventually(lambda: len(kernel.asked) == 2)
    kernel.failure = "nft takes more than 30 s"
    notify(world)
    eventually(lambda: world.shown("firewall") == ("failing", kernel.failure))
    kernel.failure, kernel.differs = "", "the table is gone"
    notify(world)
    world.clock.advance(1.1)
    eventually(lambda: world.details("firewall")["healed"] == 1)
    eventually(lambda: told[-1] == in_place(world))
    kernel.differs = "the table is gone again"
    world.clock.advance(1.1)
    notify(world)
    eventually(lambda: world.details("firewall")["healed"] == 2)
    assert world.details("firewall")["checks"] == 1


def test_a_notice_during_a_look_that_fails_is_not_forgotten(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    world = make_world()
    started(world)
    kernel.gate.clear()
    notify(world)
    eventually(lambda: len(kernel.ensured) == 2)
    kernel.failure = "no room"
    notify(world)
    eventually(lambda: world.waiting("firewall") == 0)
    kernel.gate.set()
    eventually(lambda: world.shown("firewall") == ("failing", "no room"))
    assert len(kernel.ensured) == 2, "it is tried again at its time"
    kernel.failure, kernel.differs = "", "the table is gone"
    world.clock.advance(1.1)
    eventually(lambda: world.details("firewall")["healed"] == 1)
    eventually(lambda: world.waiting("firewall") == 0)
    kernel.differs = "the table is gone again"
    world.clock.advance(1.1)
    notify(world)
    eventually(lambda: world.details("firewall")["healed"] == 2)


def test_notices_do_not_put_off_the_next_check(make_world: MakeWorld, kernel: Kernel) -> None:
    world = make_world()
    started(world)
    for looks in range(2, 8):
        world.clock.advance(10.1)
        notify(world)
        eventually(lambda looks=looks: len(kernel.ensured) >= looks)
        eventually(lambda: world.waiting("firewall") == 0)
    eventually(lambda: len(kernel.asked) == 2)


def test_many_notices_during_a_look_make_one_more(make_world: MakeWorld, kernel: Kernel) -> None:
    world = make_world()
    started(world)
    kernel.gate.clear()
    notify(world)
    eventually(lambda: len(kernel.ensured) == 2)
    for count in range(1, 101):
        notify(world)
        eventually(lambda: world.waiting("firewall") == 0)
        assert len(kernel.ensured) == 2, count
    kernel.gate.set()
    eventually(lambda: len(kernel.ensured) == 3)
    eventually(lambda: world.waiting("firewall") == 0)
    assert len(kernel.ensured) == 3


def test_the_notices_of_its_own_healing_cause_one_look_and_no_haste(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    world = make_world()
    started(world)
    kernel.gate.clear()
    kernel.differs = "the table is gone"
    notify(world)
    eventually(lambda: len(kernel.ensured) == 2)
    for _ in range(3):
        notify(world)
    kernel.gate.set()
    eventually(lambda: world.details("firewall")["healed"] == 1)
    eventually(lambda: world.waiting("firewall") == 0)
    assert len(kernel.ensured) == 2
    world.clock.advance(0.6)
    eventually(lambda: len(kernel.ensured) == 3)
    world.clock.advance(1.1)
    eventually(lambda: world.waiting("firewall") == 0)
    assert len(kernel.ensured) == 3


def test_a_table_that_goes_during_a_look_is_closed_at_once(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    world = make_world()
    started(world)
    kernel.gate.clear()
    notify(world)
    eventually(lambda: len(kernel.ensured) == 2)
    eventually(lambda: world.waiting("firewall") == 0)
    assert kernel.closed == [], "a look that begins at once closes it by itself"
    for count in (1, 2):
        notify(world)
        eventually(lambda count=count: kernel.closed == [kernel.ensured[0]] * count)
    kernel.gate.set()
    eventually(lambda: len(kernel.ensured) == 3)


def test_it_is_in_place_since_it_was_put_back(make_world: MakeWorld, kernel: Kernel) -> None:
    world = make_world()
    started(world)
    before = world.details("firewall")["in_place_since"]
    world.clock.advance(30)
    eventually(lambda: world.waiting("firewall") == 0)
    assert world.details("firewall")["in_place_since"] == before
    kernel.differs = "the table is gone"
    notify(world)
    eventually(lambda: world.details("firewall")["healed"] == 1)
    assert world.details("firewall")["in_place_since"] == world.clock.now().isoformat() != before


def test_who_changes_it_all_the_time_does_not_keep_the_daemon_busy(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    world = make_world()
    started(world)
    kernel.differs = "the table is gone"
    notify(world)
    eventually(lambda: world.details("firewall")["healed"] == 1)
    kernel.differs = "the table is gone"
    notify(world)
    eventually(lambda: world.waiting("firewall") == 0)
    assert len(kernel.ensured) == 2
    world.clock.advance(0.5)
    eventually(lambda: world.details("firewall")["healed"] == 2)


def test_what_no_notice_tells_of_is_seen_within_a_minute(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    world = make_world()
    started(world)
    kernel.differs = "the table is gone"
    world.clock.advance(60)
    eventually(lambda: world.details("firewall")["healed"] == 1)


def test_a_failure_is_told_and_tried_again_ever_more_seldom(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    kernel.failure = "could not put the firewall's table in place: no room"
    world = make_world()
    told = start(world)
    eventually(lambda: world.details("firewall").get("checks") == 1)
    # Up to the next check, which looks for itself.
    for failures, wait_s in enumerate((1, 2, 4, 8, 16), start=1):
        eventually(lambda failures=failures: len(kernel.ensured) == failures)
        eventually(lambda: world.waiting("firewall") == 0)
        world.clock.advance(wait_s - 0.1)
        eventually(lambda: world.waiting("firewall") == 0)
        assert len(kernel.ensured) == failures
        world.clock.advance(0.2)
    eventually(lambda: len(kernel.ensured) == 6)
    assert world.details("firewall")["checks"] == 1
    eventually(lambda: len(told) == 1)
    change = told[-1]
    assert change.reason == f"the firewall is not in place: {kernel.failure}"
    assert world.shown("firewall") == ("failing", kernel.failure)
    assert world.details("firewall")["in_place_since"] is None
    kernel.failure = ""
    world.clock.advance(61)
    eventually(lambda: told[-1] == in_place(world))


def test_notices_do_not_hurry_what_fails(make_world: MakeWorld, kernel: Kernel) -> None:
    world = make_world()
    started(world)
    kernel.failure = "no room"
    notify(world)
    eventually(lambda: world.shown("firewall")[0] == "failing")
    seen = len(kernel.ensured)
    for _ in range(3):
        notify(world)
    eventually(lambda: world.waiting("firewall") == 0)
    assert len(kernel.ensured) == seen


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


def test_a_crash_and_a_fault_of_ours_have_it_look_again(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    kernel.error = RuntimeError("a bug")
    world = make_world()
    told = start(world)
    eventually(lambda: told == [in_place(world)])
    incarnation = world.details("firewall")["incarnation"]
    world.tell("firewall", Crash("a test"))
    eventually(lambda: told == [in_place(world)] * 2)
    eventually(lambda: world.details("firewall")["incarnation"] != incarnation)
    assert [monitor.closed for monitor in world.nftables.monitors] == [True, True, False]


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


def test_it_listens_no_more_when_it_has_ended(make_world: MakeWorld, kernel: Kernel) -> None:
    world = make_world()
    started(world)
    world.system.stop(5)
    assert [monitor.closed for monitor in world.nftables.monitors] == [True]
