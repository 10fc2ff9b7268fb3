"""What each alert of metrics fires on and what not, close to where it begins to."""

from __future__ import annotations

from supervisor.lifecycle import AVAILABLE, Stage
from tests.unit.charm.alert_series import (
    ABOVE,
    BELOW,
    Case,
    Course,
    Series,
    counting,
    ever,
    level,
    often,
    runners,
    since,
    slow,
    steady,
    twice,
)

_DAY_S = 86400.0
_WANTED = {**steady("runners_wanted", 100), **steady("draining", 0)}
_OFFLINE = (stage for stage in Stage if stage not in (*AVAILABLE, Stage.BUSY))
_NONE = {**_WANTED, **runners(**{str(stage): 3 for stage in _OFFLINE})}
_BUSY = {**_WANTED, **runners(busy=100)}
_SHORT = since("shortage", 31 * 60)
_GONE = {"failed": 50, "deleted": 50}
_FEW = {**_WANTED, **_SHORT, **runners(busy=60, booting=19, **_GONE)}
_FAILURE = {"stage": "booting", "reason": "timeout"}
_FAILURES, _REPLACEMENTS = "runner_failures_total", "runner_replacements_total"
_FAILING = {**counting(_FAILURES, 0.11, **_FAILURE), **counting(_REPLACEMENTS, 10)}
_DECISIONS = "policy_decisions_total"
_REJECTED = "firewall_rejected_packets_total"
_CORE = {"resource": "core"}
_PACKAGE = {"subject": "policy_package"}


def _calls(failed: float) -> Series:
    """Have ten calls to GitHub a minute, of which so many fail, by either kind of answer."""
    found: dict[str, Course] = {}
    for status, count in (("5xx", failed / 2), ("none", failed / 2), ("2xx", 10 - failed)):
        call = {"endpoint": "/actions/runners", "method": "GET", "status": status}
        found |= counting("github_calls_total", count, **call)
    return found


def _none_online(**quiet: Course) -> Case:
    return Case(alert="GitHubRunnersNoneOnline", fires=_NONE, quiet=quiet, after=15)


def _too_few(**quiet: Course) -> Case:
    return Case(alert="GitHubRunnersTooFew", fires=_FEW, quiet=quiet, after=5)


def _none_idle(**quiet: Course) -> Case:
    return Case(alert="GitHubRunnersNoneIdle", fires=_BUSY, quiet=quiet, after=30)


FLEET = (
    *(_none_online(**steady("runners", 1, stage=str(s))) for s in (*AVAILABLE, Stage.BUSY)),
    _none_online(**steady("draining", 1)),
    _none_online(**steady("runners_wanted", 0)),
    _too_few(**runners(busy=60, booting=21, **_GONE)),
    _too_few(**since("shortage", 29 * 60)),
    Case(
        alert="GitHubRunnersTooFew",
        fires=twice(_FEW),
        quiet=twice(runners(busy=60, booting=21)),
        after=5,
    ),
    *(_none_idle(**steady("runners", 1, stage=str(s))) for s in AVAILABLE),
    _none_idle(**runners()),
    _none_idle(**steady("draining", 1)),
    slow("GitHubRunnersJobsQueued", "job_queue_duration_seconds", 600, window=60, minutes=30),
    slow(
        "GitHubRunnersReplacementSlow", "runner_replacement_duration_seconds", 300,
        window=30, minutes=15,
    ),
    Case(
        alert="GitHubRunnersFailed",
        fires=_FAILING,
        quiet={**counting(_FAILURES, 0.09, **_FAILURE), **counting(_REPLACEMENTS, 5)},
        after=15,
        lasts=15,
        labels=_FAILURE,
    ),
    # Of so many as a large and busy fleet makes, a few always fail.
    Case(
        alert="GitHubRunnersFailed",
        fires=_FAILING,
        quiet=counting(_REPLACEMENTS, 12),
        after=15,
        lasts=15,
        labels=_FAILURE,
    ),
    Case(
        alert="GitHubRunnersDrained",
        fires=since("drain", 1.02 * _DAY_S),
        quiet=since("drain", 0.98 * _DAY_S),
        after=0,
    ),
    often("GitHubRunnersPolicyRefusals", _DECISIONS, 5, window=60, verdict="refused"),
    often("GitHubRunnersPolicyErrors", _DECISIONS, 2, window=30, verdict="error"),
)  # fmt: skip

