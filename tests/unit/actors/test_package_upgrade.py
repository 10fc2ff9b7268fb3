"""The policy package as a subject of the upgrades' actor, with what its work finds in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fake_actors import Inbox
from fake_world import World
from under_way import Gate
from waiting import LIMIT_S, eventually

from supervisor.actors.upgrades import UpgradesActor
from supervisor.gateways.environments import Environment, PackageEnvironments
from supervisor.gateways.upgrade_notes import UpgradeNotes
from supervisor.messages.upgrades import (
    AnnouncePolicyPackage,
    CheckUpgrades,
    GitHubReachable,
    PolicyPackageChanged,
    PolicyPackageFailed,
    PolicyPackageProven,
)
from supervisor.policy.package import Release
from supervisor.supervision import ChildSpec, Crash
from supervisor.upgrades.notes import Note
from supervisor.work import package as package_work
from supervisor.work.package import FellBack, PackageNotReady, PackageReady, PackageWork, Step

MakeWorld = Callable[..., World]
POLICY = {"mode": "package", "package": "demo"}
ONE = Environment(Path("/e/1"), Release("demo", "1.0"), "demo")
TWO = Environment(Path("/e/2"), Release("demo", "2.0"), "demo")
FIRST = PolicyPackageChanged("/e/1", "demo 1.0")
SECOND = PolicyPackageChanged("/e/2", "demo 2.0")
NO_USE = PackageNotReady("demo 2.0 is of no use: it hangs", "demo 2.0", tried=True, refused=True)
BROKEN_OFF = PackageNotReady("pip: the connection broke off", "demo 2.0", tried=True)


class Play:
    """The actor between pip and the policy's actor."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.on_disk: Environment | None = None
        self.finds: PackageReady | PackageNotReady = PackageReady(ONE, 3.0)
        self.asked: list[bool] = []
        self.works: list[PackageWork] = []
        self.policy: list[Any] = []
        self.fallen: list[PolicyPackageFailed] = []
        self.proven: list[Path] = []
        self.unproven: Environment | None = None
        self.step: tuple[Step, str] | None = None
        self.gate: Gate | None = None
        monkeypatch.setattr(PackageWork, "bring_up_to_date", lambda work: self._find(work))  # noqa: PLW0108
        monkeypatch.setattr(PackageEnvironments, "current", lambda _: self.on_disk)
        monkeypatch.setattr(PackageEnvironments, "is_unproven", lambda _, one: one == self.unproven)
        monkeypatch.setattr(package_work, "fall_back", self._fall_back)
        monkeypatch.setattr(package_work, "note_proven", lambda _, path: self.proven.append(path))

    def _find(self, work: PackageWork) -> PackageReady | PackageNotReady:
        self.asked.append(work.may_try("demo 2.0"))
        self.works.append(work)
        if self.step:
            work.note(*self.step)
        if self.gate:
            assert self.gate.wait(LIMIT_S)
        if isinstance(self.finds, PackageNotReady) and self.finds.tried and not self.asked[-1]:
            return PackageNotReady("it has failed, and is not tried again yet", "demo 2.0")
        return self.finds

    def _fall_back(
        self, _store: Any, _config: Any, failure: PolicyPackageFailed
    ) -> FellBack | None:
        self.fallen.append(failure)
        is_current = failure.environment == str(TWO.path)
        return FellBack(str(TWO.release), ONE, failure.reason) if is_current else None

    def start(self) -> None:
        system = self.world.system
        self.world.run(
            ChildSpec("tokens", partial(Inbox.start, system, [])),
            ChildSpec("policy", partial(Inbox.start, system, self.policy)),
            ChildSpec("upgrades", partial(UpgradesActor.start, system, self.world.parts)),
        )

    def wanted(self) -> list[bool]:
        """Whether what each installation was begun for is what is configured now."""
        return [work.is_wanted() for work in self.works]

    def noted(self) -> Note:
        """What the next daemon would read."""
        return UpgradeNotes(self.world.state / "upgrade-notes").of("policy package")

    def standing(self) -> Any:
        subjects = self.world.details("upgrades")["subjects"]
        return next(one for one in subjects if one.what == "policy package")


