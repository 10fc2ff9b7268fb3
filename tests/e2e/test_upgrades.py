"""New versions of the runner application come out, good and bad ones, and jobs go on meanwhile."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from application_archives import link, packed
from pylxd.exceptions import LXDAPIException

from sandbox.application import VERSION, build_application
from supervisor.gateways.application_store import ApplicationStore
from tests.e2e.waits import wait_until
from tests.e2e.world import AVAILABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from sandbox.private_lxd import PrivateLxd
    from supervisor.upgrades.application import Application
    from tests.e2e.conftest import MakeWorld
    from tests.e2e.world import World

    MakeReleases = Callable[..., AbstractContextManager["Releases"]]

_UNKNOWN = {"state": "", "installed": "", "error": ""}
"""What stands there before the actor has said anything."""
TARBALLS = "/actions/runner/releases/*"
API = "*/actions/runners*"
KILLS = 5
LARGE = 400_000
LASTS_S = 1.2
"""How long a slow download of a large release takes."""


@dataclass
class Releases:
    """A world whose GitHub releases what a test wants, and what runners are seen to have of it."""

    world: World
    directory: Path

    def good(self, version: str, *, padding: int = 0) -> str:
        """Have a version released that is as it should be, or mended; return its SHA-256."""
        self.directory.mkdir(exist_ok=True)
        path = build_application(self.directory, version).path
        if padding:
            path.write_bytes(padded(path.read_bytes(), padding))
        return self.world.github.release(path).sha256

    def bad(self, version: str, content: bytes | None = None, sha256: str | None = None) -> None:
        """Have one released with other contents, or with another checksum announced."""
        self.directory.mkdir(exist_ok=True)
        path = build_application(self.directory, version).path
        if content is not None:
            path.write_bytes(content)
        self.world.github.release(path, sha256)

    def standing(self) -> dict[str, Any]:
        """Return what the daemon says of the runner application."""
        subjects = self.world.daemon.ask("/v1/upgrades")["subjects"]
        found: dict[str, Any] = next(
            (one for one in subjects if one["what"] == "runner application"), _UNKNOWN
        )
        return found

    def wait_installed(self, version: str) -> None:
        """Wait until new runners get a version."""
        wait_until(lambda: self.standing()["installed"] == version, f"{version} is in use")

    def wait_all_have(self, version: str) -> None:
        """Wait until the fleet is whole, of a version."""
        wait_until(
            lambda: self.world.is_whole() and set(self.in_guests().values()) == {version},
            f"all runners have {version}",
        )

    def in_guests(self) -> dict[str, str]:
        """Return the version that each guest has on its disk and runs, by name."""
        found = {}
        for name in self.world.instances():
            # It may just have come, or be gone.
            with suppress(OSError, LXDAPIException):
                root = Path(f"/proc/{self.world.guest_pid(name)}/root/opt/actions-runner")
                listener = (root / "bin/Runner.Listener").read_text()
                found[name] = re.findall(r"(?m)^version=(\S+)$", listener)[0]
        return found

    def on_disk(self) -> Application | None:
        """Return the daemon's current one, which must be whole."""
        store = ApplicationStore(Path(self.world.daemon.config["state-directory"]) / "applications")
        current = store.current()
        if current:
            content = store.archive(current.sha256).read_bytes()
            assert hashlib.sha256(content).hexdigest() == current.sha256
        return current

    def upgrade_now(self) -> subprocess.CompletedProcess[str]:
        """Order what is newer, as an operator does."""
        return self.world.daemon.cli("upgrade", "--now", "--wait")

    def run_job(self) -> None:
        """Have a job run to its end, with success, and its runner succeeded by another."""
        (done,) = self.world.wait_completed(self.world.queue())
        wait_until(lambda: done.runner_name not in self.world.runners(), "its runner is gone")
        self.world.wait_whole()


@pytest.fixture
def make_releases(make_world: MakeWorld, tmp_path: Path) -> MakeReleases:
    """Make worlds with one runner, whose image holds the first version."""

    @contextmanager
    def make(**settings: Any) -> Iterator[Releases]:
        with make_world(**{"virtual_machines": 1, **settings}) as world:
            yield Releases(world, tmp_path / "releases")

    return make


