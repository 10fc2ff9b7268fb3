"""What is behind a reason, in a word."""

from __future__ import annotations

import re
from pathlib import Path

from supervisor.causes import Cause, CausedError, cause_of

DOCUMENT = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")


class _Full(CausedError):
    cause = Cause.NO_SPACE


def test_the_cause_of_an_error_is_its_kinds_unless_it_was_told_another() -> None:
    assert cause_of(_Full("the disk is full")) is Cause.NO_SPACE
    assert cause_of(_Full("LXD is away", Cause.LXD_UNAVAILABLE)) is Cause.LXD_UNAVAILABLE
    assert cause_of(_Full("the disk is full")) is Cause.NO_SPACE


def test_an_error_that_knows_no_cause_has_none() -> None:
    assert cause_of(ValueError("no number")) is Cause.UNKNOWN
    assert not Cause.UNKNOWN


def test_its_words_are_those_of_the_message_alone() -> None:
    assert str(_Full("the disk is full", Cause.UNKNOWN)) == "the disk is full"


def test_the_document_names_each_cause_in_its_order() -> None:
    section = DOCUMENT.partition("\n### Causes\n")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)
    assert named == [str(cause) for cause in Cause if cause]
