"""What the work of the firewall's actor finds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.actors.firewall.kernel import Kernel


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    kernel = Kernel(monkeypatch)
    yield kernel
    kernel.gate.set()
    kernel.asking_gate.set()
