"""What is kept of real guests, honest and hostile ones, before they go."""

from __future__ import annotations

import errno
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import eventually

from supervisor.config import LogsConfig
from supervisor.gateways.log_store import LogStore
from supervisor.gateways.lxd import Lxd
from supervisor.lifecycle import InstanceGone, Limits
from supervisor.messages.runner import Happened
from supervisor.work.instance import Inspected, InstanceWork, LogsSaved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Build = Callable[..., dict[str, Any]]

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
DIAG = "/opt/actions-runner/_diag"
LIMIT_S = 16
REST = "\nmkdir /tmp/up\nexec /bin/busybox sleep 3600\n"


class Saving:
    """Runs guests, and saves and removes them as a runner's actor does."""

    def __init__(self, lxd: Lxd, request_for: Build, store: LogStore) -> None:
        self._lxd, self._request_for = lxd, request_for
        self.store = store
        self.config = LogsConfig()

    def of(self, script: str, *, start: bool = True) -> str:
        """Return what is kept of a guest whose root has run a script; and see that it goes."""
        self._lxd.create(self._request_for("one", script + REST), limit_s=30)
        if start:
            self._lxd.start("one", limit_s=30)
            eventually(self._is_up)
        work = InstanceWork(self._lxd, "one", Limits())
        began = time.monotonic()
        saved = work.save_logs(self.store, self.config, reason="a test", at=NOW)
        assert time.monotonic() - began < LIMIT_S
        assert work.remove() == Happened(InstanceGone())
        assert self._lxd.instances() == []
        kept = self.store.read("one")
        assert saved == LogsSaved(kept=kept is not None)
        return "" if kept is None else kept.text

    def _is_up(self) -> bool:
        look = ("/bin/busybox", "ls", "-d", "/tmp/up")
        return bool(self._lxd.output_of("one", look, most_bytes=99, limit_s=5).data)


@pytest.fixture
def saving(lxd: Lxd, request_for: Build, tmp_path: Path) -> Saving:
    return Saving(lxd, request_for, LogStore(tmp_path / "logs"))


def test_console_and_logs_of_a_guest_are_kept(saving: Saving) -> None:
    text = saving.of(
        f"""
        echo on the console
        echo of cloud-init >/var/log/cloud-init-output.log
        mkdir -p {DIAG}
        for hour in 1 2 3 4; do
            echo "at $hour" >{DIAG}/Runner_$hour.log
            touch -d "2030-01-01 0$hour:00" {DIAG}/Runner_$hour.log
        done
        echo other >{DIAG}/other.txt
        """
    )
    assert text == (
        "runner: one\nsaved: 2030-01-01T00:00:00+00:00\nreason: a test\n\n"
        "== console ==\non the console\n\n"
        "== guest ==\n== /var/log/cloud-init-output.log ==\nof cloud-init\n\n"
        f"== {DIAG}/Runner_4.log ==\nat 4\n\n"
        f"== {DIAG}/Runner_3.log ==\nat 3\n\n"
        f"== {DIAG}/Runner_2.log ==\nat 2\n"
    )


def test_of_long_logs_the_ends_are_kept_and_none_at_the_cost_of_others(saving: Saving) -> None:
    saving.config = LogsConfig(size="64KiB")
    text = saving.of(
        f"""
        seq 100000
        seq 100000 >/var/log/cloud-init-output.log
        mkdir -p {DIAG}
        for name in a b c d; do seq 100000 >{DIAG}/$name.log; done
        """
    )
    assert len(text.encode()) <= 64 * 1024
    assert text.count("\n99999\n100000\n") == 5


def test_a_guest_that_was_not_started_leaves_nothing(saving: Saving) -> None:
    assert saving.of("", start=False) == ""
    assert saving.store.listing() == []


def test_links_and_pipes_in_place_of_logs_give_nothing_and_hold_up_nobody(saving: Saving) -> None:
    text = saving.of(
        f"""
        echo of the guest >/etc/shadow
        ln -s /etc/shadow /var/log/cloud-init-output.log
        mkdir -p {DIAG}
        mkfifo {DIAG}/pipe.log
        ln -s ../../../../../../../etc/shadow {DIAG}/link.log
        mkdir {DIAG}/directory.log
        """
    )
    assert text.endswith("== console ==\n(nothing)\n\n== guest ==\n(nothing)\n")


def test_a_directory_that_is_a_link_shows_the_guests_own_files_at_most(saving: Saving) -> None:
    text = saving.of(
        f"""
        echo of the guest >/etc/shadow.log
        mkdir -p {DIAG}
        rmdir {DIAG}
        ln -s ../../../../../../../../etc {DIAG}
        """
    )
    assert f"== {DIAG}/shadow.log ==\nof the guest\n" in text
    assert Path("/etc/shadow").read_text().splitlines()[0] not in text


