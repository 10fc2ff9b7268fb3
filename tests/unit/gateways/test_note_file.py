from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger
from pydantic import TypeAdapter

from supervisor.gateways.note_file import NoteFile

KIND = TypeAdapter(dict[str, int])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "note"


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    yield lines
    logger.remove(sink)


def note(path: Path) -> NoteFile[dict[str, int]]:
    return NoteFile(path, KIND, {}, "what counts")


def test_what_is_noted_outlives_the_process(path: Path) -> None:
    file = note(path)
    assert file.value == {}
    file.keep({"a": 1})
    assert file.value == note(path).value == {"a": 1}


def test_nobody_else_may_read_or_write_it(path: Path) -> None:
    note(path).keep({"a": 1})
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    assert [file.name for file in path.parent.iterdir()] == ["note"]


def test_what_is_noted_already_is_not_written_again(path: Path) -> None:
    file = note(path)
    file.keep({"a": 1})
    path.unlink()
    file.keep({"a": 1})
    assert not path.exists()


def test_what_can_not_be_written_is_known_all_the_same_said_once_and_written_later(
    path: Path, said: list[str]
) -> None:
    path.parent.write_text("a file where the directory should be")
    file = note(path)
    for _ in range(2):
        file.keep({"a": 1})
    assert file.value == {"a": 1}
    assert said == [f"{file.warning}\n"]
    assert said[0].startswith(f"can't note what counts: {path}: ")
    path.parent.unlink()
    file.keep({"a": 1})
    assert file.warning == ""
    assert note(path).value == {"a": 1}


@pytest.mark.parametrize("value", ["half of a \udcff character", "a" * 65_536])
def test_what_could_not_be_read_again_is_not_written_and_said(
    path: Path, said: list[str], value: str
) -> None:
    def note() -> NoteFile[str]:
        return NoteFile(path, TypeAdapter(str), "", "what counts")

    file = note()
    file.keep("a")
    file.keep(value)
    assert file.value == value
    assert len(said) == 1
    assert said[0].startswith("can't note what counts: ")
    assert note().value == "a"
    file.keep("a" * 65_000)
    assert note().value == "a" * 65_000


@pytest.mark.parametrize("told", [b"\xff", b"nonsense", b"[]", b'{"a": "b"}', b"{}" * 40_000])
def test_a_file_that_holds_something_else_notes_nothing_and_is_said(
    path: Path, told: bytes, said: list[str]
) -> None:
    path.parent.mkdir()
    path.write_bytes(told)
    assert note(path).value == {}
    assert len(said) == 1
    assert said[0].startswith(f"{path} does not say what counts: ")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ('{"a": 1, "b": "c"}', "b: must be a valid integer, unable to parse string as an integer"),
        ("[]", "must be an object"),
        ("nonsense", "Invalid JSON: expected ident at line 1 column 2"),
    ],
)
def test_it_is_said_where_a_note_is_wrong_and_what_would_be_right(
    path: Path, told: str, words: str, said: list[str]
) -> None:
    path.parent.mkdir()
    path.write_text(told)
    note(path)
    assert said == [f"{path} does not say what counts: {words}\n"]
