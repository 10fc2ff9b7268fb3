"""The tests of the whole story name constants by text; a renamed one is seen here, in no time."""

from __future__ import annotations

import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

E2E = Path(__file__).parents[1] / "e2e"
TEXTS = [path.read_text() for path in E2E.rglob("*.py")]
NAMES = {name for text in TEXTS for name in re.findall(r'hurry\(\s*"(.+?)"', text)}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_what_is_hurried_is_there(name: str) -> None:
    assert resolve_name(name)


def test_some_are_hurried() -> None:
    assert NAMES
