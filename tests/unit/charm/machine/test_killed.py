"""A hook may be killed at any moment: the next one ends where it would have ended."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from emulated_host import HostStand, Killed, killed_after
from machine import ConfigRefused, Machine, Wanted
from machine.places import NAME

MOST_CHANGES = 400
BEFORE: dict[str, Any] = {"name": "app-0", "credentials": ["token"], "virtual-machines": 1}
AFTER: dict[str, Any] = {"name": "app-0", "credentials": ["app.pem"], "virtual-machines": 2}

LATER = Wanted(AFTER, {"app.pem": "PRIVATE"}, "two\n")

Work = Callable[[Machine], object]


def install(machine: Machine) -> None:
    machine.claim("app/0")
    machine.install(lxd_channel="5.21/stable", progress=lambda _: None)


def configure(machine: Machine) -> None:
    machine.apply(Wanted(BEFORE, {"token": "ghp_first"}, "one\n"), environment={})


def reconfigure(machine: Machine) -> None:
    machine.apply(LATER, environment={})


def grow(machine: Machine) -> None:
    more = {**BEFORE, "virtual-machines": 5}
    machine.apply(Wanted(more, {"token": "ghp_first"}, "one\n"), environment={})


def upgrade(machine: Machine) -> None:
    machine.upgrade(
        lxd_channel="5.21/stable", wanted=LATER, environment={}, progress=lambda _: None
    )
    machine.apply(LATER, environment={})


def try_stillborn(machine: Machine) -> None:
    if machine.is_outdated():
        machine.upgrade(
            lxd_channel="5.21/stable", wanted=LATER, environment={}, progress=lambda _: None
        )
    else:
        machine.apply(LATER, environment={})


def upgrade_with_wrong_options(machine: Machine) -> None:
    machine.upgrade(lxd_channel="5.21/stable", wanted=None, environment={}, progress=lambda _: None)
    machine.complete()


def come_again_with_wrong_options(machine: Machine) -> None:
    if machine.is_outdated():
        upgrade_with_wrong_options(machine)
    else:
        machine.complete()


def come_again_with_refused_options(machine: Machine) -> None:
    refused = Wanted({**BEFORE, "wrong": 1}, {"token": "ghp_first"}, "one\n")
    if machine.is_outdated():
        machine.upgrade(
            lxd_channel="5.21/stable", wanted=refused, environment={}, progress=lambda _: None
        )
    with pytest.raises(ConfigRefused):
        machine.apply(refused, environment={})


def remove(machine: Machine) -> None:
    assert machine.remove() == []


def prepared(directory: Path, *done: Work) -> HostStand:
    directory.mkdir()
    stand = HostStand.at(directory)
    for work in done:
        work(stand.machine())
    return stand


def each_moment(
    directory: Path,
    before: tuple[Work, ...],
    work: Work,
    every: int = 1,
    prepare: Callable[[HostStand], None] | None = None,
) -> list[HostStand]:
    """Give a machine for each moment at which what works on it is killed, the last one whole."""
    stands = []
    for changes in range(0, MOST_CHANGES, every):
        stand = prepared(directory / str(changes), *before)
        stands.append(stand)
        if prepare is not None:
            prepare(stand)
        try:
            with killed_after(changes):
                work(stand.machine())
        except Killed:
            continue
        return stands
    raise AssertionError(f"it makes more than {MOST_CHANGES} changes")


def bring_good(stand: HostStand) -> None:
    stand.bring("0.2.0")


def bring_stillborn(stand: HostStand) -> None:
    stand.bring("0.2.0")
    stand.host.stillborn["0.2.0"] = "no socket"
    stand.machine()._environments.make()  # killed in that it is elsewhere


def comparable(stand: HostStand) -> dict[str, str]:
    """Give its files without where they are, and without the notes of what was done when."""
    root = str(stand.host.root)
    tree = {name: how.replace(root, "") for name, how in stand.tree().items()}
    return {name: how for name, how in tree.items() if not name.endswith("told.json")}


@pytest.mark.parametrize(
    ("before", "work"),
    [
        pytest.param((), install, id="install"),
        pytest.param((install,), configure, id="configure"),
        pytest.param((install, configure), reconfigure, id="reconfigure"),
        pytest.param((install, configure), grow, id="grow"),
        pytest.param((install, configure), upgrade, id="upgrade"),
        pytest.param((install, configure), remove, id="remove"),
    ],
)
def test_work_that_is_killed_at_any_moment_is_completed_by_the_next(
    tmp_path: Path, before: tuple[Work, ...], work: Work
) -> None:
    prepare, every = (bring_good, 3) if work is upgrade else (None, 1)
    *killed, whole = each_moment(tmp_path, before, work, every, prepare)
    assert len(killed) > 5
    expected = comparable(whole)
    for moment, stand in enumerate(killed):
        if configure in before and work is not remove:
            assert stand.host.reads(), f"{moment}: the service could not be started"
        assert not secrets_open_to_others(stand), moment
        work(stand.machine())
        assert comparable(stand) == expected, moment
        assert stand.host.users == whole.host.users
        assert stand.host.in_lxd == whole.host.in_lxd
        daemon = stand.host.reads() if stand.host.places.config.exists() else None
        assert stand.host.daemon == daemon, moment


def test_going_back_that_is_killed_at_any_moment_is_completed_by_the_next_events(
    tmp_path: Path,
) -> None:
    before = (install, configure)
    *killed, whole = each_moment(tmp_path, before, try_stillborn, 3, bring_stillborn)
    assert len(killed) > 50
    reconfigure(whole.machine())
    expected = comparable(whole)
    for moment, stand in enumerate(killed):
        assert stand.host.reads(), f"{moment}: the service could not be started"
        assert not secrets_open_to_others(stand), moment
        for _ in range(2):  # one may only have gone back
            try_stillborn(stand.machine())
        assert comparable(stand) == expected, moment
        assert stand.host.daemon == stand.host.reads() == whole.host.daemon, moment
        assert stand.host.daemon.software.startswith("0.1.0")


@pytest.mark.parametrize(
    "again",
    [
        upgrade_with_wrong_options,
        come_again_with_wrong_options,
        come_again_with_refused_options,
    ],
)
@pytest.mark.parametrize(
    ("prepare", "ends_on"), [(bring_good, "0.2.0"), (bring_stillborn, "0.1.0")]
)
def test_an_upgrade_that_is_killed_while_options_are_wrong_is_completed_by_the_next_event(
    tmp_path: Path, prepare: Callable[[HostStand], None], ends_on: str, again: Work
) -> None:
    before = (install, configure)
    *killed, _ = each_moment(tmp_path, before, upgrade_with_wrong_options, 3, prepare)
    assert len(killed) > 20
    for moment, stand in enumerate(killed):
        assert stand.host.reads(), f"{moment}: the service could not be started"
        again(stand.machine())
        assert stand.host.daemon == stand.host.reads(), moment
        assert stand.host.daemon.software.startswith(ends_on), moment
        assert stand.machine().version() == ends_on, moment
        assert not stand.host.places.former.exists(), moment
        assert (stand.machine().setback() is not None) == (prepare is bring_stillborn), moment


@pytest.mark.parametrize(
    ("before", "work"),
    [
        pytest.param((), install, id="install"),
        pytest.param((install,), configure, id="configure"),
        pytest.param((install, configure), upgrade, id="upgrade"),
    ],
)
def test_what_was_killed_is_removed_whole(
    tmp_path: Path, before: tuple[Work, ...], work: Work
) -> None:
    prepare = bring_good if work is upgrade else None
    for moment, stand in enumerate(each_moment(tmp_path, before, work, 3, prepare)):
        remove(stand.machine())
        assert [name for name in stand.tree() if NAME in name] == [], moment
        assert not stand.host.in_lxd


def secrets_open_to_others(stand: HostStand) -> list[Path]:
    files = (path for path in stand.host.root.rglob("*") if path.is_file())
    secret = (path for path in files if re.search("ghp_first|PRIVATE", path.read_text()))
    return [path for path in secret if path.stat().st_mode & 0o077]
