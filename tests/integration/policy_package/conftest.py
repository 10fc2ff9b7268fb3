"""Real pip, real wheels, real environments, a real service."""

from __future__ import annotations

from pathlib import Path

import pytest
from package_stand import Stand
from policy_packages import tools


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    made = Stand(tmp_path)
    tools(made.links)
    return made
