"""Runners are made with the latest verified application: GitHub, a disk and a fleet together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from lxd_fleet import LxdFleet, hurried, lxd_fleet

from supervisor.messages.upgrades import CheckUpgrades

FIRST = "2.300.0"
NEXT = "2.301.0"
MakeFleet = Callable[..., LxdFleet]


@pytest.fixture
def make_fleet(tmp_path: Path) -> Iterator[MakeFleet]:
    with ExitStack() as stack:
        crashes = stack.enter_context(hurried())

        def make(sha256: str | None = None) -> LxdFleet:
            return stack.enter_context(lxd_fleet(tmp_path, 1, sha256=sha256))

        yield make
    assert crashes == []


def look(fleet: LxdFleet) -> None:
    """Have the daemon look for newer versions, as `supervisor-cli upgrade --now` does."""
    fleet.system.directory.tell("upgrades", CheckUpgrades())


def runs(fleet: LxdFleet, sha256: str) -> set[str]:
    """Return the runners that were given an application."""
    return {name for name, script in fleet.gateway.scripts.items() if sha256 in script}


def warns(fleet: LxdFleet, words: str) -> bool:
    """Tell whether the operator is warned of something, in these words."""
    return any(words in warning for warning in fleet.status()["warnings"])


def downloads(fleet: LxdFleet) -> int:
    return len(fleet.github.downloads())


def archive(fleet: LxdFleet) -> Path:
    """Return where the application is that new runners get."""
    current = fleet.parts.applications.current()
    assert current
    return fleet.parts.applications.archive(current.sha256)


def test_the_next_runner_has_the_release_that_came_out_before_a_job(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    fleet.wait(fleet.is_whole, "the fleet is whole")
    before = set(fleet.entries())
    released = fleet.release(NEXT)

    job = fleet.queue(0.2)

    fleet.wait(lambda: fleet.github.job(job).conclusion == "success", "the job is done")
    fleet.wait(lambda: not before & set(fleet.entries()), "the runners of before are replaced")
    fleet.wait(fleet.is_whole, "the fleet is whole with the next release")
    assert runs(fleet, released.sha256) >= set(fleet.entries())


def test_a_release_with_another_checksum_than_announced_is_not_used_and_warned_of(
    make_fleet: MakeFleet,
) -> None:
    fleet = make_fleet()
    fleet.wait(fleet.is_whole, "the fleet is whole")
    before = set(fleet.entries())
    fleet.release(NEXT, sha256="0" * 64)

    look(fleet)
    fleet.wait(lambda: warns(fleet, f"runner application {FIRST} stays in use"), "it is told")
    job = fleet.queue(0.2)
    fleet.wait(lambda: fleet.github.job(job).conclusion == "success", "the job is done")
    fleet.wait(fleet.is_whole, "nothing is wrong, and another took its place")

    assert set(fleet.entries()) - before
    assert runs(fleet, "0" * 64) == set()
    good = fleet.release("2.302.0")
    look(fleet)
    fleet.wait(lambda: runs(fleet, good.sha256) >= set(fleet.entries()), "a good one is used")
    assert not warns(fleet, "stays in use")


def test_no_runner_starts_before_there_is_one_with_a_checksum_and_the_status_says_why(
    make_fleet: MakeFleet,
) -> None:
    fleet = make_fleet(sha256="")
    why = f"GitHub gives no SHA-256 for actions-runner-linux-x64-{FIRST}.tar.gz"
    fleet.wait(lambda: fleet.reads(f"^upgrades: failing: .*{why}"), "it is told")
    fleet.watch(1)
    assert (fleet.most_instances, fleet.github.runners(), downloads(fleet)) == (0, (), 0)

    fleet.release(NEXT)
    look(fleet)
    fleet.wait(fleet.is_whole, "runners are there, and nothing is wrong")


def test_a_daemon_that_starts_again_verifies_what_it_has_and_downloads_nothing(
    make_fleet: MakeFleet,
) -> None:
    fleet = make_fleet()
    fleet.wait(fleet.is_whole, "the fleet is whole")
    before = set(fleet.entries())
    fleet.stop()
    fleet.start()
    fleet.wait(fleet.is_whole, "it has taken all over")
    assert set(fleet.entries()) == before
    assert downloads(fleet) == 1


def test_an_application_that_was_spoilt_on_the_disk_is_got_anew(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    fleet.wait(fleet.is_whole, "the fleet is whole")
    before = set(fleet.entries())
    fleet.stop()
    spoilt = archive(fleet)
    content = spoilt.read_bytes()
    spoilt.write_bytes(content[:-1] + b"?")
    fleet.start()
    store = fleet.parts.applications
    fleet.wait(lambda: downloads(fleet) == 2 and store.current(), "it is there again")
    fleet.wait(fleet.is_whole, "it has taken all over")
    assert set(fleet.entries()) == before
    assert archive(fleet).read_bytes() == content
