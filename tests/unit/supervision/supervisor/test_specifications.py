"""Which specifications make no sense, and what the defaults are."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.supervision import (
    IGNORE,
    AutoShutdown,
    ChildSpec,
    Restart,
    Strategy,
    SupervisorSpec,
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id": ""}, "not empty"),
        ({"id": "a/b"}, "no slash"),
        ({"significant": True}, "permanent"),
        ({"shutdown": -1}, "shutdown is -1"),
        ({"start_limit": -1}, "start_limit is -1"),
        ({"shutdown": float("nan")}, "shutdown is nan"),
    ],
)
def test_a_child_specification_that_makes_no_sense_is_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ChildSpec(**{"id": "a", "start": lambda: IGNORE, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"intensity": -1}, "intensity"),
        ({"period": 0}, "period"),
        ({"dynamic": True, "strategy": Strategy.ONE_FOR_ALL}, "one_for_one"),
        ({"dynamic": True, "children": [ChildSpec("a", lambda: IGNORE)]}, "without children"),
        ({"children": [ChildSpec("a", lambda: IGNORE)] * 2}, "two children have the id 'a'"),
    ],
)
def test_a_supervisor_specification_that_makes_no_sense_is_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SupervisorSpec(**options)


def test_the_defaults_are_otps() -> None:
    spec = SupervisorSpec()
    assert (spec.strategy, spec.intensity, spec.period) == (Strategy.ONE_FOR_ONE, 1, 5.0)
    assert spec.auto_shutdown is AutoShutdown.NEVER
    child = ChildSpec("a", lambda: IGNORE)
    assert (child.restart, child.significant) == (Restart.PERMANENT, False)
