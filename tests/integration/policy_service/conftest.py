"""A GitHub of the test's own, and the service that asks it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from policy_stand import GitHub, Service, running, serving_github, settings_for


@pytest.fixture
def github() -> Iterator[GitHub]:
    with serving_github() as made:
        yield made


@pytest.fixture
def service(github: GitHub, tmp_path: Path) -> Iterator[Service]:
    with running(settings_for(github.url, tmp_path), tmp_path) as made:
        yield made