@pytest.fixture
def play(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> Play:
    return Play(make_world(policy=POLICY), monkeypatch)


def test_what_is_on_the_disk_is_used_at_once_and_a_newer_one_when_it_is_ready(play: Play) -> None:
    play.on_disk, play.finds = ONE, PackageReady(TWO, 3.0)
    play.start()
    eventually(lambda: play.policy == [FIRST, SECOND])
    eventually(lambda: play.standing().state == "ready")
    assert (play.standing().installed, play.standing().latest) == ("demo 2.0", "demo 2.0")
    play.world.tell("upgrades", AnnouncePolicyPackage())
    eventually(lambda: play.policy == [FIRST, SECOND, SECOND])


def test_while_there_is_none_the_reason_is_told_and_it_is_tried_again_soon(play: Play) -> None:
    play.finds = PackageNotReady("pip: no such thing", "demo", tried=True)
    play.start()
    waiting = PolicyPackageChanged(reason="it is being installed")
    failed = PolicyPackageChanged(reason="pip: no such thing")
    eventually(lambda: play.policy == [waiting, failed])
    assert play.standing().state == "failing"
    play.finds = PackageReady(ONE, 3.0)
    play.world.clock.advance(16)
    eventually(lambda: play.policy == [waiting, failed, FIRST])


def test_a_version_that_fails_is_not_tried_again_before_the_interval_and_doubled(
    play: Play,
) -> None:
    play.on_disk = ONE
    play.finds = NO_USE
    play.start()
    eventually(lambda: play.asked == [True])
    eventually(lambda: play.standing().error == "demo 2.0 is of no use: it hangs")
    assert play.policy == [FIRST]
    assert play.standing().warning.startswith("policy package demo 1.0 stays in use: demo 2.0 is")
    play.world.clock.advance(600)
    eventually(lambda: play.asked == [True, True])
    eventually(lambda: play.standing().looks == 2)
    play.world.clock.advance(600)
    eventually(lambda: play.asked == [True, True, False])
    eventually(lambda: play.standing().looks == 3)
    play.world.clock.advance(600)
    eventually(lambda: play.asked == [True, True, False, True])


def test_a_version_that_has_failed_is_not_tried_again_at_each_start_unless_it_is_ordered(
    play: Play,
) -> None:
    play.on_disk = ONE
    play.finds = NO_USE
    play.start()
    eventually(lambda: play.standing().looks == 1)
    assert play.asked == [True]
    heard_at = play.world.clock.now()
    play.world.clock.advance(60)
    play.world.tell("upgrades", Crash())
    eventually(lambda: play.asked == [True, False])
    eventually(lambda: play.standing().looks == 1)
    assert play.standing().error == "demo 2.0 is of no use: it hangs"
    assert play.standing().outdated_since == heard_at
    play.world.tell("upgrades", CheckUpgrades())
    eventually(lambda: play.asked == [True, False, True])


def test_one_that_could_only_not_be_had_is_tried_again_at_each_start(play: Play) -> None:
    play.on_disk, play.finds = ONE, BROKEN_OFF
    play.start()
    eventually(lambda: play.standing().looks == 1)
    assert play.noted().failure is None
    play.world.tell("upgrades", Crash())
    eventually(lambda: play.asked == [True, True])


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"package": "demo==2.0"},
        {"package-index": "https://index.example/simple"},
        {"package-links": "/srv/wheels"},
        {"package-app": "demo:app"},
    ],
)
def test_one_that_is_no_good_from_one_source_is_tried_from_another_after_a_restart(
    play: Play, elsewhere: dict[str, str]
) -> None:
    play.on_disk, play.finds = ONE, NO_USE
    play.start()
    eventually(lambda: play.standing().looks == 1)
    play.world.reconfigure(policy={**POLICY, **elsewhere})
    play.world.tell("upgrades", Crash())
    eventually(lambda: play.asked == [True, True])


