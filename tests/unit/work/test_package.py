"""The work on a policy package, with pip's and the trials' outcomes in their places."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.config import Config, ConfigError, parse
from supervisor.gateways.environments import (
    Environment,
    EnvironmentFailed,
    PackageEnvironments,
)
from supervisor.gateways.pip import Pip, PipFailed
from supervisor.messages.upgrades import PolicyPackageFailed
from supervisor.policy.package import Release
from supervisor.work import package as package_work
from supervisor.work.package import (
    FellBack,
    PackageNotReady,
    PackageReady,
    PackageWork,
    fall_back,
    note_proven,
)
from supervisor.work.package_trial import Tried

Trial = Callable[[], Tried]
WELL = Tried()
AWAY = Tried(trouble="GitHub is away")
CONFIG = parse(
    {
        "name": "fleet",
        "path": "acme",
        "token": "ghp_secret",
        "policy": {"mode": "package", "package": "demo"},
    },
    "test",
)


class Stand:
    """Environments on the disk, with nothing in them."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root / "policy-package"
        self.environments = PackageEnvironments(self.root)
        self.is_wanted = True
        self.version = 0
        self.tried: list[str] = []
        self.trials: dict[str, Tried] = {}
        self.directories: list[Path] = []
        monkeypatch.setattr(PackageEnvironments, "make", lambda _: self._make())
        monkeypatch.setattr(Pip, "install", lambda *_: self._release())
        monkeypatch.setattr(Pip, "planned", lambda *_: self._release())
        monkeypatch.setattr(package_work, "try_out", self._try_out)

    def _release(self) -> Release:
        return Release("demo", f"{self.version}.0")

    def _make(self) -> Path:
        path = self.root / str(self.version)
        python = path / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.touch(mode=0o755)
        return path

    def _try_out(self, _config: Config, python: Path, directory: Path) -> Tried:
        name = python.parent.parent.name
        self.tried.append(name)
        self.directories.append(directory)
        return self.trials.get(name, WELL)

    def upgrade(self) -> PackageReady | PackageNotReady:
        """Have the next version in use."""
        self.version += 1
        work = PackageWork(
            self.environments,
            CONFIG,
            lambda _: True,
            lambda: (),
            lambda: self.is_wanted,
            lambda *_: None,
        )
        return work.bring_up_to_date()

    def upgraded(self) -> Environment:
        found = self.upgrade()
        assert isinstance(found, PackageReady), found
        self.tried.clear()
        return found.environment

    def fall_back(self, failed: Environment, *, trouble: bool = False) -> FellBack | None:
        failure = PolicyPackageFailed(str(failed.path), "it fails", trouble)
        return fall_back(self.environments, CONFIG, failure)


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    return Stand(tmp_path, monkeypatch)


def test_a_version_is_not_switched_to_when_another_package_is_configured_meanwhile(
    stand: Stand,
) -> None:
    first = stand.upgraded()
    stand.is_wanted = False
    reason = "policy.package has changed while demo 2.0 was installed"
    assert stand.upgrade() == PackageNotReady(reason)
    assert stand.environments.current() == first
    assert not (stand.root / "2").exists()


@pytest.mark.parametrize("fault", [Tried("it hangs"), AWAY])
def test_a_version_that_fails_its_trial_is_no_good(stand: Stand, fault: Tried) -> None:
    stand.upgraded()
    stand.trials["2"] = fault
    reason = f"demo 2.0 is of no use: {fault.fault or fault.trouble}"
    assert stand.upgrade() == PackageNotReady(reason, "demo 2.0", tried=True, refused=True)
    assert not (stand.root / "2").exists()


@pytest.mark.parametrize(
    ("of", "call", "failure"),
    [
        (Pip, "install", PipFailed("pip: the connection broke off")),
        (PackageEnvironments, "make", EnvironmentFailed("the disk is full")),
        (package_work, "try_out", ConfigError("policy.user: there is no such user")),
    ],
)
def test_a_version_that_could_not_be_had_or_tried_is_not_said_to_be_no_good(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, of: Any, call: str, failure: Exception
) -> None:
    stand.upgraded()

    def fail(*_: Any) -> Any:
        raise failure

    monkeypatch.setattr(of, call, fail)
    assert stand.upgrade() == PackageNotReady(str(failure), "demo 2.0", tried=True)


# One fails in use


def test_one_whose_process_fails_gives_its_place_back_untried(stand: Stand) -> None:
    first, second = stand.upgraded(), stand.upgraded()
    assert stand.fall_back(second) == FellBack(str(second.release), first, "it fails")
    assert stand.environments.current() == first
    assert stand.tried == []


def test_one_in_trouble_gives_its_place_back_if_the_one_before_is_well(stand: Stand) -> None:
    first, second = stand.upgraded(), stand.upgraded()
    stand.trials["2"] = AWAY
    assert stand.fall_back(second, trouble=True) == FellBack(str(second.release), first, "it fails")


@pytest.mark.parametrize("before", [AWAY, Tried("it ends")])
def test_an_outage_that_any_version_suffers_from_is_no_fault_of_one(
    stand: Stand, before: Tried
) -> None:
    _, second = stand.upgraded(), stand.upgraded()
    stand.trials = {"1": before, "2": AWAY}
    assert stand.fall_back(second, trouble=True) is None
    assert stand.environments.current() == second


def test_an_outage_that_is_over_is_no_fault_of_a_version(stand: Stand) -> None:
    _, second = stand.upgraded(), stand.upgraded()
    assert stand.fall_back(second, trouble=True) is None
    assert stand.tried == ["1", "2"]


def test_trouble_stays_where_nothing_can_be_tried(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second = stand.upgraded(), stand.upgraded()

    def full(*_: Any) -> Tried:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(package_work, "try_out", full)
    assert stand.fall_back(second, trouble=True) is None
    assert stand.environments.current() == second


def test_since_when_one_is_in_use_is_known_after_a_restart_too(stand: Stand) -> None:
    assert stand.environments.switched_at() is None
    stand.upgraded()
    first = stand.environments.switched_at()
    assert first
    assert PackageEnvironments(stand.root).switched_at() == first
    stand.upgraded()
    second = stand.environments.switched_at()
    assert second
    assert second > first


# One has not served well yet


def test_another_version_is_unproven_until_it_has_served_well(stand: Stand) -> None:
    assert not stand.environments.is_unproven(stand.upgraded())  # there is none before it
    second = stand.upgraded()
    again = PackageEnvironments(stand.root)  # as after a start of the daemon
    assert again.is_unproven(second)
    note_proven(again, stand.root / "1")
    assert again.is_unproven(second)
    note_proven(again, second.path)
    assert not again.is_unproven(second)


def test_the_one_before_is_proven_when_it_is_in_use_again(stand: Stand) -> None:
    first, second = stand.upgraded(), stand.upgraded()
    stand.fall_back(second)
    assert not stand.environments.is_unproven(first)


# Trials


def test_a_trial_has_a_directory_below_theirs_that_is_gone_after_it(stand: Stand) -> None:
    stand.upgraded()
    (directory,) = stand.directories
    assert directory.parent.parent == stand.root
    assert not directory.exists()


def test_what_a_killed_daemon_has_left_of_a_trial_is_deleted_at_the_next_look(
    stand: Stand,
) -> None:
    stand.upgraded()
    with stand.environments.trial() as directory:
        left = directory / "left"
        left.touch()
        assert directory.parent.stat().st_mode & 0o777 == 0o711
        PackageEnvironments(stand.root).prepare()
        assert not left.exists()
        directory.mkdir(parents=True)