@pytest.fixture
def releases(make_releases: MakeReleases) -> Iterator[Releases]:
    with make_releases() as made:
        yield made


def padded(tarball: bytes, size: int) -> bytes:
    """Make a release larger, by a file that nothing makes smaller."""
    archive = io.BytesIO(gzip.decompress(tarball))
    with tarfile.open(fileobj=archive, mode="a") as opened:
        member = tarfile.TarInfo("./padding")
        member.size = size
        opened.addfile(member, io.BytesIO(os.urandom(size)))
    return gzip.compress(archive.getvalue(), compresslevel=0)


def test_the_very_next_runner_has_the_release_that_came_out_while_jobs_ran(
    make_releases: MakeReleases,
) -> None:
    with make_releases(virtual_machines=2) as releases:
        world = releases.world
        # Each edge has a look of its own: else the next one could come within 10 seconds.
        world.daemon.hurry("supervisor.actors.fleet._UPGRADES_FRESH_S", 0.001)
        world.start()
        held_gate, gate = world.gate(), world.gate()
        held, job = world.queue(held_gate.script), world.queue(gate.script)
        busy = world.wait_started(held)
        world.wait_started(job)
        released = world.daemon.now()
        releases.good("2.400.0")

        gate.open()
        world.wait_completed(job)
        # One takes its place; and one comes beside the other, which is of an old version now.
        wait_until(lambda: len(world.names(AVAILABLE)) == 2, "two others are made")
        # One that was ordered just before goes without having been made.
        made = set(world.daemon.said("creating: waits for LXD to create it", released))
        assert releases.in_guests() == {busy: VERSION, **dict.fromkeys(made, "2.400.0")}

        held_gate.open()
        world.wait_completed(held)
        releases.wait_all_have("2.400.0")
        assert world.names() == made
        world.wait_sound()
        assert not warnings(world)


