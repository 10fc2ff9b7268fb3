"""The disk on which runner applications are."""

from __future__ import annotations

import pytest

from tests.unit.actors.upgrades.play import Disk


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)