@pytest.mark.parametrize(
    ("shell", "remark"),
    [
        ("while :; do sleep 1; done", "(is cut off after 2 s)"),
        ("trap '' TERM HUP; yes", "(is cut at "),
        ("while :; do echo x; sleep 0.1; done", "(is cut off after 2 s)"),
        ("yes >&2 & exec sleep 600", "(is cut off after 2 s)"),
        ("kill -9 -1", ""),
    ],
)
def test_a_guest_with_another_shell_is_kept_within_limits_and_goes(
    saving: Saving, monkeypatch: pytest.MonkeyPatch, shell: str, remark: str
) -> None:
    monkeypatch.setattr("supervisor.work.instance._COMMAND_S", 2.0)
    text = saving.of(
        f"""
        echo on the console
        rm /bin/sh
        printf '%s\\n' '#!/bin/busybox ash' {shell!r} >/bin/sh
        chmod 755 /bin/sh
        """
    )
    assert "== console ==\non the console\n" in text
    assert remark in text
    assert len(text.encode()) <= saving.config.most_bytes


def test_a_pipe_in_place_of_the_shell_holds_up_nobody(saving: Saving) -> None:
    text = saving.of("echo hello; rm /bin/sh; mkfifo /bin/sh; chmod 755 /bin/sh")
    _, _, read = text.partition("== console ==\nhello\n\n== guest ==\n")
    # LXD gives the command up, and either says so or closes the connection first.
    assert read in {"(nothing)\n", "(is cut off by LXD, or the instance's end)\n"}


def test_a_program_that_hangs_leaves_what_was_read_before(saving: Saving) -> None:
    text = saving.of(
        f"""
        echo of cloud-init >/var/log/cloud-init-output.log
        mkdir -p {DIAG}
        rm /bin/ls
        printf '%s\\n' '#!/bin/sh' 'exec sleep 600' >/bin/ls
        chmod 755 /bin/ls
        """
    )
    assert text.endswith("output.log ==\nof cloud-init\n(is cut off after 7 s)\n")


def test_what_a_guest_writes_reaches_no_terminal_as_it_is(saving: Saving) -> None:
    text = saving.of(r"printf '\033[2J\033]0;owned\007\233red\000\n'")
    assert all(c.isprintable() or c in "\n\t" for c in text)
    assert "red" in text


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(disk)], check=True
    )
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_loses_one_and_leaves_nothing_half_done(full_disk: Path) -> None:
    store = LogStore(full_disk / "logs")
    save: dict[str, Any] = {"reason": "a test", "at": NOW, "keep": 5, "most_bytes": 1 << 20}
    store.save("one", "short\n", **save)
    with pytest.raises(OSError, match="No space left on device") as caught:
        store.save("two", "x" * 100_000, **save)
    assert caught.value.errno == errno.ENOSPC
    assert [path.name for path in (full_disk / "logs").iterdir()] == ["one.log"]
    store.save("three", "short\n", **save)
    assert {kept.runner for kept in store.listing()} == {"one", "three"}


@pytest.mark.parametrize(
    ("script", "begun"),
    [
        (f"mkdir -p {DIAG}; : >{DIAG}/Worker_1.log", True),
        (f"mkdir -p {DIAG}; : >{DIAG}/Runner_1.log", False),
        ("", False),
        (f"mkdir -p {DIAG}; mkfifo {DIAG}/Runner_1.log", False),
        (f"mkdir -p {DIAG}/..; rmdir {DIAG}; mkfifo {DIAG}", False),
    ],
    ids=["a job", "no job", "no directory", "a pipe in it", "a pipe in its place"],
)
def test_whether_a_job_has_begun_is_seen_and_keeps_no_guest_from_going(
    lxd: Lxd, request_for: Build, script: str, *, begun: bool
) -> None:
    lxd.create(request_for("one", script + REST), limit_s=30)
    lxd.start("one", limit_s=30)
    look = ("/bin/busybox", "ls", "-d", "/tmp/up")
    eventually(lambda: lxd.output_of("one", look, most_bytes=99, limit_s=5).data)
    work = InstanceWork(lxd, "one", Limits())
    began = time.monotonic()
    seen = work.inspect()
    # LXD closes a command's connection early now and then: that is told, and asked once more.
    assert (work.inspect() if seen.job_begun is None else seen) == Inspected(begun)
    assert work.remove() == Happened(InstanceGone())
    assert time.monotonic() - began < LIMIT_S
