"""What each alert of metrics fires on and what not, close to where it begins to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from supervisor.lifecycle import AVAILABLE, Stage

_DAY_S = 86400.0
_ABOVE, _BELOW = 1.08, 0.92


@dataclass(frozen=True)
class Course:
    """How a series goes.

    Attributes:
        start: what it is at the beginning of time.
        step: how much more each minute.
    """

    start: float
    step: float = 0.0


Series = Mapping[str, Course]
"""Series by their name and labels, as `name{label="value"}`."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """When an alert fires, and when it does not.

    Attributes:
        alert: its name.
        fires: series on which it fires.
        quiet: series in whose place it does not; the others stay.
        after: how many minutes it takes from when these give way to those until it fires.
        lasts: how many from when they are back until it does not any more.
        labels: the alert's, beside Juju's and its own.
    """

    alert: str
    fires: Series
    quiet: Series
    after: float
    lasts: float = 0
    labels: Mapping[str, str] = field(default_factory=dict)


def steady(name: str, value: float, step: float = 0, **labels: str) -> dict[str, Course]:
    """Have a series of ours."""
    inside = ", ".join(f'{key}="{value}"' for key, value in labels.items())
    name = name if name == "up" else f"github_runner_supervisor_{name}"
    return {f"{name}{{{inside}}}": Course(value, step)}


def counting(name: str, per_minute: float, **labels: str) -> dict[str, Course]:
    """Have a counter that grows evenly."""
    return steady(name, 0, per_minute, **labels)


def since(name: str, age_s: float, **labels: str) -> dict[str, Course]:
    """Have a moment that is always as long ago: at the beginning of promtool's time it is 1970."""
    return steady(f"{name}_timestamp_seconds", -age_s, 60, **labels)


def histogram(name: str, limit: float, share: float) -> dict[str, Course]:
    """Have a hundred observations a minute, of which so many are not above a limit."""
    buckets = {limit / 2: 50, limit: 100 * share, limit * 2: 100, float("inf"): 100}
    found: dict[str, Course] = {}
    for le, count in buckets.items():
        found |= counting(f"{name}_bucket", count, le="+Inf" if le == float("inf") else str(le))
    return found


def runners(**counts: int) -> dict[str, Course]:
    """Have so many runners in these stages, and none in the others."""
    found: dict[str, Course] = {}
    for stage in Stage:
        found |= steady("runners", counts.get(str(stage), 0), stage=str(stage))
    return found


def twice(series: Series) -> dict[str, Course]:
    """Have each series twice, as for minutes after the collector has got another name."""
    return {
        name.replace("{", f'{{instance="{instance}", ', 1).replace(", }", "}"): course
        for name, course in series.items()
        for instance in ("before", "after")
    }


def level(alert: str, name: str, fires: float, quiet: float, minutes: float, **labels: str) -> Case:
    """Have an alert on what has been so for some minutes."""
    return Case(
        alert=alert,
        fires=steady(name, fires, **labels),
        quiet=steady(name, quiet, **labels),
        after=minutes,
        labels=labels,
    )


def often(
    alert: str, name: str, most: float, window: float, shown: Iterable[str] = (), **labels: str
) -> Case:
    """Have an alert on more than so many in a window of so many minutes.

    Half of it is over when a few too many outweigh the few too few before, and the same at the end.
    """
    return Case(
        alert=alert,
        fires=counting(name, _ABOVE * most / window, **labels),
        quiet=counting(name, _BELOW * most / window, **labels),
        after=window / 2,
        lasts=window / 2,
        labels={label: labels[label] for label in shown},
    )


def ever(alert: str, name: str, window: float) -> Case:
    """Have an alert on a single one in a window of so many minutes."""
    return Case(
        alert=alert, fires=counting(name, 1), quiet=counting(name, 0), after=0, lasts=window
    )


def slow(alert: str, name: str, limit_s: float, window: float, minutes: float) -> Case:
    """Have an alert on the slowest tenth within a window, for some minutes."""
    return Case(
        alert=alert,
        fires=histogram(name, limit_s, 0.89),
        quiet=histogram(name, limit_s, 0.91),
        after=window / 2 + minutes,
        lasts=window / 2,
    )


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
        fires=counting(_REJECTED, _ABOVE * 50 * 60, reason="rejected"),
        quiet=counting(_REJECTED, _BELOW * 50 * 60, reason="rejected"),
        after=15 / 2 + 15,
        lasts=15 / 2,
    ),
    Case(
        alert="GitHubRunnersPacketsRejected",
        fires=counting(_REJECTED, _ABOVE * 50 * 60, reason="rejected"),
        quiet=counting(_REJECTED, 0, reason="rejected"),
        after=15 / _ABOVE + 15,
        lasts=15 * (1 - 1 / _ABOVE),
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
