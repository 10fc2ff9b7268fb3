from __future__ import annotations

from datetime import datetime, timezone

import pytest

from supervisor.lifecycle import ENDING, Life, Stage
from supervisor.runners.orders import Whom, to_let_go, to_wait_for
from supervisor.runners.roster import Entry

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
FLEET = [Entry(stage.value, "new", Life(stage, NOW)) for stage in Stage]
BEFORE_A_JOB = {"requested", "creating", "booting", "ready", "idle"}


@pytest.mark.parametrize(
    ("whom", "names"),
    [
        (Whom.IDLE, {"ready", "idle"}),
        (Whom.ALL, BEFORE_A_JOB),
        (Whom.FORCE, {*BEFORE_A_JOB, "busy", "retiring"}),
    ],
)
def test_a_flush_sends_away_those_it_is_meant_for(whom: Whom, names: set[str]) -> None:
    assert set(to_let_go(FLEET, whom)) == names


@pytest.mark.parametrize("whom", Whom)
def test_whoever_is_sent_away_is_waited_for(whom: Whom) -> None:
    assert set(to_let_go(FLEET, whom)) <= set(to_wait_for(FLEET, whom))


def test_only_a_flush_of_all_waits_for_jobs_and_none_but_force_ends_them() -> None:
    assert "busy" not in to_wait_for(FLEET, Whom.IDLE)
    assert "busy" in to_wait_for(FLEET, Whom.ALL)
    assert "busy" not in to_let_go(FLEET, Whom.ALL)
    assert {stage.value for stage in ENDING} - {"deleted"} <= set(to_wait_for(FLEET, Whom.IDLE))
