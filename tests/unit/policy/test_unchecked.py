"""Which runners are at work that the policy service has let no job run."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from supervisor.lifecycle import Job, Life, Stage
from supervisor.policy.unchecked import BUSY_LIMIT_S, STARTED_LIMIT_S, Unchecked, look
from supervisor.runners.roster import Entry

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
HEARD = Life(Stage.BUSY, NOW, job=Job("acme/demo"))
BUSY = Entry("fleet-a", "g", HEARD, policy="builtin", made_at=NOW)
UNHEARD = replace(BUSY, life=replace(HEARD, job=Job()))


def seen(
    *entries: Entry,
    at: float = 0.0,
    before: Unchecked | None = None,
    passed: frozenset[str] = frozenset(),
    complete_since: datetime | None = NOW,
) -> Unchecked:
    return look(before or Unchecked(), entries, passed.__contains__, complete_since, at)


def test_one_that_is_at_work_without_leave_is_overdue_after_a_while() -> None:
    found = seen(BUSY)
    found = seen(BUSY, before=found, at=STARTED_LIMIT_S - 1)
    assert found.overdue(STARTED_LIMIT_S - 1) == ()
    found = seen(BUSY, before=found, at=STARTED_LIMIT_S)
    assert found.overdue(STARTED_LIMIT_S) == ("fleet-a",)


def test_the_guests_own_limit_and_its_reports_are_over_by_then() -> None:
    script = 75 + 3 * 3
    assert script + 30 < STARTED_LIMIT_S


def test_one_that_was_allowed_meanwhile_is_forgotten() -> None:
    found = seen(BUSY, before=seen(BUSY), at=500, passed=frozenset({"fleet-a"}))
    assert found.overdue(500) == ()
    assert seen(BUSY, before=found, at=501).overdue(501) == ()


def test_one_that_github_alone_says_is_at_work_may_be_downloading_actions() -> None:
    found = seen(UNHEARD, before=seen(UNHEARD), at=BUSY_LIMIT_S - 1)
    assert found.overdue(BUSY_LIMIT_S - 1) == ()
    assert found.overdue(BUSY_LIMIT_S) == ("fleet-a",)


def test_one_whose_hook_is_heard_late_has_its_time_from_then_on() -> None:
    found = seen(BUSY, before=seen(UNHEARD), at=1000)
    assert found.overdue(1000 + STARTED_LIMIT_S - 1) == ()
    assert found.overdue(1000 + STARTED_LIMIT_S) == ("fleet-a",)


@pytest.mark.parametrize(
    "entry",
    [
        *(replace(BUSY, life=Life(stage, NOW)) for stage in sorted(set(Stage) - {Stage.BUSY})),
        *(replace(BUSY, policy=policy) for policy in ("", "off", "external")),
        replace(BUSY, made_at=None),
        replace(BUSY, made_at=NOW - timedelta(seconds=1)),
    ],
)
def test_nothing_is_concluded_where_the_log_need_not_have_a_verdict(entry: Entry) -> None:
    assert seen(entry, before=Unchecked({("fleet-a", True): 0.0}), at=9999) == Unchecked()


def test_nothing_is_concluded_from_a_log_that_may_have_gaps() -> None:
    before = Unchecked({("fleet-a", True): 0.0})
    assert seen(BUSY, before=before, at=9999, complete_since=None) == Unchecked()