def test_one_that_is_no_good_from_a_source_configured_since_is_not_tried_after_a_restart(
    play: Play,
) -> None:
    play.on_disk, play.finds = ONE, PackageReady(ONE)
    play.start()
    eventually(lambda: play.standing().looks == 1)
    play.finds = NO_USE
    play.world.reconfigure(policy={**POLICY, "package": "demo==2.0"})
    play.world.tell("upgrades", CheckUpgrades())
    eventually(lambda: play.standing().looks == 2)
    play.world.tell("upgrades", Crash())
    eventually(lambda: play.asked == [True, True, False])


def test_another_login_of_the_same_source_is_no_reason_to_try_it_again(play: Play) -> None:
    index = "https://{}index.example/simple"
    play.world.reconfigure(policy={**POLICY, "package-index": index.format("me:secret@")})
    play.on_disk, play.finds = ONE, NO_USE
    play.start()
    eventually(lambda: play.standing().looks == 1)
    assert "secret" not in (play.world.state / "upgrade-notes").read_text()
    play.world.reconfigure(policy={**POLICY, "package-index": index.format("")})
    play.world.tell("upgrades", Crash())
    eventually(lambda: play.asked == [True, False])


def test_what_is_found_of_a_source_is_noted_of_that_one_though_another_is_configured(
    play: Play,
) -> None:
    play.on_disk, play.finds, play.gate = ONE, NO_USE, Gate()
    play.start()
    eventually(lambda: play.asked == [True])
    play.world.reconfigure(policy={**POLICY, "package": "demo==2.0"})
    play.gate.set()
    eventually(lambda: play.standing().looks == 1)
    play.world.tell("upgrades", Crash())
    eventually(lambda: play.asked == [True, True])


def test_where_none_is_in_use_one_that_has_failed_is_tried_at_each_start(play: Play) -> None:
    play.on_disk, play.finds = ONE, NO_USE
    play.start()
    eventually(lambda: play.standing().looks == 1)
    play.on_disk = None
    play.world.tell("upgrades", Crash())
    eventually(lambda: play.asked == [True, True])


def test_an_order_is_not_forgotten_by_a_crash_before_it_is_done(play: Play) -> None:
    play.on_disk, play.finds = ONE, NO_USE
    play.start()
    eventually(lambda: play.standing().looks == 1)
    play.gate = Gate()
    play.world.tell("upgrades", CheckUpgrades())
    eventually(lambda: play.asked == [True, True])
    play.world.tell("upgrades", Crash())
    play.gate.set()
    eventually(lambda: play.asked == [True, True, True])


def test_one_that_is_of_use_at_last_is_not_said_to_be_of_none_after_a_restart(play: Play) -> None:
    play.on_disk, play.finds = ONE, NO_USE
    play.start()
    eventually(lambda: play.standing().looks == 1)
    assert play.noted().failure is not None
    play.on_disk, play.finds = TWO, PackageReady(TWO)
    play.world.clock.advance(600)
    eventually(lambda: play.standing().installed == "demo 2.0")
    assert play.noted().failure is None


def test_an_order_tries_it_again_and_a_jobs_end_does_not(play: Play) -> None:
    play.on_disk = ONE
    play.finds = NO_USE
    play.start()
    eventually(lambda: play.world.waiting("upgrades") == 0 and play.standing().looks == 1)
    play.world.tell("upgrades", CheckUpgrades(fresh_s=10))
    play.world.clock.advance(20)
    play.world.tell("upgrades", CheckUpgrades())
    eventually(lambda: play.asked == [True, True])


def test_an_index_that_is_away_costs_nothing_and_is_said(play: Play) -> None:
    play.on_disk, play.finds = ONE, PackageNotReady("the latest version is not known: no")
    play.start()
    eventually(lambda: play.standing().error != "" and play.policy == [FIRST])
    assert play.standing().state == "ready"


