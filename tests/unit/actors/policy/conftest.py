"""What the work of the policy's actor finds."""

from __future__ import annotations

import pytest

from tests.unit.actors.policy.service import Service


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    return Service(monkeypatch)
