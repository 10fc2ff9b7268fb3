from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from loguru import logger

from supervisor.gateways.upgrade_notes import UpgradeNotes
from supervisor.upgrades.notes import Failure, Note, Older

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
NOTE = Note("b", NOW, Failure("b", 2, NOW, "it hangs"), Older("a", "b", NOW))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "upgrade-notes"


def test_what_is_noted_outlives_the_process(path: Path) -> None:
    notes = UpgradeNotes(path)
    assert notes.of("one") == Note()
    notes.keep("one", NOTE)
    notes.keep("another", Note("c"))
    again = UpgradeNotes(path)
    assert (again.of("one"), again.of("another")) == (NOTE, Note("c"))


def test_nobody_else_may_read_or_write_them(path: Path) -> None:
    UpgradeNotes(path).keep("one", NOTE)
    assert path.stat().st_mode & 0o077 == 0
    assert [file.name for file in path.parent.iterdir()] == ["upgrade-notes"]


def test_what_is_noted_already_is_not_written_again(path: Path) -> None:
    notes = UpgradeNotes(path)
    notes.keep("one", NOTE)
    path.unlink()
    notes.keep("one", replace(NOTE))
    assert not path.exists()


def test_what_can_not_be_written_is_known_all_the_same_said_once_and_written_later(
    path: Path,
) -> None:
    said: list[str] = []
    sink = logger.add(said.append, format="{message}")
    path.parent.write_text("a file where the directory should be")
    notes = UpgradeNotes(path)
    for _ in range(2):
        notes.keep("one", NOTE)
    assert notes.of("one") == NOTE
    assert len(said) == 1
    assert said[0].startswith("can't note how upgrades fare: ")
    path.parent.unlink()
    notes.keep("one", NOTE)
    assert UpgradeNotes(path).of("one") == NOTE
    logger.remove(sink)


@pytest.mark.parametrize(
    "told",
    [
        b"\xff", b"nonsense", b"[]", b'{"one": 7}', b'{"one": {"failure": {"version": "a"}}}',
        b'{"one": {"latest": "a", "latest_since": "2030-01-01T00:00:00"}}',
    ],
)  # fmt: skip
def test_a_file_that_holds_something_else_notes_nothing_and_is_said(
    path: Path, told: bytes
) -> None:
    said: list[str] = []
    sink = logger.add(said.append, format="{message}")
    path.parent.mkdir()
    path.write_bytes(told)
    assert UpgradeNotes(path).of("one") == Note()
    assert len(said) == 1
    assert said[0].startswith(f"can't read how upgrades fared, {path}: ")
    logger.remove(sink)
