from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest
from loguru import logger

from supervisor.gateways.name_notes import NameNotes

FOUR, SIX = ip_address("10.0.0.1"), ip_address("fd00::1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "names"


def test_what_is_noted_outlives_the_process_and_nothing_else_stays(path: Path) -> None:
    notes = NameNotes(path)
    assert notes.all() == {}
    notes.keep({"a": (SIX, FOUR), "b": (FOUR,)})
    assert NameNotes(path).all() == {"a": (FOUR, SIX), "b": (FOUR,)}
    notes.keep({"a": (FOUR,)})
    assert NameNotes(path).all() == {"a": (FOUR,)}


def test_the_same_in_another_order_is_not_written_again(path: Path) -> None:
    notes = NameNotes(path)
    notes.keep({"a": (SIX, FOUR)})
    path.unlink()
    notes.keep({"a": (FOUR, SIX)})
    assert not path.exists()


@pytest.mark.parametrize(
    "told",
    [
        "[]",
        '{"a": 7}',
        '{"a": ["10.0.0"]}',
        '{"a": ["localhost"]}',
        '{"a": [7]}',
        '{"a": ["10.0.0.1", "fe80::1%eth0"]}',
        '{"a": ["2001:db8::1%x } ; flush ruleset"]}',
    ],
)
def test_what_are_no_addresses_is_not_believed(path: Path, told: str) -> None:
    path.write_text(told)
    assert NameNotes(path).all() == {}


def test_it_is_said_which_address_is_none(path: Path) -> None:
    path.write_text('{"a": ["10.0.0.1", "2001:db8::1%x } ; flush ruleset"]}')
    said: list[str] = []
    sink = logger.add(said.append, format="{message}")
    NameNotes(path)
    logger.remove(sink)
    where = f"{path} does not say what names stand for: a.1: "
    assert said == [f"{where}must be an address without a zone, such as 192.0.2.1\n"]


def test_what_can_not_be_noted_is_a_warning_until_it_can_be(path: Path) -> None:
    notes = NameNotes(path)
    path.mkdir()
    notes.keep({"a": (FOUR,)})
    assert notes.warning == f"can't note what names stand for: {path}: Is a directory"
    path.rmdir()
    notes.keep({"a": (FOUR,)})
    assert notes.warning == ""
