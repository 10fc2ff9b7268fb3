from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
from fake_actors import Inbox
from fake_world import World
from under_way import Gate
from waiting import eventually

from supervisor.actors.filters import FiltersActor
from supervisor.config import Config
from supervisor.lifecycle import DeletionOrdered, Life, Stage
from supervisor.messages.filters import CheckFilters
from supervisor.messages.firewall import CheckFirewall
from supervisor.messages.runner import Happened
from supervisor.runners.roster import Entry
from supervisor.supervision import Backoff, ChildSpec, Crash
from supervisor.work import filters as filters_work
from supervisor.work.filters import BRIDGE, FiltersSeen, Restored, Swept

MakeWorld = Callable[..., World]
GONE = "the chain in.fleet-a.eth0 is gone"
WHOLE = ("ready", "LXD filters what guests send")


class Filters:
    """What the work finds, in its place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looks: list[Mapping[str, str]] = []
        self.lacking: dict[str, str] = {}
        self.there = {"fleet-a": "as it was", "fleet-b": "as it was"}
        self.error = self.warning = ""
        self.restored: list[str] = []
        self.refuses: dict[str, str] = {}
        self.outage = False
        self.keeps_lacking = False
        self.raises: Exception | None = None
        self.builders: frozenset[str] = frozenset()
        self.left_over: tuple[str, ...] = ()
        self.sweeps = 0
        self.may_sweep = Gate()
        self.may_sweep.set()
        self.stays = ""
        self.may_restore = Gate()
        self.may_restore.set()
        monkeypatch.setattr(filters_work, "look", self._look)
        monkeypatch.setattr(filters_work, "restore", lambda _lxd, name: self._restore(name))
        monkeypatch.setattr(filters_work, "sweep", lambda *_: self._sweep())
        monkeypatch.setattr(filters_work, "restore_bridge", lambda *_: self._restore(BRIDGE))

    def _look(
        self, _lxd: object, _nft: object, _config: Config, before: Mapping[str, str], checks: int
    ) -> FiltersSeen:
        self.looks.append(before)
        if self.raises:
            error, self.raises = self.raises, None
            raise error
        if self.error:
            return FiltersSeen(checks, error=self.error)
        return FiltersSeen(
            checks,
            dict(self.lacking),
            self.there,
            self.builders,
            self.left_over,
            warning=self.warning,
        )

    def _sweep(self) -> Swept:
        self.sweeps += 1
        self.may_sweep.wait(5)
        if self.stays:
            return Swept(error=self.stays)
        swept, self.left_over = self.left_over, ()
        return Swept(swept)

    def _restore(self, name: str) -> Restored:
        self.restored.append(name)
        self.may_restore.wait(5)
        if name in self.refuses:
            return Restored(name, self.refuses[name], outage=self.outage)
        if not self.keeps_lacking:
            self.lacking.pop(name, None)
        return Restored(name)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Filters:
    return Filters(monkeypatch)


def start(world: World) -> dict[str, list[Any]]:
    """Run the actor, between inboxes in the others' places; return what those are told."""
    told: dict[str, list[Any]] = {name: [] for name in ("firewall", "fleet-a", "fleet-b")}
    inboxes = [
        ChildSpec(name, partial(Inbox.start, world.system, got)) for name, got in told.items()
    ]
    world.run(
        *inboxes,
        ChildSpec("filters", partial(FiltersActor.start, world.system, world.parts)),
        backoff=Backoff(minimum=0, maximum=0, factor=1, jitter=0),
    )
    eventually(lambda: told["firewall"] != [])
    return told


def check(world: World, checks: int = 1) -> None:
    world.tell("filters", CheckFilters(checks))


def checked(world: World, checks: int) -> None:
    check(world, checks)
    eventually(lambda: world.details("filters")["checks"] == checks)