DAEMON = (
    level("GitHubRunnerDaemonDown", "up", 0, 1, minutes=5),
    # What was there is remembered for five minutes.
    Case(
        alert="GitHubRunnerMetricsMissing",
        fires={},
        quiet=steady("build_info", 1, version="1"),
        after=15 + 5,
    ),
    level("GitHubRunnersProblems", "problems", 1, 0, minutes=30),
    often(
        "GitHubRunnersActorRestarts", "actor_restarts_total", 5, window=15,
        shown=["actor"], actor="tokens",
    ),
    often("GitHubRunnersActorRestarts", "runner_actor_restarts_total", 5, window=15),
    level(
        "GitHubRunnersMailboxFull", "actor_mailbox_messages", 505, 495, minutes=10, actor="fleet"
    ),
    Case(
        alert="GitHubRunnersGitHubBudgetLow",
        fires={
            **steady("github_calls_remaining", 499, **_CORE),
            **steady("github_calls_limit", 5000, **_CORE),
        },
        quiet=steady("github_calls_remaining", 501, **_CORE),
        after=10,
        labels=_CORE,
    ),
    Case(
        alert="GitHubRunnersGitHubErrors",
        fires=_calls(failed=2.2),
        quiet=_calls(failed=1.8),
        after=15 / 2 + 15,
        lasts=15 / 2,
    ),
    Case(
        alert="GitHubRunnersGitHubErrors",
        fires=_calls(failed=2.2),
        quiet=_calls(failed=0),
        after=15 * 2 / 2.2 + 15,
        lasts=15 * 0.2 / 2.2,
    ),
    ever("GitHubRunnersJournalLosing", "journal_lost_records_total", window=30),
    level("GitHubRunnersJournalFailing", "journal_failing", 1, 0, minutes=15),
    ever("GitHubRunnersTracesLosing", "traces_lost_spans_total", window=30),
)  # fmt: skip

UPKEEP = (
    Case(
        alert="GitHubRunnersPartMissing",
        fires={**_WANTED, **steady("part_in_place", 0, part="image")},
        quiet=steady("part_in_place", 1, part="image"),
        after=30,
        labels={"part": "image"},
    ),
    Case(
        alert="GitHubRunnersPartMissing",
        fires={**_WANTED, **steady("part_in_place", 0, part="image")},
        quiet=steady("runners_wanted", 0),
        after=30,
        labels={"part": "image"},
    ),
    level("GitHubRunnersFirewallMissing", "part_in_place", 0, 1, minutes=10, part="firewall"),
    often("GitHubRunnersFirewallChanged", "firewall_repairs_total", 3, window=60),
    Case(
        alert="GitHubRunnersPacketsRejected",
        fires=counting(_REJECTED, ABOVE * 50 * 60, reason="rejected"),
        quiet=counting(_REJECTED, BELOW * 50 * 60, reason="rejected"),
        after=15 / 2 + 15,
        lasts=15 / 2,
    ),
    Case(
        alert="GitHubRunnersPacketsRejected",
        fires=counting(_REJECTED, ABOVE * 50 * 60, reason="rejected"),
        quiet=counting(_REJECTED, 0, reason="rejected"),
        after=15 / ABOVE + 15,
        lasts=15 * (1 - 1 / ABOVE),
    ),
    Case(
        alert="GitHubRunnersImageOld",
        fires=since("image_build", 30.2 * _DAY_S),
        quiet=since("image_build", 29.8 * _DAY_S),
        after=60,
    ),
    # Built while the clock was ahead: it would not be old for as long.
    Case(
        alert="GitHubRunnersImageOld",
        fires=since("image_build", -1.02 * _DAY_S),
        quiet=since("image_build", -0.98 * _DAY_S),
        after=60,
    ),
    level("GitHubRunnersUpgradeFailing", "upgrade_failing", 1, 0, minutes=360, **_PACKAGE),
    Case(
        alert="GitHubRunnersUpgradeUnchecked",
        fires=since("upgrade_check", 2.02 * _DAY_S, **_PACKAGE),
        quiet=since("upgrade_check", 1.98 * _DAY_S, **_PACKAGE),
        after=60,
        labels=_PACKAGE,
    ),
    Case(
        alert="GitHubRunnersPoolFull",
        fires={**steady("pool_used_bytes", 91), **steady("pool_total_bytes", 100)},
        quiet=steady("pool_used_bytes", 89),
        after=15,
    ),
    Case(
        alert="GitHubRunnersMemoryLow",
        fires={
            **steady("host_memory_available_bytes", 49),
            **steady("host_memory_total_bytes", 1000),
        },
        quiet=steady("host_memory_available_bytes", 51),
        after=15,
    ),
)

CASES = (*FLEET, *DAEMON, *UPKEEP)
