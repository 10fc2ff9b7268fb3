"""Obtaining the runner application from the sandbox GitHub, and what is on the disk after that."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from application_archives import file, link, packed
from waiting import eventually

from sandbox.github import Fault, SandboxGitHub
from supervisor.gateways.application_store import ApplicationStore, digest_of
from supervisor.gateways.downloads import Limits
from supervisor.upgrades.application import Application
from supervisor.upgrades.archive import examine
from supervisor.web.proxies import Proxies
from supervisor.work.application import (
    NotObtained,
    Obtained,
    Progress,
    obtain,
    prune,
    verify_current,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

PLACE = "/actions/runner/releases/*"
TESTS = Path(__file__).parents[2]


def _noise(size: int) -> bytes:
    """Give bytes that gzip can make no smaller."""
    return random.Random(1).randbytes(size)  # noqa: S311 - no secret


class World:
    """A GitHub with releases, and a store that starts anew when a test wants it."""

    def __init__(self, github: SandboxGitHub, directory: Path) -> None:
        self.github = github
        self.directory = directory / "state" / "applications"
        self.tarballs = directory / "tarballs"
        self.tarballs.mkdir()
        self.restart()

    def restart(self) -> None:
        self.store = ApplicationStore(self.directory)

    def release(self, version: str, content: bytes = b"", sha256: str | None = None) -> Application:
        tarball = self.tarballs / f"actions-runner-linux-x64-{version}.tar.gz"
        tarball.write_bytes(content or packed(file("version", version.encode())))
        release = self.github.release(tarball, sha256)
        return Application(self.github.url + release.path, release.sha256, release.filename)

    def obtain(self, offer: Application) -> Obtained | NotObtained:
        return obtain(self.store, offer, Proxies(), Progress(), Limits(spare_bytes=0))

    def has(self, offer: Application) -> None:
        done = self.obtain(offer)
        assert isinstance(done, Obtained), done
        assert self.whole() == offer

    def lacks(self, offer: Application) -> str:
        before = self.store.current()
        done = self.obtain(offer)
        assert isinstance(done, NotObtained)
        assert done.refused == ("is not used" in done.reason)
        assert self.whole() == before
        return done.reason

    def whole(self) -> Application | None:
        """Give the current one, and see that it is what it says it is."""
        current = self.store.current()
        if current:
            archive = self.store.archive(current.sha256)
            assert digest_of(archive) == current.sha256
            with archive.open("rb") as opened:
                assert examine(opened, archive.stat().st_size) == ""
        return current

    def asked(self) -> list[int | None]:
        return [call.status for call in self.github.downloads()]

    def names(self) -> set[str]:
        return {path.name for path in self.directory.iterdir()}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with SandboxGitHub() as github:
        yield World(github, tmp_path)


# As it should be


def test_a_release_is_obtained_and_switched_to(world: World) -> None:
    assert verify_current(world.store) is None
    assert world.store.current() is None
    assert world.store.kept() == ()
    offer = world.release("2.0.0")
    done = world.obtain(offer)
    assert isinstance(done, Obtained)
    assert (done.application, done.was_there) == (offer, False)
    assert world.whole() == offer
    assert world.names() == {"current", offer.sha256}


def test_what_is_there_is_not_asked_for_again(world: World) -> None:
    offer = world.release("2.0.0")
    world.has(offer)
    for _ in range(2):
        done = world.obtain(offer)
        assert isinstance(done, Obtained)
        assert done.was_there
        world.restart()
    assert verify_current(world.store) == offer
    assert world.asked() == [200]


def test_since_when_it_is_in_use_is_known_after_a_restart_too(world: World) -> None:
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    offer = world.release("2.0.0")
    assert world.store.switched_at(offer.sha256) is None
    world.has(offer)
    switched_at = world.store.switched_at(offer.sha256)
    assert switched_at
    assert before < switched_at <= datetime.now(timezone.utc)
    world.restart()
    assert verify_current(world.store) == offer
    world.has(offer)
    assert world.store.switched_at(offer.sha256) == switched_at


def test_a_newer_release_takes_its_place_and_an_older_one_can_come_back(world: World) -> None:
    old, new = world.release("2.0.0"), world.release("2.1.0")
    for offer in (old, new, old, new):
        world.has(offer)
    assert world.store.kept() == (new, old)
    assert world.asked() == [200, 200]


def test_another_address_of_the_same_is_taken_over(world: World) -> None:
    offer = world.release("2.0.0")
    world.has(offer)
    elsewhere = replace(offer, url="http://10.1.2.3/" + offer.filename)
    world.has(elsewhere)
    assert world.store.kept() == (elsewhere,)


def test_it_can_be_elsewhere(world: World) -> None:
    offer = world.release("2.0.0")
    url = f"{world.github.url}/moved"
    world.github.faults.add(Fault.redirect(offer.url, path_pattern="/moved"))
    world.has(replace(offer, url=url))


def test_it_is_for_this_user_alone(world: World) -> None:
    world.has(world.release("2.0.0"))
    paths = [world.directory, *world.directory.rglob("*")]
    modes = {oct(path.lstat().st_mode & 0o777) for path in paths if not path.is_symlink()}
    assert modes == {"0o700", "0o600"}


def test_progress_is_seen_by_others(world: World) -> None:
    offer = world.release("2.0.0", packed(file("x", _noise(200_000))))
    world.github.faults.add(Fault("GET", PLACE, bytes_per_s=200_000))
    progress = Progress()
    arguments = (world.store, offer, Proxies(), progress)
    thread = threading.Thread(target=obtain, args=arguments)
    thread.start()
    eventually(lambda: " of 196 KiB (" in progress.in_words())
    thread.join(10)
    assert progress.in_words() == ""
    assert world.whole() == offer


# Not what it should be


def test_a_wrong_byte_is_found_and_the_last_good_one_stays(world: World) -> None:
    world.has(world.release("2.0.0"))
    offer = world.release("2.1.0")
    world.github.faults.add(Fault("GET", PLACE, wrong_bytes=True))
    said = world.lacks(offer)
    assert f"{offer.filename} is not used: its SHA-256 is " in said
    assert said.endswith(f"and GitHub announces {offer.sha256}")
    world.has(offer)


def test_another_checksum_than_announced_is_refused_each_time(world: World) -> None:
    offer = world.release("2.0.0", sha256="0" * 64)
    for _ in range(2):
        assert "GitHub announces 000" in world.lacks(offer)
    assert world.names() == set()


def test_one_that_was_cut_off_is_gone_on_with(world: World) -> None:
    offer = world.release("2.0.0")
    world.github.faults.add(Fault("GET", PLACE, truncated=True))
    assert "cut" in world.lacks(offer)
    world.restart()
    assert verify_current(world.store) is None
    world.has(offer)
    assert world.asked() == [200, 206]


def test_a_wrong_byte_amid_what_was_cut_off_costs_one_try(world: World) -> None:
    offer = world.release("2.0.0")
    world.github.faults.add(Fault("GET", PLACE, truncated=True))
    world.lacks(offer)
    (partial,) = world.directory.glob("*/archive.partial")
    partial.write_bytes(bytes(partial.stat().st_size))
    assert "its SHA-256 is" in world.lacks(offer)
    world.has(offer)


@pytest.mark.parametrize("status", [404, 500])
def test_an_error_is_said_and_got_over(world: World, status: int) -> None:
    offer = world.release("2.0.0")
    world.github.faults.add(Fault("GET", PLACE, status=status))
    assert world.lacks(offer).endswith(f"{offer.filename}: it answers {status}")
    world.has(offer)


@pytest.mark.parametrize(
    "content",
    [
        packed(file("../../etc/cron.d/x")),
        packed(link("x", "/etc"), file("x/y")),
        packed(file("x", mode=0o4755)),
        packed(file("x", bytes(70 * 2**20))),
        b"<html>",
    ],
)
def test_a_hostile_archive_is_not_used_though_its_sum_is_right(
    world: World, content: bytes
) -> None:
    world.has(world.release("2.0.0"))
    offer = world.release("2.1.0", content)
    assert world.lacks(offer).startswith(f"{offer.filename} is not used: ")
    assert offer.sha256 not in " ".join(world.names())


@pytest.mark.parametrize("sha256", ["", "x", "../../../etc", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_a_sum_that_is_none_names_no_file(world: World, sha256: str) -> None:
    offer = replace(world.release("2.0.0"), sha256=sha256)
    assert "is no SHA-256" in world.lacks(offer)
    assert world.asked() == []


# The disk


def test_a_current_one_that_was_changed_is_not_believed(world: World) -> None:
    offer = world.release("2.0.0")
    world.has(offer)
    world.store.archive(offer.sha256).write_bytes(b"changed")
    done = world.obtain(offer)
    assert isinstance(done, Obtained)
    assert not done.was_there
    assert world.whole() == offer


@pytest.mark.parametrize("damage", ["changed", "gone", "a link", "offer", "link", "link elsewhere"])
def test_a_start_with_a_damaged_current_one_goes_back_to_the_one_before(
    world: World, damage: str
) -> None:
    old, new = world.release("2.0.0"), world.release("2.1.0")
    world.has(old)
    world.has(new)
    version, current = world.directory / new.sha256, world.directory / "current"
    if damage == "changed":
        (version / "archive").write_bytes(b"changed")
    elif damage in {"gone", "a link"}:
        (version / "archive").unlink()
        if damage == "a link":
            (version / "archive").symlink_to(world.store.archive(old.sha256))
    elif damage == "offer":
        (version / "offer.json").write_text("{")
    else:
        current.unlink()
        current.symlink_to("../../../etc" if damage == "link elsewhere" else old.sha256)
    world.restart()
    expected = new if damage == "link elsewhere" else old
    assert verify_current(world.store) == expected
    assert world.whole() == expected
    world.has(new)


def test_a_start_without_any_that_is_right_has_none(world: World) -> None:
    offers = [world.release("2.0.0"), world.release("2.1.0")]
    for offer in offers:
        world.has(offer)
    for offer in offers:
        world.store.archive(offer.sha256).write_bytes(b"changed")
    world.restart()
    assert verify_current(world.store) is None
    assert world.store.current() is None
    assert world.names() == {"current"}
    world.has(offers[0])


def test_what_a_killed_process_has_left_is_cleared(world: World) -> None:
    old = world.release("2.0.0")
    world.has(old)
    for name in (f"removed-{'1' * 64}", f"incoming-{'2' * 64}"):
        (world.directory / name).mkdir()
        (world.directory / name / "archive").touch()
    (world.directory / "current.new").symlink_to("x")
    (world.directory / old.sha256 / "offer.json.x1.new").touch()
    world.restart()
    assert verify_current(world.store) == old
    assert world.names() == {"current", old.sha256, f"incoming-{'2' * 64}"}
    world.has(world.release("2.1.0"))
    assert not [name for name in world.names() if name.startswith("incoming-")]
    assert not list(world.directory.glob("*/*.new"))


def test_old_ones_are_pruned_but_not_what_is_in_use(world: World) -> None:
    offers = [world.release(f"2.{number}.0") for number in range(5)]
    for offer in offers:
        world.has(offer)
    in_use = frozenset({offers[1].sha256})
    gone = prune(world.store, in_use)
    assert set(gone) == {offers[0].sha256, offers[2].sha256}
    assert world.store.kept() == (offers[4], offers[3], offers[1])
    with world.store.held(offers[1].sha256) as archive, world.store.held(offers[1].sha256):
        assert prune(world.store, frozenset()) == ()
        assert archive.exists()
    assert prune(world.store, frozenset()) == (offers[1].sha256,)
    assert prune(world.store, frozenset()) == ()
    assert world.names() == {"current", offers[3].sha256, offers[4].sha256}


def test_a_directory_in_others_hands_is_not_used(world: World) -> None:
    offer = world.release("2.0.0")
    world.has(offer)
    world.directory.chmod(0o777)
    assert world.store.current() is None
    world.restart()
    assert verify_current(world.store) is None
    assert f"chmod go-w {world.directory}" in world.lacks(offer)
    world.directory.chmod(0o700)
    os.chown(world.directory, 12345, 12345)
    assert "belongs to user 12345" in world.lacks(offer)
    assert world.asked() == [200]
    os.chown(world.directory, 0, 0)
    assert world.whole() == offer


def test_what_is_no_directory_is_said_so(world: World) -> None:
    world.directory.parent.mkdir()
    world.directory.touch()
    assert world.lacks(world.release("2.0.0")) == f"can't use {world.directory}: File exists"
    assert verify_current(world.store) is None
    assert prune(world.store, frozenset()) == ()


@pytest.fixture
def small(world: World) -> Iterator[World]:
    """A store on a disk of its own, which is small."""
    world.directory.mkdir(parents=True)
    options = "size=256k,mode=700"
    disk = str(world.directory)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)
    yield world
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_said_so_and_the_last_good_one_stays(small: World) -> None:
    old = small.release("2.0.0")
    small.has(old)
    new = small.release("2.1.0", packed(file("x", _noise(400_000))))
    assert "no room in" in small.lacks(new)
    with suppress(OSError), (small.directory / "fill").open("wb", buffering=0) as fill:
        while fill.write(bytes(4096)):
            pass
    third = small.release("2.2.0", packed(file("x", _noise(9_000))))
    assert "no room in" in small.lacks(third) or "disk is full" in small.lacks(third)
    (small.directory / "fill").unlink()
    small.has(third)


def test_a_disk_that_can_only_be_read_is_said_so(small: World) -> None:
    old = small.release("2.0.0")
    small.has(old)
    disk = str(small.directory)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert "Read-only file system" in small.lacks(small.release("2.1.0"))
    small.restart()
    assert verify_current(small.store) == old


# Killed


class Killable:
    """Tries of `obtain`, each in a process of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._process = subprocess.Popen(
            [sys.executable, str(TESTS / "killed_obtain.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": f"{TESTS.parent}:{TESTS}", "PATH": os.environ["PATH"]},
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def run(self, offer: Application, *, step: int = 0, after_s: float | None = None) -> bool:
        """Obtain it, perhaps killed; say whether it has come to its end."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        told = {"url": offer.url, "sha256": offer.sha256, "filename": offer.filename}
        order = {"directory": str(self._world.directory), "offer": told, "step": step}
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        pid = int(process.stdout.readline())
        timer = None
        if after_s is not None:
            timer = threading.Timer(after_s, os.kill, (pid, signal.SIGKILL))
            timer.start()
        status = int(process.stdout.readline())
        if timer:
            timer.cancel()
            timer.join()
        process.stdin.write("\n")
        process.stdin.flush()
        assert status in {0, signal.SIGKILL}
        return status == 0


@pytest.fixture
def killable(world: World) -> Iterator[Killable]:
    with Killable(world) as made:
        yield made


def test_killed_at_any_step_either_the_old_or_the_new_one_is_current(
    world: World, killable: Killable
) -> None:
    old = world.release("2.0.0")
    world.has(old)
    ended = False
    for step in range(1, 60):
        new = world.release(f"2.1.{step}")
        ended = killable.run(new, step=step)
        world.restart()
        assert world.whole() in {old, new}, step
        if ended:
            break
        assert verify_current(world.store) in {old, new}
        world.has(new)
        world.has(old)
        prune(world.store, frozenset())
        assert len(world.names()) <= 3, step
    assert ended
    assert step > 10


def test_killed_at_any_time_either_the_old_or_the_new_one_is_current_and_it_goes_on(
    world: World, killable: Killable
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - to have the same again
    chance = random.Random(seed)  # noqa: S311 - no secret
    world.github.faults.add(Fault("GET", PLACE, bytes_per_s=1_500_000, times=None))
    old = world.release("2.0.0")
    world.has(old)
    releases = iter(range(1, 100))

    def publish() -> Application:
        content = packed(file("payload", chance.randbytes(1_000_000)))
        return world.release(f"2.1.{next(releases)}", content)

    new = publish()
    kills = 0
    while kills < 30:
        ended = killable.run(new, after_s=chance.uniform(0, 0.4))
        kills += not ended
        world.restart()
        found = world.whole()
        assert found in {old, new}, (seed, kills)
        if ended:
            assert found == new
        if found == new:
            old, new = new, publish()
    assert killable.run(new)
    assert world.whole() == new
    assert 206 in world.asked()
