"""What hangs on which actor."""

from __future__ import annotations

import pytest

from supervisor.roles import KEEPERS, NEEDED, OBSERVERS, is_runner


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