def test_one_that_fails_in_use_gives_its_place_back(play: Play) -> None:
    play.finds = PackageReady(TWO, 3.0)
    play.start()
    eventually(lambda: play.policy[-1:] == [SECOND])
    play.world.tell("upgrades", PolicyPackageFailed("/e/2", "it ended"))
    eventually(lambda: play.policy[-1:] == [FIRST])
    assert play.fallen == [PolicyPackageFailed("/e/2", "it ended")]
    assert play.standing().error == "demo 2.0 has failed in use: it ended"
    failure = play.noted().failure
    assert failure is not None
    assert (failure.version, failure.reason) == ("demo 2.0", play.standing().error)


def test_one_that_has_not_served_well_yet_is_told_so_until_it_has(play: Play) -> None:
    play.on_disk, play.finds, play.unproven = TWO, PackageReady(TWO), TWO
    play.start()
    eventually(lambda: play.policy == [replace(SECOND, unproven=True)])
    play.world.tell("upgrades", PolicyPackageProven("/e/2"))
    eventually(lambda: play.proven == [Path("/e/2")])
    play.unproven = None
    play.world.tell("upgrades", AnnouncePolicyPackage())
    eventually(lambda: play.policy[-1] == SECOND)


def test_github_coming_back_does_not_install_anew_what_has_failed(play: Play) -> None:
    play.on_disk = ONE
    play.finds = NO_USE
    play.start()
    eventually(lambda: play.standing().looks == 1)
    for _ in range(3):
        play.world.tell("upgrades", GitHubReachable())
    eventually(lambda: not play.world.waiting("upgrades"))
    play.world.tell("upgrades", CheckUpgrades())
    eventually(lambda: play.standing().looks == 2)
    assert play.asked == [True, True]


def test_one_that_fails_again_when_it_is_ordered_is_logged_once(play: Play) -> None:
    play.on_disk = ONE
    play.finds = NO_USE
    play.start()
    eventually(lambda: play.standing().looks == 1)
    play.world.tell("upgrades", CheckUpgrades())
    eventually(lambda: play.standing().looks == 2)
    assert len([line for line in play.world.logged if "it hangs" in line]) == 1


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ((Step.ASKS, "demo"), "policy package: demo 1.0"),
        (
            (Step.INSTALLS, "demo"),
            "policy package: demo 1.0 is in use, another is being got: installs demo",
        ),
    ],
)
def test_what_is_being_done_is_shown(play: Play, step: tuple[Step, str], words: str) -> None:
    play.on_disk, play.step, play.gate = ONE, step, Gate()
    play.start()
    eventually(lambda: play.asked)
    play.world.clock.advance(1)
    eventually(lambda: words in play.world.shown("upgrades")[1].split("; "))
    play.gate.set()


def test_the_first_one_that_is_being_got_has_no_version_yet(play: Play) -> None:
    play.step, play.gate = (Step.MAKES, ""), Gate()
    play.start()
    eventually(lambda: play.asked)
    play.world.clock.advance(1)
    words = "policy package: the first one is being got: makes an environment"
    eventually(lambda: words in play.world.shown("upgrades")[1].split("; "))
    play.gate.set()


def test_an_installation_knows_when_another_package_is_configured(
    play: Play, make_world: MakeWorld
) -> None:
    play.on_disk, play.gate = ONE, Gate()
    play.start()
    eventually(lambda: play.wanted() == [True])
    settings = play.world.parts.settings
    policy = make_world(policy={**POLICY, "package": "demo==1"}).parts.settings.config.policy
    settings.accept(settings.config.model_copy(update={"policy": policy}))
    assert play.wanted() == [False]
    play.gate.set()


def test_a_crash_of_the_actor_changes_nothing_of_what_is_used(play: Play) -> None:
    play.on_disk = ONE
    play.start()
    eventually(lambda: play.policy == [FIRST])
    play.world.tell("upgrades", Crash("a test"))
    eventually(lambda: play.policy == [FIRST, FIRST])


def test_without_that_mode_there_is_no_such_subject(make_world: MakeWorld) -> None:
    world = make_world()
    world.run(
        ChildSpec("tokens", partial(Inbox.start, world.system, [])),
        ChildSpec("upgrades", partial(UpgradesActor.start, world.system, world.parts)),
    )
    subjects = [one.what for one in world.details("upgrades")["subjects"]]
    assert subjects == ["runner application", "host"]
