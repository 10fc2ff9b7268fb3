from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from supervisor.causes import Cause, Fault
from supervisor.lifecycle import Stage
from supervisor.status.outlook import Outlook
from supervisor.throttling.pace import Pace

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
RESUME = "no runner is created until `supervisor-cli resume`"


def outlook(*stages: Stage, **given: Any) -> Outlook:
    usual: dict[str, Any] = {
        "wanted": 2, "trouble": Fault(), "draining": False, "lacks": "", "github": Fault(),
        "pace": Pace(at_once=4), "now": NOW,
    }  # fmt: skip
    return Outlook(stages=stages, **{**usual, **given})


def told(*stages: Stage, **given: Any) -> tuple[str, str]:
    state, reason, _ = outlook(*stages, **given).in_words()
    return state, reason


def cause(*stages: Stage, **given: Any) -> Cause:
    return outlook(*stages, **given).in_words()[2]


def failed(times: int, stage: Stage = Stage.BOOTING, cause: Cause = Cause.UNKNOWN) -> Pace:
    pace, begun = Pace(at_once=4), NOW - timedelta(hours=1)
    for _ in range(times):
        begun += timedelta(minutes=1)
        pace = pace.failed(stage, "no space left", begun, begun=begun, cause=cause)
    return pace


@pytest.mark.parametrize(
    ("stages", "reason"),
    [
        ((), "0 of 2 runners are there"),
        ((Stage.READY, Stage.BUSY), "2 of 2 runners are there"),
        ((Stage.IDLE, Stage.BOOTING, Stage.FAILED), "1 of 2 runners are there"),
    ],
)
def test_those_that_can_take_a_job_or_have_one_are_there(
    stages: tuple[Stage, ...], reason: str
) -> None:
    assert told(*stages) == ("keeping", reason)


def test_what_is_missing_before_one_can_be_created_is_named() -> None:
    assert told(lacks="no pool") == (
        "keeping", "0 of 2 runners are there; none is created now: no pool",
    )  # fmt: skip


def test_github_is_blamed_only_where_a_runner_is_missing() -> None:
    state, reason = told(github=Fault("GitHub is down"))
    assert (state, reason.endswith("none is created now: GitHub is down")) == ("degraded", True)
    assert told(Stage.IDLE, Stage.IDLE, github=Fault("GitHub is down"))[0] == "keeping"


def test_few_failures_are_told_and_many_degrade() -> None:
    assert told(pace=failed(1)) == (
        "keeping", "0 of 2 runners are there; 1 runner has failed to boot: no space left",
    )  # fmt: skip
    state, reason = told(pace=failed(3))
    assert state == "degraded"
    assert "3 runners in a row have failed to boot: no space left; one at a time" in reason


@pytest.mark.parametrize("stage", [Stage.CREATING, Stage.BOOTING, Stage.READY, Stage.IDLE])
def test_each_stage_that_runners_can_fail_in_has_words(stage: Stage) -> None:
    assert "no space left" in told(pace=failed(1, stage))[1]


def test_how_long_the_next_try_takes_is_told() -> None:
    pace = Pace(at_once=4).failed(Stage.CREATING, "x", NOW, begun=None)
    assert told(pace=pace)[1].endswith("the next try is in 2 s")


def test_a_drain_says_what_is_left_and_what_ends_it() -> None:
    assert told(draining=True) == ("draining", f"empty; {RESUME}")
    assert told(Stage.BUSY, Stage.FINISHED, draining=True) == (
        "draining", f"2 runners are left, 1 of them run a job; {RESUME}",
    )  # fmt: skip


def test_one_of_which_nothing_is_left_holds_up_no_drain() -> None:
    left = (Stage.BUSY, Stage.DELETED)
    assert told(*left, draining=True)[1].startswith("1 runners are left, 1 of them")
    assert told(Stage.DELETED, draining=True) == ("draining", f"empty; {RESUME}")


def test_a_side_that_can_not_be_listed_comes_first() -> None:
    assert told(trouble=Fault("LXD hangs"), draining=True) == ("degraded", "LXD hangs")


def test_the_cause_is_that_of_what_is_told() -> None:
    full, away = Fault("full", Cause.NO_SPACE), Fault("away", Cause.GITHUB_UNAVAILABLE)
    assert cause() is Cause.UNKNOWN
    assert cause(trouble=full, github=away) is Cause.NO_SPACE
    assert cause(github=away) is Cause.GITHUB_UNAVAILABLE
    assert cause(Stage.IDLE, Stage.BUSY, github=away) is Cause.UNKNOWN
    assert cause(draining=True, github=away) is Cause.UNKNOWN


@pytest.mark.parametrize(
    ("of_the_last", "of_all"),
    [
        (Cause.NO_SPACE, Cause.NO_SPACE),
        (Cause.LXD_UNAVAILABLE, Cause.LXD_UNAVAILABLE),
        (Cause.LXD_FAILED, Cause.RUNNERS_FAILING),
        (Cause.TIMED_OUT, Cause.RUNNERS_FAILING),
        (Cause.UNKNOWN, Cause.RUNNERS_FAILING),
    ],
)
def test_runners_that_fail_in_a_row_are_a_cause_unless_it_is_known_what_they_meet(
    of_the_last: Cause, of_all: Cause
) -> None:
    assert cause(pace=failed(4, cause=of_the_last)) is of_all
