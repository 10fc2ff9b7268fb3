"""What fails is told, and tried again ever more seldom."""

from __future__ import annotations

from fake_world import MakeWorld
from waiting import eventually

from supervisor.messages.firewall import CheckFirewall
from supervisor.supervision import Crash
from tests.unit.actors.firewall.kernel import Kernel, in_place, notify, start, started


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
