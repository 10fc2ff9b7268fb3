"""What hangs on which actor."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.config import parse
from supervisor.parts import make_parts, outside_of
from supervisor.roles import KEEPERS, NEEDED, OBSERVERS, ROLES, is_runner
from supervisor.supervision import System
from supervisor.tree import core_spec, root_spec


def test_the_table_has_each_actor_that_is_always_there(tmp_path: Path) -> None:
    settings = {"name": "f", "path": "acme", "token": "t", "state-directory": str(tmp_path)}
    config = parse(settings, "test")
    system, parts = System(), make_parts(config, outside_of(config))
    specs = [*root_spec(system, parts).children, *core_spec(system, parts).children]
    assert set(ROLES) == {"root", *(child.id for child in specs)}


def test_who_keeps_the_fleet_is_needed_and_who_only_shows_it_is_not() -> None:
    assert KEEPERS < NEEDED
    assert OBSERVERS.isdisjoint(NEEDED)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("root/core/runners/fleet-a", True),
        ("root/core/runners", False),
        ("root/core/fleet", False),
        ("root", False),
    ],
)
def test_a_runners_actor_stands_below_the_supervisor_of_runners(
    path: str, *, expected: bool
) -> None:
    assert is_runner(path) is expected
