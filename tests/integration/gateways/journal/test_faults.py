"""The journal where it can't be written: full, locked, hanging, killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import LIMIT_S, eventually

from supervisor.gateways.journal_store import JournalStore
from tests.integration.gateways.journal.stand import locked, note, read_all, running


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk that a few thousand events fill."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    subprocess.run(mount, check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_loses_the_newest_says_so_once_and_goes_on_when_there_is_room(
    small_disk: Path,
) -> None:
    with running(small_disk / "journal.sqlite", room=50) as stand:
        stand.tell("before")
        eventually(lambda: stand.told() == ["before"])
        filler = small_disk / "filler"
        with pytest.raises(OSError, match="No space left"):
            filler.write_bytes(b"x" * (1 << 20))
        stand.inbox.take(note("held", reason="x" * 100_000))
        eventually(stand.fault)
        assert "full" in stand.fault()
        stand.tell(*(f"while full {number}" for number in range(80)))
        eventually(lambda: stand.inbox.lost == 31)
        assert len({one.fault for one in stand.stood}) == 1
        filler.unlink()
        kept = ["before", "held", *(f"while full {n}" for n in range(49))]
        eventually(lambda: stand.told() == kept)
        eventually(lambda: not stand.fault())
        stand.tell("after")
        eventually(lambda: stand.told() == [*kept, "after"])


def test_a_locked_store_keeps_nobody_waiting_and_is_written_when_it_is_free(path: Path) -> None:
    while_locked = [f"while locked {number}" for number in range(900)]
    with running(path) as stand:
        stand.tell("before")
        eventually(stand.told)
        with locked(path):
            # More than there would be time for if each of them waited for the lock.
            stand.tell(*while_locked)
            eventually(stand.fault)
            assert "locked" in stand.fault()
            assert stand.told() == ["before"]
        eventually(lambda: stand.told() == ["before", *while_locked])
        eventually(lambda: not stand.fault())
        assert stand.inbox.lost == 0


def test_what_can_not_be_written_at_the_end_is_counted_and_said(
    path: Path, warned: list[str]
) -> None:
    path.mkdir()
    with running(path, room=2) as stand:
        stand.tell("one", "two")
        eventually(stand.fault)
        stand.tell("three")
        eventually(lambda: stand.inbox.lost == 1)
    assert stand.inbox.lost == 3
    assert warned == [f"the journal lacks 3 events of this daemon: {stand.fault()}\n"]


def test_what_a_write_holds_that_hangs_at_the_end_is_said(
    path: Path, warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(*_args: object) -> int:
        hangs.set()
        goes_on.wait(LIMIT_S)
        return 0

    monkeypatch.setattr(JournalStore, "write", hang)
    with running(path) as stand:
        stand.tell("held")
        assert hangs.wait(LIMIT_S)
        stand.tell("waiting")
        stand.writer.stop(limit_s=0.01)
        said = [f"the journal lacks 2 events of this daemon: {path}: a write does not end\n"]
        assert warned == said
        goes_on.set()


def test_what_was_lost_before_is_no_warning_at_the_end_where_all_else_is_written(
    path: Path, warned: list[str]
) -> None:
    with running(path) as stand:
        stand.inbox.lose(3)
        stand.tell("one")
    assert stand.told() == ["one"]
    assert warned == []


def test_what_was_written_at_the_end_is_no_warning(path: Path, warned: list[str]) -> None:
    with running(path) as stand:
        stand.tell("one")
    assert stand.told() == ["one"]
    assert warned == []


def test_a_directory_that_can_not_be_written_loses_what_finds_no_room(tmp_path: Path) -> None:
    (tmp_path / "nowhere").touch()
    with running(tmp_path / "nowhere" / "journal.sqlite", room=1) as stand:
        stand.tell("one")
        eventually(stand.fault)
        stand.tell("two", "three")
        eventually(lambda: stand.inbox.lost)
    assert stand.inbox.lost == 3


def test_a_kill_in_the_middle_loses_only_what_was_not_committed(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    code = f"""
import itertools
from datetime import datetime, timezone
from pathlib import Path
from supervisor.observation.feed import Feed, Kind, Record
from supervisor.gateways.journal_store import JournalStore
store = JournalStore(Path({str(path)!r}))
now = datetime.now(timezone.utc)
for batch in itertools.count():
    store.write([Record(now, Kind.ORDER, f"{{batch}}", str(n)) for n in range(100)], [])
    print(batch, flush=True)
"""
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(20)]
            process.send_signal(signal.SIGKILL)
            said = int([*lines, *process.stdout.read().split()][-1])
        found = read_all(path)
        batches = [event.record.subject for event in found if event.record.state == "99"]
        assert len(found) % 100 == 0, "a batch was written in part"
        assert int(batches[-1]) >= said
        path_is_sound(path)


def path_is_sound(path: Path) -> None:
    store = JournalStore(path)
    store.check()
    store.close()
