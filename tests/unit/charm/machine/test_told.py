"""What has the daemon run with what is on the disk."""

from pathlib import Path

from hypothesis import assume, given
from hypothesis import strategies as st
from machine.told import Told, ToldNote, step

words = st.sampled_from("ab")
tolds = st.builds(Told, words, words, words, words)
lives = st.sampled_from(["down", "coming", "up"])
keys = st.sampled_from([(), ("port",)])


@given(told=tolds, before=tolds, now=tolds, restart_keys=keys)
def test_one_that_is_down_is_started(
    told: Told, before: Told, now: Told, restart_keys: tuple[str, ...]
) -> None:
    done = step(told=told, before=before, now=now, life="down", restart_keys=restart_keys)
    assert done == "start"


@given(now=tolds, life=lives)
def test_one_that_has_been_told_all_is_left_alone(now: Told, life: str) -> None:
    assume(life != "down")
    assert step(told=now, before=now, now=now, life=life) == "nothing"  # type: ignore[arg-type]


@given(told=tolds, before=tolds, now=tolds, life=lives, restart_keys=keys)
def test_whatever_differs_is_told(
    told: Told, before: Told, now: Told, life: str, restart_keys: tuple[str, ...]
) -> None:
    assume(life != "down")
    assume(not told == before == now)
    done = step(told=told, before=before, now=now, life=life, restart_keys=restart_keys)  # type: ignore[arg-type]
    assert done in {"reload", "restart"}
    if done == "reload":
        assert life == "up"
        assert told.at_start == before.at_start == now.at_start
        assert told.configuration == before.configuration
        assert not restart_keys


def test_a_change_of_what_is_read_while_it_runs_is_reloaded() -> None:
    told, now = Told("v", "u", "c", "one"), Told("v", "u", "c", "two")
    assert step(told=told, before=told, now=now, life="up") == "reload"


def test_a_note_that_cant_be_read_is_as_if_nothing_was_told(tmp_path: Path) -> None:
    note = ToldNote(tmp_path / "told.json")
    for text in ("{", "[1]", '{"other": 1}'):
        (tmp_path / "told.json").write_text(text)
        assert note.read() == Told()
    note.write(Told("v", "u", "c", "x"))
    assert note.read() == Told("v", "u", "c", "x")
