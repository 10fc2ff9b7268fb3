from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.config import parse
from supervisor.parts import Parts, make_parts
from supervisor.supervision import Strategy, System
from supervisor.tree import core_spec, root_spec


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    settings = {"name": "f", "path": "acme", "token": "t", "state-directory": str(tmp_path)}
    return make_parts(parse(settings, "test"))


def test_the_core_starts_each_actor_after_those_it_needs(parts: Parts) -> None:
    spec = core_spec(System(), parts)
    order = [child.id for child in spec.children]
    assert order == [
        "tokens", "runners", "signals", "storage", "firewall", "upgrades", "image", "policy",
        "fleet", "events", "filters",
    ]  # fmt: skip


def test_what_shows_the_fleet_needs_nobody(parts: Parts) -> None:
    spec = root_spec(System(), parts)
    assert spec.strategy is Strategy.ONE_FOR_ONE
    assert [child.id for child in spec.children] == ["journal", "control", "metrics", "core"]
