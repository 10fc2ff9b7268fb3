from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from ipaddress import ip_interface
from typing import Any

import pytest
from fake_world import Inbox, World, eventually

from supervisor import firewall_work
from supervisor.actors.firewall import FirewallActor
from supervisor.config import Config
from supervisor.firewall import ruleset
from supervisor.firewall.live import Counted, LiveTable
from supervisor.firewall.policy import Policy
from supervisor.firewall_work import Kept, Surroundings, TableFailed, TableReady
from supervisor.messages import AnnounceFirewall, CheckFirewall, ConfigChanged, FirewallChanged
from supervisor.supervision import Backoff, ChildSpec, Crash

MakeWorld = Callable[..., World]

BRIDGE = (ip_interface("10.9.0.1/24"),)
IN_PLACE = FirewallChanged(in_place=True)
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
        monkeypatch.setattr(firewall_work, "ask", self._ask)
        monkeypatch.setattr(firewall_work, "ensure", self._ensure)
        monkeypatch.setattr(firewall_work, "close_if_gone", self._close_if_gone)

    def _ask(
        self, _lxd: object, _names: object, config: Config, *, with_runners: bool
    ) -> Surroundings:
        self.asked.append((config, with_runners))
        return self.around

    def _ensure(
        self, _nftables: object, policy: Policy, kept: Kept | None, _before: LiveTable | None
    ) -> TableReady | TableFailed:
        self.ensured.append(policy)
        if self.error:
            error, self.error = self.error, None
            raise error
        if self.failure:
            return TableFailed(self.failure)
        differs, self.differs = self.differs, ""
        live = _table(policy)
        if kept is None or kept.policy != policy or differs:
            self.applied.append(policy)
        return TableReady(Kept(policy, live), live, differs, self.warnings)

    def _close_if_gone(self, _nftables: object, policy: Policy, before: LiveTable | None) -> None:
        assert before is not None
        self.closed.append(policy)


def _table(policy: Policy) -> LiveTable:
    counts = {MAC: Counted(3, 180), "00:16:3e:00:00:02": Counted(2, 120)}
    name = ruleset.table_name(policy.installation, policy.bridge)
    return LiveTable(name, {}, (), {}, {}, counts, {ruleset.REJECTED: Counted(5, 300)})


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    return Kernel(monkeypatch)


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
    denied = world.parts.settings.config.denylist
    eventually(lambda: told == [replace(IN_PLACE, denied=denied)])
    eventually(lambda: world.details("firewall").get("checks") == 1)
    return told


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


def test_changes_are_heard_of_before_the_first_look(make_world: MakeWorld, kernel: Kernel) -> None:
    world = make_world()
    world.nftables.error = "there is no program nft; install nftables"
    told = start(world)
    eventually(lambda: world.shown("firewall") == ("failing", world.nftables.error))
    eventually(lambda: len(told) == 1)
    change = told[0]
    assert not change.in_place
    assert change.reason == f"the firewall is not in place: {world.nftables.error}"
    assert kernel.asked == []
    assert kernel.ensured == []
    world.nftables.error = ""
    world.clock.advance(1.1)
    eventually(lambda: told[1:] == [IN_PLACE])


def test_it_says_so_again_to_a_fleet_that_asks(make_world: MakeWorld, kernel: Kernel) -> None:
    world = make_world()
    told = started(world)
    world.tell("firewall", AnnounceFirewall())
    eventually(lambda: told == [IN_PLACE] * 2)
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
    assert told == [IN_PLACE]


def test_it_is_put_back_while_lxd_hangs(make_world: MakeWorld, kernel: Kernel) -> None:
    world = make_world()
    started(world)
    gate = world.lxd.hold("bridge_addresses")
    world.parts.asking.submit(lambda: world.lxd.bridge_addresses("x") and None, _nobody(world))
    world.tell("firewall", CheckFirewall())
    kernel.differs = "the table is gone"
    notify(world)
    eventually(lambda: world.details("firewall")["healed"] == 1)
    assert world.details("firewall")["checks"] == 1
    gate.set()
    eventually(lambda: world.details("firewall")["checks"] == 2)


