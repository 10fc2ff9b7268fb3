"""Others' words, as they may be shown to people: harmless to a terminal."""

import re

_ESCAPE_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])"
)
_ODD = re.compile(r"[^\n\t\x20-\x7e]")


def printable(text: str) -> str:
    """Return the text with nothing in it that a terminal would obey.

    Colours and the like are taken out, other characters that can't be printed become `�`.
    """
    text = _ESCAPE_SEQUENCE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _ODD.sub(lambda found: found[0] if found[0].isprintable() else "\ufffd", text)


def one_line(text: str) -> str:
    """Return the text as one line that is safe to print."""
    return " ".join(printable(text).split())
