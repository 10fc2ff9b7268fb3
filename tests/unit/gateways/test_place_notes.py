from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.gateways.place_notes import PlaceNotes

HERE, THERE = "https://github.com/acme", "https://github.com/acme/demo"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "places"


def test_what_is_noted_outlives_the_process_until_it_is_removed(path: Path) -> None:
    notes = PlaceNotes(path)
    notes.add(HERE)
    notes.add(THERE)
    again = PlaceNotes(path)
    assert again.all() == {HERE, THERE}
    again.remove(THERE)
    assert again.all() == PlaceNotes(path).all() == {HERE}


def test_nobody_else_may_read_or_write_them(path: Path) -> None:
    PlaceNotes(path).add(HERE)
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    assert [file.name for file in path.parent.iterdir()] == ["places"]


def test_what_can_not_be_written_is_known_all_the_same(path: Path) -> None:
    path.parent.write_text("a file where the directory should be")
    notes = PlaceNotes(path)
    notes.add(HERE)
    assert notes.all() == {HERE}


def test_what_could_not_be_written_is_written_when_it_is_noted_again(path: Path) -> None:
    path.parent.write_text("a file where the directory should be")
    notes = PlaceNotes(path)
    notes.add(HERE)
    path.parent.unlink()
    notes.add(HERE)
    assert PlaceNotes(path).all() == {HERE}


def test_what_is_noted_already_is_not_written_again(path: Path) -> None:
    notes = PlaceNotes(path)
    notes.add(HERE)
    path.unlink()
    notes.add(HERE)
    assert not path.exists()


def test_what_a_killed_daemon_left_half_written_is_no_obstacle(path: Path) -> None:
    path.parent.mkdir()
    path.with_suffix(".new").write_text("https://git")
    notes = PlaceNotes(path)
    assert notes.all() == set()
    notes.add(HERE)
    assert PlaceNotes(path).all() == {HERE}


def test_lines_that_name_no_place_are_left_out(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(f"nonsense\n\n{HERE}\n{THERE}/too/long\n")
    assert PlaceNotes(path).all() == {HERE}


def test_a_file_that_can_not_be_read_names_none(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"\xff")
    assert PlaceNotes(path).all() == set()