def armed(world: World, wait_s: float) -> None:
    """Wait until it is to look again after so long."""
    due, timers = world.clock.monotonic() + wait_s, world.system.timers
    eventually(lambda: any(one.due == due and one.pending for *_, one in list(timers._heap)))


def is_at(world: World, name: str, stage: Stage) -> None:
    world.parts.roster.put(Entry(name, "g", Life(stage, world.clock.now(), "")))


def test_it_has_all_be_looked_at_and_until_then_claims_nothing(
    make_world: MakeWorld, found: Filters
) -> None:
    world = make_world()
    told = start(world)
    assert told["firewall"] == [CheckFirewall()]
    assert world.shown("filters")[0] == "waiting"
    check(world, 3)
    eventually(lambda: world.shown("filters") == WHOLE)
    assert world.details("filters")["checks"] == 3
    assert found.restored == []


def test_what_is_gone_is_named_until_lxd_has_put_it_back(
    make_world: MakeWorld, found: Filters
) -> None:
    world = make_world()
    start(world)
    checked(world, 1)
    found.lacking = {"fleet-a": GONE, "fleet-b": "gone too"}
    found.may_restore.clear()
    check(world, 2)
    shown = ("failing", f"without LXD's filters: fleet-a, fleet-b ({GONE})")
    eventually(lambda: world.shown("filters") == shown)
    assert world.details("filters")["unfiltered"] == ["fleet-a", "fleet-b"]
    found.may_restore.set()
    eventually(lambda: world.shown("filters") == WHOLE)
    assert sorted(found.restored) == ["fleet-a", "fleet-b"]
    eventually(lambda: world.details("filters")["restored"] == 2)
    said = "LXD's filters of fleet-a were gone, and LXD has put them back"
    assert any(said in line for line in world.logged)
    # What LXD has made now counts, and not what it was.
    missed = [found.there.keys() - before.keys() for before in found.looks[2:]]
    assert set().union(*missed) == {"fleet-a", "fleet-b"}


def test_a_look_meanwhile_neither_tries_again_nor_counts_as_a_failure(
    make_world: MakeWorld, found: Filters
) -> None:
    world = make_world()
    start(world)
    found.lacking = {"fleet-a": GONE}
    found.may_restore.clear()
    for checks in (1, 2, 3):
        checked(world, checks)
    eventually(lambda: found.restored == ["fleet-a"])
    found.may_restore.set()
    eventually(lambda: world.shown("filters") == WHOLE)
    assert found.restored == ["fleet-a"]
    assert not any("are gone:" in line for line in world.logged)


def test_it_waits_its_turn_behind_other_work_on_the_instance(
    make_world: MakeWorld, found: Filters
) -> None:
    world = make_world()
    start(world)
    gate = world.lxd.hold("a stop")
    ref = world.system.directory.ref("firewall")
    assert ref is not None
    world.parts.lanes.submit(
        "fleet-a", world.parts.tending, lambda: world.lxd._enter("a stop"), ref
    )
    found.lacking = {"fleet-a": GONE}
    checked(world, 1)
    assert found.restored == []
    gate.set()
    eventually(lambda: world.shown("filters") == WHOLE)


def test_the_guest_of_a_build_gets_no_runners_lane(make_world: MakeWorld, found: Filters) -> None:
    world = make_world()
    start(world)
    name = "fleet-image-build-b"
    found.builders = frozenset({name})
    found.may_restore.clear()
    found.lacking = {name: "the chain is gone"}
    checked(world, 1)
    eventually(lambda: found.restored == [name])
    assert world.parts.lanes.names() == set()
    found.may_restore.set()
    eventually(lambda: world.shown("filters") == WHOLE)


def test_work_that_was_dropped_with_a_runners_actor_is_given_again(
    make_world: MakeWorld, found: Filters
) -> None:
    world = make_world()
    start(world)
    gate = world.lxd.hold("a stop")
    ref = world.system.directory.ref("firewall")
    assert ref is not None
    world.parts.lanes.submit(
        "fleet-a", world.parts.tending, lambda: world.lxd._enter("a stop"), ref
    )
    found.lacking = {"fleet-a": GONE}
    checked(world, 1)
    world.parts.lanes.clear("fleet-a")
    gate.set()
    world.clock.advance(61)
    check(world, 2)
    eventually(lambda: world.shown("filters") == WHOLE)


