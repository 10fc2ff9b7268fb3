"""The host as a subject of the upgrades' actor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from fake_actors import Inbox
from fake_world import World
from waiting import eventually

from supervisor.actors.upgrades import UpgradesActor
from supervisor.gateways.lxd import LxdUnavailable
from supervisor.messages.upgrades import CheckUpgrades
from supervisor.status.part_reports import upgrades_report
from supervisor.status.report import status_report
from supervisor.supervision import ChildSpec, tree
from supervisor.upgrades.reboot import KernelSeen

MakeWorld = Callable[..., World]


def start(world: World) -> None:
    world.run(
        ChildSpec("tokens", partial(Inbox.start, world.system, [])),
        ChildSpec("upgrades", partial(UpgradesActor.start, world.system, world.parts)),
    )
    eventually(lambda: standing(world).looks == 1)


def standing(world: World) -> Any:
    subjects = world.details("upgrades")["subjects"]
    return next(one for one in subjects if one.what == "host")


def test_a_sound_host_is_no_news(make_world: MakeWorld) -> None:
    world = make_world()
    start(world)
    found = standing(world)
    assert (found.state, found.error, found.warning) == ("ready", "", "")
    assert found.installed == "LXD 5.21.3, nftables 1.0.9, gunicorn 25.1"


def test_what_is_needed_and_missing_is_a_problem_until_it_is_there(make_world: MakeWorld) -> None:
    world = make_world()
    world.host.has_kvm = False
    start(world)
    assert standing(world).state == "failing"
    assert world.shown("upgrades")[0] == "failing"
    assert "host: there is no /dev/kvm" in world.shown("upgrades")[1]
    (finding,) = standing(world).details["findings"]
    assert finding["needed"]
    world.host.has_kvm = True
    world.clock.advance(61)
    eventually(lambda: standing(world).state == "ready")


def test_a_lxd_that_does_not_answer_is_a_warning_with_what_starts_it(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    world.lxd.fail("server", LxdUnavailable("nothing listens there"))
    start(world)
    warning = "this host: LXD does not answer (nothing listens there): snap start lxd"
    assert world.details("upgrades")["warnings"] == (warning,)
    world.clock.advance(61)
    eventually(lambda: world.details("upgrades")["warnings"] == ())


def test_it_is_looked_at_each_hour_and_on_order_and_not_at_each_job(make_world: MakeWorld) -> None:
    world = make_world()
    start(world)
    world.tell("upgrades", CheckUpgrades(fresh_s=10))
    world.clock.advance(3000)
    world.tell("upgrades", CheckUpgrades())
    eventually(lambda: standing(world).looks == 2)
    world.clock.advance(3600)
    eventually(lambda: standing(world).looks == 3)


def test_what_can_not_be_mended_is_said_once_and_is_no_warning(make_world: MakeWorld) -> None:
    world = make_world()
    world.host.has_apparmor = "none"
    start(world)
    assert world.details("upgrades")["warnings"] == ()
    (finding,) = standing(world).details["findings"]
    assert "no AppArmor" in finding["what"]


def test_a_reboot_is_offered_and_warned_of(make_world: MakeWorld) -> None:
    world = make_world()
    world.host.there = KernelSeen("6.8.0-31-generic", ("6.8.0-40-generic",))
    start(world)
    eventually(lambda: world.details("upgrades")["reboot_for"])
    config, now = world.parts.settings.config, world.clock.now()
    seen = (tree(world.system), world.parts.roster.all())
    assert upgrades_report(*seen, config, now)["reboot"]["when"] == "now"
    none_wanted = config.model_copy(update={"virtual_machines": 0})
    assert upgrades_report(*seen, none_wanted, None)["reboot"]["when"] == "now"
    report = upgrades_report(*seen, config, None)
    assert report["reboot"]["when"] == "after-drain"
    status = status_report(
        tree(world.system), world.parts.roster.all(), world.parts.settings, world.clock.now()
    )
    assert report["reboot"]["reason"] in status["warnings"]
