from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.text.printable import one_line, printable

wild = st.text(st.characters(codec=None) | st.sampled_from("\x1b[]\x07\r\n\t;m0\x9b\u202e"))


@given(wild)
def test_nothing_is_left_that_a_terminal_would_obey(text: str) -> None:
    shown = printable(text)
    assert all(c.isprintable() or c in "\n\t" for c in shown)
    assert printable(shown) == shown


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.sampled_from("\n\täß€")))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_colours_go_and_what_they_colour_stays() -> None:
    title = "\x1b]0;owned\x07\x1b]8;;http://x\x1b\\link"
    assert printable(f"\x1b[1;31merror\x1b[0m: {title}\r\nnext\rlast\x00") == (
        "error: link\nnext\nlast\ufffd"
    )


@given(wild)
def test_a_line_is_one_line(text: str) -> None:
    assert "\n" not in one_line(text)