def test_what_fails_is_said_and_tried_again_ever_more_seldom(
    make_world: MakeWorld, found: Filters
) -> None:
    world = make_world()
    start(world)
    found.lacking, found.refuses = {"fleet-a": GONE}, {"fleet-a": "LXD says: no"}
    check(world)
    for tries, wait_s in enumerate((1, 2, 4, 8, 16, 32, 60, 60), start=1):
        armed(world, wait_s)
        assert world.shown("filters") == (
            "failing",
            "without LXD's filters: fleet-a (LXD says: no)",
        )
        assert found.restored == ["fleet-a"] * tries
        world.clock.advance(wait_s)
    armed(world, 60)
    found.refuses = {}
    world.clock.advance(61)
    eventually(lambda: world.shown("filters") == WHOLE)
    said = [line for line in world.logged if "LXD's filters of fleet-a are gone: LXD says" in line]
    assert len(said) == 1


def test_guests_that_nothing_helps_are_not_tried_again_because_of_each_other(
    make_world: MakeWorld, found: Filters
) -> None:
    world = make_world()
    start(world)
    found.lacking = {"fleet-a": GONE, "fleet-b": GONE}
    found.keeps_lacking = True
    check(world)
    for tries in (1, 2, 3):
        world.settle()
        assert sorted(found.restored) == ["fleet-a"] * tries + ["fleet-b"] * tries
        world.clock.advance(2 ** (tries - 1))


def failing(world: World, found: Filters, *names: str) -> None:
    """Have a few tries fail."""
    found.lacking = dict.fromkeys(names, GONE)
    found.keeps_lacking = True
    for _ in range(6):
        check(world)
        # One look has them made anew, the next one sees that they are not.
        world.settle()


@pytest.mark.parametrize(
    ("stage", "replaced", "left"),
    [(Stage.READY, "fleet-a", "fleet-b"), (Stage.BUSY, "fleet-b", "fleet-a")],
)
def test_a_runner_that_waits_is_replaced_one_at_a_time(
    stage: Stage, replaced: str, left: str, make_world: MakeWorld, found: Filters
) -> None:
    world = make_world()
    told = start(world)
    # Which of them fails first is chance: neither is replaced before both have.
    is_at(world, "fleet-a", Stage.BUSY)
    is_at(world, "fleet-b", Stage.BUSY)
    failing(world, found, "fleet-a", "fleet-b")
    is_at(world, "fleet-a", stage)
    is_at(world, "fleet-b", Stage.IDLE)
    check(world)
    world.settle()
    why = f"LXD does not filter what it sends: {GONE}"
    assert told[replaced][0] == Happened(DeletionOrdered(why))
    assert told[left] == []
    assert "they are not there" in world.shown("filters")[1]


def test_nobody_is_replaced_because_lxd_is_away(make_world: MakeWorld, found: Filters) -> None:
    world = make_world()
    told = start(world)
    is_at(world, "fleet-a", Stage.IDLE)
    found.outage, found.refuses = True, {"fleet-a": "LXD is not running"}
    failing(world, found, "fleet-a")
    assert told["fleet-a"] == []


def test_a_guest_that_is_gone_is_no_trouble_any_more(make_world: MakeWorld, found: Filters) -> None:
    world = make_world()
    start(world)
    found.lacking, found.refuses = {"fleet-a": GONE}, {"fleet-a": "LXD says: no"}
    check(world)
    eventually(lambda: world.shown("filters")[0] == "failing")
    found.lacking, found.there = {}, {}
    checked(world, 2)
    eventually(lambda: world.shown("filters") == WHOLE)