def _nobody(world: World) -> Any:
    return world.system.directory.ref("firewall")


def test_many_notices_during_a_look_make_one_more(make_world: MakeWorld, kernel: Kernel) -> None:
    world = make_world()
    started(world)
    gate = world.lxd.hold("a look")
    world.parts.firewall.submit(lambda: world.lxd._enter("a look"), _nobody(world))
    for count in range(1, 101):
        notify(world)
        eventually(lambda: world.waiting("firewall") == 0)
        assert len(kernel.ensured) == 1, count
    gate.set()
    eventually(lambda: len(kernel.ensured) == 3)
    eventually(lambda: world.waiting("firewall") == 0)
    assert len(kernel.ensured) == 3


def test_a_table_that_goes_during_a_look_is_closed_at_once(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    world = make_world()
    started(world)
    notify(world)
    eventually(lambda: len(kernel.ensured) == 2)
    eventually(lambda: world.waiting("firewall") == 0)
    assert kernel.closed == [], "a look that begins at once closes it by itself"
    gate = world.lxd.hold("a look")
    world.parts.firewall.submit(lambda: world.lxd._enter("a look"), _nobody(world))
    notify(world)
    eventually(lambda: world.waiting("firewall") == 0)
    notify(world)
    eventually(lambda: kernel.closed == [kernel.ensured[0]])
    gate.set()
    eventually(lambda: len(kernel.ensured) == 4)


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
    world.clock.advance(1.1)
    eventually(lambda: len(kernel.ensured) == 2)
    eventually(lambda: world.waiting("firewall") == 0)
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
    for failures, wait_s in enumerate((1, 2, 4, 8, 16, 32, 60, 60), start=1):
        eventually(lambda: world.details("firewall")["checks"] == failures)  # noqa: B023
        seen = len(kernel.ensured)
        world.clock.advance(wait_s - 0.1)
        eventually(lambda: world.waiting("firewall") == 0)
        assert len(kernel.ensured) == seen
        world.clock.advance(0.2)
    eventually(lambda: len(told) == 1)
    change = told[0]
    assert change.reason == f"the firewall is not in place: {kernel.failure}"
    assert world.shown("firewall") == ("failing", kernel.failure)
    assert world.details("firewall")["in_place_since"] is None
    kernel.failure = ""
    world.clock.advance(61)
    eventually(lambda: told[1:] == [IN_PLACE])


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
    gate = world.lxd.hold("bridge_addresses")
    world.parts.asking.submit(lambda: world.lxd.bridge_addresses("x") and None, _nobody(world))
    world.reconfigure(denylist="198.51.100.0/24")
    world.tell("firewall", ConfigChanged(world.parts.settings.config))
    eventually(lambda: [len(policy.denied) for policy in kernel.applied] == [0, 1])
    eventually(lambda: "1 denied" in world.shown("firewall")[1])
    eventually(lambda: told == [IN_PLACE, replace(IN_PLACE, denied=kernel.applied[1].denied)])
    assert world.details("firewall")["healed"] == 0
    gate.set()
    eventually(lambda: world.details("firewall")["checks"] == 2)


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
    world = make_world(http_proxy="http://proxy.example:3128")
    started(world)
    addresses = {"proxy.example": (ip_interface("10.7.7.7/32").ip,)}
    kernel.around = Surroundings(BRIDGE, addresses, ("a warning",))
    world.tell("firewall", CheckFirewall())
    eventually(lambda: world.details("firewall")["checks"] == 2)
    assert [str(one) for one in kernel.applied[-1].allowed] == ["10.7.7.7:3128"]
    assert world.details("firewall")["warnings"] == ("a warning",)


def test_while_lxd_is_away_its_bridge_is_what_it_was(make_world: MakeWorld, kernel: Kernel) -> None:
    world = make_world()
    told = started(world)
    kernel.around = Surroundings(error="LXD is not running", outage=True)
    kernel.differs = "the table is gone"
    world.tell("firewall", CheckFirewall())
    eventually(lambda: world.details("firewall")["checks"] == 2)
    assert world.details("firewall")["healed"] == 1
    assert told == [IN_PLACE]


def test_without_lxd_at_the_start_it_is_not_in_place(make_world: MakeWorld, kernel: Kernel) -> None:
    kernel.around = Surroundings(error="LXD is not running", outage=True)
    world = make_world()
    told = start(world)
    eventually(lambda: world.shown("firewall") == ("failing", "LXD is not running"))
    assert kernel.ensured == []
    kernel.around = Surroundings(BRIDGE)
    world.clock.advance(1.1)
    eventually(lambda: told[-1:] == [IN_PLACE])


def test_a_bridge_that_is_none_is_said_although_one_was_there(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    world = make_world()
    told = started(world)
    kernel.around = Surroundings(error="it is no bridge that LXD manages")
    world.tell("firewall", CheckFirewall())
    eventually(lambda: world.shown("firewall")[0] == "failing")
    eventually(lambda: "it is no bridge that LXD manages" in told[-1].reason)
    seen = len(kernel.ensured)
    world.tell("firewall", ConfigChanged(world.parts.settings.config))
    eventually(lambda: world.details("firewall")["checks"] == 3)
    assert len(kernel.ensured) == seen
    kernel.around = Surroundings(BRIDGE)
    world.clock.advance(61)
    eventually(lambda: told[-1] == IN_PLACE)


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
    assert ref.ask(CheckFirewall(with_runners=True), timeout=5) == 2
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
    gate = world.lxd.hold("bridge_addresses")
    world.parts.asking.submit(lambda: world.lxd.bridge_addresses("x") and None, _nobody(world))
    ref = world.system.directory.ref("firewall")
    assert ref is not None
    assert ref.ask(CheckFirewall(), timeout=5) == 2
    assert ref.ask(CheckFirewall(with_runners=True), timeout=5) == 3
    assert ref.ask(CheckFirewall(), timeout=5) == 3
    gate.set()
    eventually(lambda: world.details("firewall")["checks"] == 3)
    assert [with_runners for _, with_runners in kernel.asked] == [False, False, True]


def test_a_lost_monitor_has_the_actor_start_again(make_world: MakeWorld, kernel: Kernel) -> None:
    world = make_world()
    told = started(world)
    world.nftables.monitors[0].lost()
    eventually(lambda: len(world.nftables.monitors) == 2)
    eventually(lambda: told == [IN_PLACE] * 2)
    assert world.nftables.monitors[0].closed


def test_a_crash_and_a_fault_of_ours_have_it_look_again(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    kernel.error = RuntimeError("a bug")
    world = make_world()
    told = start(world)
    eventually(lambda: told == [IN_PLACE])
    world.tell("firewall", Crash("a test"))
    eventually(lambda: told == [IN_PLACE] * 2)
    assert [monitor.closed for monitor in world.nftables.monitors] == [True, True, False]


def test_an_external_firewall_is_left_to_others_with_a_standing_warning(
    make_world: MakeWorld, kernel: Kernel
) -> None:
    world = make_world(firewall="external")
    told = started(world)
    assert world.shown("firewall") == ("ready", "firewall: external: it is left to others")
    (warning,) = world.details("firewall")["warnings"]
    assert "nothing here holds the guests" in warning
    world.reconfigure(firewall="external", denylist="10.0.0.0/8")
    config = world.parts.settings.config
    world.tell("firewall", ConfigChanged(config))
    world.tell("firewall", CheckFirewall(with_runners=True))
    eventually(lambda: world.details("firewall")["checks"] == 3)
    eventually(lambda: told == [IN_PLACE, replace(IN_PLACE, denied=config.denylist)])
    assert (kernel.asked, kernel.ensured, world.nftables.monitors) == ([], [], [])


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
