"""Lines on a screen, which folds them at words, and in a pipe, which does not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from supervisor.cli.output import draw_lines

REASON = "4 runners in a row have failed to be created: LXD says: no space is left on the device"
URL = "https://github.com/octo-org/a-repository-of-a-rather-long-name/actions/runners"


def drawn(*lines: str, width: int = 40) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        draw_lines(console, lines)
    return capture.get().splitlines()


def test_what_fits_is_a_line() -> None:
    line = "x" * 40
    assert drawn(line, "", f"  {line[2:]}") == [line, "", f"  {line[2:]}"]


def test_a_line_is_folded_at_words_and_the_rest_is_set_in() -> None:
    assert drawn(f"problem: {REASON}", width=40) == [
        "problem: 4 runners in a row have failed",
        "  to be created: LXD says: no space is",
        "  left on the device",
    ]


def test_what_is_set_in_itself_goes_on_further_in() -> None:
    assert drawn("  what to do: free space in the pool, or make it larger", width=30) == [
        "  what to do: free space in",
        "    the pool, or make it",
        "    larger",
    ]


def test_an_address_that_has_no_room_stays_whole() -> None:
    assert drawn(f"see {URL} for more", width=40) == ["see", f"  {URL}", "  for more"]


words = st.text("abc-/.:", min_size=1, max_size=30)


@given(st.lists(words, min_size=1), st.integers(0, 4), st.integers(1, 120))
def test_no_word_is_cut_or_lost_at_any_width(said: list[str], margin: int, width: int) -> None:
    parts = drawn(" " * margin + " ".join(said), width=width)
    assert " ".join(parts).split() == said
    assert all(len(part) <= max(width, margin + 2 + max(map(len, said))) for part in parts)
