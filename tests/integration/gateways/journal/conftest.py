"""Where the journals of these tests are, and what the log says of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def warned() -> Iterator[list[str]]:
    """The warnings of the log."""
    lines: list[str] = []
    sink = logger.add(lines.append, level="WARNING", format="{message}")
    yield lines
    logger.remove(sink)


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What the log says of runners, with its level and whom it is about."""
    lines: list[str] = []
    about = "{level} {extra[runner]} {message}"
    sink = logger.add(lines.append, filter=lambda line: "runner" in line["extra"], format=about)
    yield lines
    logger.remove(sink)
