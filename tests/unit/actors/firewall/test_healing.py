"""What others do to the table is put back, at once and in no haste."""

from __future__ import annotations

from fake_world import MakeWorld
from waiting import eventually

from supervisor.messages.firewall import CheckFirewall
from tests.unit.actors.firewall.kernel import Kernel, in_place, notify, started


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
