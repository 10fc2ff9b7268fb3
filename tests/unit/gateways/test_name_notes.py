from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest
from loguru import logger

from supervisor.gateways.name_notes import NameNotes

FOUR, SIX = ip_address("10.0.0.1"), ip_address("fd00::1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "names"


def test_what_is_noted_outlives_the_process_and_nothing_else_stays(path: Path) -> None:
    notes = NameNotes(path)
    assert notes.all() == {}
    notes.keep({"a": (SIX, FOUR), "b": (FOUR,)})
    assert NameNotes(path).all() == {"a": (FOUR, SIX), "b": (FOUR,)}
    notes.keep({"a": (FOUR,)})
    assert NameNotes(path).all() == {"a": (FOUR,)}


def test_nobody_else_may_read_or_write_them(path: Path) -> None:
    NameNotes(path).keep({"a": (FOUR,)})
    assert path.stat().st_mode & 0o077 == 0
    assert [file.name for file in path.parent.iterdir()] == ["names"]


def test_the_same_in_another_order_is_not_written_again(path: Path) -> None:
    notes = NameNotes(path)
    notes.keep({"a": (SIX, FOUR)})
    path.unlink()
    notes.keep({"a": (FOUR, SIX)})
    assert not path.exists()


def test_what_can_not_be_written_is_said_once_and_written_later(path: Path) -> None:
    said: list[str] = []
    sink = logger.add(said.append, format="{message}")
    path.parent.write_text("a file where the directory should be")
    notes = NameNotes(path)
    for _ in range(2):
        notes.keep({"a": (FOUR,)})
    assert len(said) == 1
    assert said[0].startswith("can't note what names stand for: ")
    path.parent.unlink()
    notes.keep({"a": (FOUR,)})
    assert NameNotes(path).all() == {"a": (FOUR,)}
    logger.remove(sink)


@pytest.mark.parametrize("told", [b"\xff", b"nonsense", b"[]", b'{"a": 7}', b'{"a": ["10.0.0"]}'])
def test_a_file_that_holds_something_else_notes_nothing_and_is_said(
    path: Path, told: bytes
) -> None:
    said: list[str] = []
    sink = logger.add(said.append, format="{message}")
    path.parent.mkdir()
    path.write_bytes(told)
    assert NameNotes(path).all() == {}
    assert len(said) == 1
    assert said[0].startswith(f"can't read what names stood for, {path}: ")
    logger.remove(sink)
