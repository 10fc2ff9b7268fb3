"""What the tests of images on a real LXD share."""

from __future__ import annotations

import pytest
from image_stand import PROVISIONING, stand

__all__ = ["stand"]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have images built by a short script that works in the tiny image."""
    monkeypatch.setattr("supervisor.work.image.provisioning_script", lambda: PROVISIONING)