def test_what_the_bridge_lacks_is_put_back_and_else_the_remedy_is_named(
    make_world: MakeWorld, found: Filters
) -> None:
    world = make_world()
    start(world)
    found.lacking, found.refuses = {BRIDGE: "the chain in.lxdbr0 is gone"}, {BRIDGE: "LXD says: no"}
    check(world)
    words = (
        "LXD's rules of bridge lxdbr0 are not in place: the chain in.lxdbr0 is gone; LXD says: no; "
        "what helps: systemctl reload-or-restart lxd"
    )
    eventually(lambda: world.shown("filters") == ("failing", words))
    assert world.details("filters")["unfiltered"] == []
    found.refuses = {}
    checked(world, 2)
    eventually(lambda: world.shown("filters") == WHOLE)
    assert any("LXD's rules of the bridge were gone" in line for line in world.logged)


def test_while_it_can_not_look_it_keeps_to_what_it_knows_and_warns(
    make_world: MakeWorld, found: Filters
) -> None:
    world = make_world()
    start(world)
    found.error = "LXD is not running"
    checked(world, 1)
    assert world.shown("filters")[0] == "waiting"
    assert world.details("filters")["warnings"] == (
        "LXD's filters of guests can't be looked at: LXD is not running",
    )
    found.error = ""
    armed(world, 1)
    world.clock.advance(1)
    eventually(lambda: world.shown("filters") == WHOLE)
    found.error = "LXD is not running"
    checked(world, 2)
    assert world.shown("filters")[0] == "ready"


def test_filters_of_another_kind_are_a_warning(make_world: MakeWorld, found: Filters) -> None:
    world = make_world()
    start(world)
    found.warning = "LXD filters with xtables"
    checked(world, 1)
    assert world.shown("filters") == ("ready", "LXD filters with xtables")
    assert world.details("filters")["warnings"] == ("LXD filters with xtables",)


def test_a_firewall_that_others_keep_is_not_looked_at(
    make_world: MakeWorld, found: Filters
) -> None:
    world = make_world(firewall="external")
    start(world)
    checked(world, 1)
    assert world.shown("filters") == ("ready", "firewall: external: it is left to others")
    assert found.looks == []


def test_a_crash_and_a_fault_of_ours_have_it_look_again(
    make_world: MakeWorld, found: Filters
) -> None:
    world = make_world()
    told = start(world)
    world.tell("filters", Crash("a test"))
    eventually(lambda: told["firewall"] == [CheckFirewall()] * 2)
    found.raises = RuntimeError("a bug")
    check(world)
    eventually(lambda: told["firewall"] == [CheckFirewall()] * 3)
    checked(world, 4)
    assert world.shown("filters") == WHOLE


def test_what_lxd_leaves_of_guests_that_are_gone_is_deleted_once(
    make_world: MakeWorld, found: Filters
) -> None:
    world = make_world()
    start(world)
    found.left_over = ("in.fleet-gone.eth0",)
    found.may_sweep.clear()
    checked(world, 1)
    checked(world, 2)
    found.may_sweep.set()
    eventually(
        lambda: any("of guests that are gone: in.fleet-gone.eth0" in w for w in world.logged)
    )
    checked(world, 3)
    assert found.sweeps == 1
    assert world.shown("filters") == WHOLE


def test_what_can_not_be_deleted_is_a_warning_until_it_can(
    make_world: MakeWorld, found: Filters
) -> None:
    world = make_world()
    start(world)
    found.left_over, found.stays = ("in.fleet-gone.eth0",), "nft takes more than 30 s"
    checked(world, 1)
    warning = "what LXD has left of guests that are gone can't be deleted: nft takes more than 30 s"
    eventually(lambda: world.details("filters")["warnings"] == (warning,))
    assert world.shown("filters") == WHOLE
    found.stays = ""
    checked(world, 2)
    eventually(lambda: world.details("filters")["warnings"] == ())