def test_a_bad_release_stops_no_job_is_told_of_once_and_used_when_it_is_mended(
    releases: Releases, tmp_path: Path
) -> None:
    world = releases.world
    world.start()
    whole = build_application(tmp_path, "2.401.0").path.read_bytes()
    bad: list[tuple[dict[str, Any], str]] = [
        ({"sha256": "0" * 64}, f"and GitHub announces {'0' * 64}"),
        ({"content": whole[: len(whole) // 2]}, "it is damaged, or cut off"),
        ({"content": packed(link("escape", "/etc"))}, "'escape' is a link that leads out of it"),
        ({}, "the connection was cut"),
    ]
    for release, wrong in bad:
        began = world.daemon.now()
        releases.bad("2.401.0", **release)
        if not release:
            world.fail(path_pattern=TARBALLS, truncated=True)
        for _ in range(2):
            ordered = releases.upgrade_now()
            assert ordered.returncode == 1
            assert re.match(
                rf"runner application: {VERSION} is in use since [^,]+ UTC, "
                r"the latest is 2\.401\.0, known since [^,]+ UTC, as of ",
                ordered.stdout,
            )
            assert wrong in ordered.stdout
        shown = world.daemon.cli("upgrades")
        assert (shown.returncode, "ready" in shown.stdout) == (0, True)
        (warning,) = warnings(world)
        assert warning.startswith(f"runner application {VERSION} stays in use: ")
        assert wrong in warning
        status = world.daemon.cli("status")
        assert (status.returncode, status.stdout.count(f"warning: {warning}")) == (0, 1)
        lines = [entry for entry in world.daemon.entries(began) if wrong in entry["message"]]
        assert [line["level"] for line in lines] == ["WARNING"]
    releases.run_job()
    assert set(releases.in_guests().values()) == {VERSION}

    world.github.faults.clear()
    releases.good("2.401.0")
    assert "2.401.0 is the latest" in releases.upgrade_now().stdout
    releases.wait_all_have("2.401.0")
    releases.run_job()
    assert not warnings(world)


def test_without_a_checksum_at_the_first_start_no_runner_comes_and_then_all_by_themselves(
    releases: Releases,
) -> None:
    world = releases.world
    retry_soon(world)
    releases.bad("2.402.0", sha256="")
    why = "GitHub gives no SHA-256 for actions-runner-linux-x64-2.402.0.tar.gz"
    world.daemon.start()
    wait_until(lambda: why in world.actor("fleet")["reason"], "the fleet says what it waits for")
    wait_until(lambda: releases.standing()["state"] == "failing", "there is none")
    status = world.daemon.cli("status")
    assert status.returncode == 2  # and there is no runner
    assert f"upgrades: failing: runner application: none can be used: {why}" in status.stdout
    shown = world.daemon.cli("upgrades")
    assert (shown.returncode, "failing" in shown.stdout) == (1, True)
    assert world.actor("upgrades")["state"] == "failing"
    assert why in world.actor("upgrades")["reason"]
    assert world.is_empty()
    assert not world.github.downloads()

    releases.good("2.402.0")
    releases.wait_all_have("2.402.0")
    world.wait_sound()


def test_killed_at_any_moment_of_an_upgrade_what_is_on_the_disk_is_whole_and_runners_come_up(
    releases: Releases,
) -> None:
    world = releases.world
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - to have the same again
    chance = random.Random(seed)  # noqa: S311 - no secret
    world.start()
    newest = VERSION
    verified = set()
    for kill in range(KILLS):
        current = releases.on_disk()
        assert current
        verified.add(current.version)
        if current.version == newest:
            newest = f"2.41{kill}.0"
            releases.good(newest, padding=LARGE)
        # While it is downloaded, and while it is verified and switched to, which is soon over.
        lasts_s = (LASTS_S, 0.06)[kill % 2]
        slow = world.fail(path_pattern=TARBALLS, bytes_per_s=int(LARGE / lasts_s))
        world.daemon.control.post("/v1/upgrades")
        time.sleep(chance.uniform(0, 1.3 * lasts_s))
        world.daemon.kill()
        left = releases.on_disk()
        assert left, (seed, kill)
        assert left.version in {current.version, newest}, (seed, kill)
        # Half of the others are to be killed while they go on with what this one has begun.
        if chance.random() < 0.5:
            world.github.faults.remove(slow)
        world.daemon.start()
        world.wait_whole_again()  # one may just have been about to take another's place
        versions = releases.in_guests().values()
        # Runners that wait for a job are replaced a few at a time: some may have an earlier one.
        assert set(versions) <= verified | {newest}, (seed, kill)
        world.github.faults.clear()
    releases.upgrade_now()
    releases.wait_all_have(newest)
    releases.run_job()
    assert not [e for e in world.daemon.entries() if "the application" in e["message"]], seed


def test_an_operator_orders_an_upgrade_and_sees_it_everywhere(releases: Releases) -> None:
    world = releases.world
    world.start()
    releases.good("2.403.0", padding=LARGE)
    slow = world.fail(path_pattern=TARBALLS, bytes_per_s=LARGE // 2)
    told = world.daemon.cli("upgrade")
    assert told.stdout.startswith(f"runner application: {VERSION} is the latest, as of ")
    ordered = releases.upgrade_now()
    assert ordered.returncode == 0
    assert ordered.stdout.startswith("runner application: 2.403.0 is the latest, as of ")
    assert re.search(r"looks for a newer one: .* of .* \(\d+ %\) in \d+ s", ordered.stderr)
    world.github.faults.remove(slow)

    answer = json.loads(world.daemon.cli("upgrades", "--json").stdout)
    (subject,) = [one for one in answer["subjects"] if one["what"] == "runner application"]
    assert (subject["installed"], subject["latest"], subject["error"]) == (
        "2.403.0", "2.403.0", "",
    )  # fmt: skip
    assert subject["details"]["sha256"] == hashlib.sha256(tarball_of(releases)).hexdigest()
    shown = world.actor("upgrades")
    assert shown["state"] == "ready"
    assert shown["reason"].startswith("runner application: 2.403.0, the latest, checked at ")
    releases.wait_all_have("2.403.0")


def test_a_daemon_that_starts_without_github_uses_what_it_has_when_github_is_back(
    releases: Releases,
) -> None:
    world = releases.world
    world.daemon.hurry("supervisor.github.gate._FIRST_DELAY_S", 0.3)
    world.daemon.config["virtual-machines"] = 0
    world.daemon.start()
    releases.wait_installed(VERSION)
    world.daemon.stop()

    away = world.fail(path_pattern=API, drop_connection=True)
    world.daemon.config["virtual-machines"] = 2
    world.daemon.start()
    wait_until(lambda: releases.standing()["error"], "it can't be asked")
    shown = world.daemon.cli("upgrades")
    assert shown.returncode == 0
    assert f"{VERSION} stays in use" in world.actor("upgrades")["reason"]
    assert releases.standing()["state"] == "ready"
    wait_until(lambda: "can't be reached" in str(world.status()["problems"]), "a problem says so")
    assert not warnings(world)  # the problem says it
    assert not world.instances()

    world.github.faults.remove(away)
    world.wait_whole()
    wait_until(lambda: not releases.standing()["error"], "GitHub has been asked")
    assert set(releases.in_guests().values()) == {VERSION}
    assert [call.status for call in world.github.downloads()] == [200]


def test_on_a_full_disk_the_last_good_one_serves_and_the_reason_is_plain(
    make_releases: MakeReleases, real_lxd: PrivateLxd
) -> None:
    with ExitStack() as cleanup:
        disk = cleanup.enter_context(small_disk(real_lxd.daemon.directory))
        releases = cleanup.enter_context(make_releases(state_directory=str(disk / "state")))
        world = releases.world
        cleanup.callback(world.daemon.kill)
        world.start()
        ballast = disk / "ballast"
        fill(ballast)
        releases.good("2.404.0")
        ordered = releases.upgrade_now()
        assert ordered.returncode == 1
        assert f"{VERSION} is in use since " in ordered.stdout
        assert ", the latest is 2.404.0, known since " in ordered.stdout
        (warning,) = warnings(world)
        assert str(disk / "state/applications") in warning
        assert "no room" in warning or "the disk is full" in warning
        releases.run_job()
        world.restart_after_kill()
        world.wait_whole()
        assert set(releases.in_guests().values()) == {VERSION}

        ballast.unlink()
        assert "2.404.0 is the latest" in releases.upgrade_now().stdout
        releases.wait_all_have("2.404.0")
        assert not warnings(world)


def test_on_a_disk_that_is_full_at_the_first_start_no_runner_comes_until_there_is_room(
    make_releases: MakeReleases, real_lxd: PrivateLxd
) -> None:
    with ExitStack() as cleanup:
        disk = cleanup.enter_context(small_disk(real_lxd.daemon.directory))
        releases = cleanup.enter_context(make_releases(state_directory=str(disk / "state")))
        world = releases.world
        cleanup.callback(world.daemon.kill)
        retry_soon(world)
        ballast = disk / "ballast"
        fill(ballast)
        world.daemon.start()
        wait_until(lambda: releases.standing()["state"] == "failing", "there is none")
        (problem,) = [one for one in world.status()["problems"] if one.startswith("upgrades")]
        assert "the disk is full" in problem, problem
        assert str(disk / "state/applications") in problem
        full = "the disk is full"
        wait_until(lambda: full in world.actor("fleet")["reason"], "the fleet says it, too")
        assert world.is_empty()

        ballast.unlink()
        world.wait_whole()
        world.wait_sound()
        world.reconcile()
        places = disk / "state/places"
        wait_until(
            lambda: places.exists() and "acme" in places.read_text(),
            "what could not be noted is noted",
        )


def retry_soon(world: World) -> None:
    """Have the daemon try again soon what has failed."""
    world.daemon.hurry("supervisor.actors.application_upgrade.FIRST_WAIT_S", 0.5)


@contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    """Mount a disk below LXD's directory: what cleans up after a killed run unmounts it too."""
    disk = Path(tempfile.mkdtemp(dir=directory, prefix="e2e-"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=80m,mode=700", "tmpfs", str(disk)]
    subprocess.run(mount, check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)
        disk.rmdir()


def fill(path: Path) -> None:
    """Fill a disk to its last byte."""
    free = shutil.disk_usage(path.parent).free
    with suppress(OSError), path.open("wb", buffering=0) as file:
        file.write(bytes(free))
        while file.write(b"\0"):
            pass


def tarball_of(releases: Releases) -> bytes:
    """Give what GitHub offers now."""
    offered = releases.world.github.offered("x64")
    assert offered
    return offered.tarball.read_bytes()


def warnings(world: World) -> list[str]:
    """Return what the operator is warned of because of the runner application."""
    return [one for one in world.status()["warnings"] if one.startswith("runner application")]
