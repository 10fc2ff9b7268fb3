"""Each alert fires when there is cause, and does not when there is none, as promtool says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import cos
import pytest
import yaml
from cos import Topology
from prometheus import promtool

from supervisor.status.health import LONGEST_SHORTAGE

_TOPOLOGY = Topology("ci", "58b48ff0-608b-435f-83b9-ea643e0b98db", "large", "the-charm")
_JUJU = {
    "juju_model": _TOPOLOGY.model,
    "juju_model_uuid": _TOPOLOGY.model_uuid,
    "juju_application": _TOPOLOGY.application,
    "juju_unit": "large/0",
}
_DAY = 24 * 60
Series = Mapping[str, str]


@dataclass(frozen=True)
class Case:
    """When an alert fires, and when it does not.

    Attributes:
        alert: its name.
        fires: series on which it fires, as `name{label="value"}`, with their values at each minute
            in promtool's notation.
        quiet: series in whose place it does not; the others stay.
        labels: those of the alert beside Juju's and its own.
        after: minutes after which it is looked at.
    """

    alert: str
    fires: Series
    quiet: Series
    labels: Mapping[str, str] = field(default_factory=dict)
    after: int = 120


def steady(name: str, value: float, **labels: str) -> dict[str, str]:
    """Have a value for two days."""
    return growing(name, 0, value, **labels)


def growing(name: str, step: float, start: float = 0, **labels: str) -> dict[str, str]:
    """Have a value that grows each minute, for two days."""
    inside = ", ".join(f'{key}="{value}"' for key, value in labels.items())
    name = name if name == "up" else f"github_runner_supervisor_{name}"
    return {f"{name}{{{inside}}}": f"{start}+{step}x{2 * _DAY}"}


def histogram(name: str, le: str, **labels: str) -> dict[str, str]:
    """Have one observation a minute, all of them in the bucket that ends at `le`."""
    found: dict[str, str] = {}
    for bucket in ("300.0", "600.0", "900.0", "+Inf"):
        is_over = float(bucket) >= float(le)
        found |= growing(f"{name}_bucket", 1 if is_over else 0, **labels, le=bucket)
    return found


WANTED = {**steady("runners_wanted", 10), **steady("draining", 0)}
NONE = {**WANTED, **steady("runners", 3, stage="booting"), **steady("runners", 0, stage="ready")}
SEVEN = {**WANTED, **steady("runners", 6, stage="busy"), **steady("runners", 1, stage="ready")}
NEXT_S, QUEUE_S = "runner_replacement_duration_seconds", "job_queue_duration_seconds"
REFUSED, ERROR = {"verdict": "refused"}, {"verdict": "error"}
FAILURE = {"stage": "booting", "reason": "timeout"}
CALL = {"endpoint": "/actions/runners", "method": "GET"}
FAILED_CALL, GOOD_CALL = {**CALL, "status": "5xx"}, {**CALL, "status": "2xx"}
CORE = {"resource": "core"}
LIMIT = steady("github_calls_limit", 5000, **CORE)
PACKAGE = {"subject": "policy_package"}

CASES = (
    Case("GitHubRunnersNoneOnline", NONE, steady("runners", 1, stage="ready")),
    Case("GitHubRunnersNoneOnline", NONE, steady("draining", 1)),
    Case("GitHubRunnersNoneOnline", NONE, steady("runners_wanted", 0)),
    Case("GitHubRunnersTooFew", SEVEN, steady("runners", 2, stage="ready")),
    Case("GitHubRunnersTooFew", SEVEN, steady("draining", 1)),
    Case(
        "GitHubRunnersNoneIdle",
        {**WANTED, **steady("runners", 10, stage="busy"), **steady("runners", 0, stage="idle")},
        steady("runners", 1, stage="ready"),
    ),
    Case("GitHubRunnersJobsQueued", histogram(QUEUE_S, "900.0"), histogram(QUEUE_S, "300.0")),
    Case("GitHubRunnersReplacementSlow", histogram(NEXT_S, "600.0"), histogram(NEXT_S, "300.0")),
    Case(
        "GitHubRunnersFailed",
        growing("runner_failures_total", 0.2, **FAILURE),
        growing("runner_failures_total", 0.05, **FAILURE),
        FAILURE,
    ),
    Case("GitHubRunnersDrained", steady("draining", 1), steady("draining", 0), after=_DAY + 60),
    Case(
        "GitHubRunnersPolicyRefusals",
        growing("policy_decisions_total", 0.2, **REFUSED),
        growing("policy_decisions_total", 0.05, **REFUSED),
    ),
    Case(
        "GitHubRunnersPolicyErrors",
        growing("policy_decisions_total", 0.2, **ERROR),
        growing("policy_decisions_total", 0.02, **ERROR),
    ),
    Case("GitHubRunnerDaemonDown", steady("up", 0), steady("up", 1)),
    Case("GitHubRunnerMetricsMissing", {}, steady("build_info", 1, version="1")),
    Case("GitHubRunnersProblems", steady("problems", 2), steady("problems", 0)),
    Case(
        "GitHubRunnersActorRestarts",
        growing("actor_restarts_total", 1, actor="tokens"),
        growing("actor_restarts_total", 0.1, actor="tokens"),
        {"actor": "tokens"},
    ),
    Case(
        "GitHubRunnersActorRestarts",
        growing("runner_actor_restarts_total", 1),
        growing("runner_actor_restarts_total", 0.1),
    ),
    Case(
        "GitHubRunnersMailboxFull",
        steady("actor_mailbox_messages", 600, actor="fleet"),
        steady("actor_mailbox_messages", 400, actor="fleet"),
        {"actor": "fleet"},
    ),
    Case(
        "GitHubRunnersGitHubBudgetLow",
        {
            **steady("github_calls_remaining", 499, **CORE),
            **steady("github_calls_limit", 5000, **CORE),
        },
        steady("github_calls_remaining", 501, **CORE),
        CORE,
    ),
    Case(
        "GitHubRunnersGitHubErrors",
        {
            **growing("github_calls_total", 3, **FAILED_CALL),
            **growing("github_calls_total", 7, **GOOD_CALL),
        },
        growing("github_calls_total", 1, **FAILED_CALL),
    ),
    Case(
        "GitHubRunnersJournalLosing",
        growing("journal_lost_records_total", 1),
        steady("journal_lost_records_total", 7),
    ),
    Case("GitHubRunnersJournalFailing", steady("journal_failing", 1), steady("journal_failing", 0)),
    Case(
        "GitHubRunnersTracesLosing",
        growing("traces_lost_spans_total", 1),
        steady("traces_lost_spans_total", 7),
    ),
    Case(
        "GitHubRunnersPartMissing",
        {**WANTED, **steady("part_in_place", 0, part="image")},
        steady("part_in_place", 1, part="image"),
        {"part": "image"},
    ),
    Case(
        "GitHubRunnersFirewallMissing",
        steady("part_in_place", 0, part="firewall"),
        steady("part_in_place", 1, part="firewall"),
        {"part": "firewall"},
    ),
    Case(
        "GitHubRunnersFirewallChanged",
        growing("firewall_repairs_total", 0.1),
        growing("firewall_repairs_total", 0.02),
    ),
    Case(
        "GitHubRunnersPacketsRejected",
        growing("firewall_rejected_packets_total", 3600, reason="rejected"),
        growing("firewall_rejected_packets_total", 600, reason="rejected"),
    ),
    # At the beginning of promtool's time it is 1970.
    Case(
        "GitHubRunnersImageOld",
        steady("image_build_timestamp_seconds", -31 * 86400),
        steady("image_build_timestamp_seconds", -29 * 86400),
    ),
    # Built while the clock was ahead: it would not be old for as long.
    Case(
        "GitHubRunnersImageOld",
        steady("image_build_timestamp_seconds", 2 * 86400),
        steady("image_build_timestamp_seconds", 3600 * 20),
    ),
    Case(
        "GitHubRunnersUpgradeFailing",
        steady("upgrade_failing", 1, **PACKAGE),
        steady("upgrade_failing", 0, **PACKAGE),
        PACKAGE,
        after=400,
    ),
    Case(
        "GitHubRunnersUpgradeUnchecked",
        steady("upgrade_check_timestamp_seconds", -3 * 86400, **PACKAGE),
        steady("upgrade_check_timestamp_seconds", -86400, **PACKAGE),
        PACKAGE,
    ),
    Case(
        "GitHubRunnersPoolFull",
        {**steady("pool_used_bytes", 91), **steady("pool_total_bytes", 100)},
        steady("pool_used_bytes", 89),
    ),
    Case(
        "GitHubRunnersMemoryLow",
        {
            **steady("host_memory_available_bytes", 4),
            **steady("host_memory_total_bytes", 100),
        },
        steady("host_memory_available_bytes", 6),
    ),
)


def rules() -> dict[str, Any]:
    config = json.loads(cos.databag(_TOPOLOGY)["config"])
    found: dict[str, Any] = config["metrics_alert_rules"]
    return found


def rule_of(alert: str) -> dict[str, Any]:
    (found,) = (
        rule for group in rules()["groups"] for rule in group["rules"] if rule["alert"] == alert
    )
    return dict(found)


def written(directory: Path, name: str, document: Any) -> Path:
    path = directory / name
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def with_juju(series: str) -> str:
    """Label a series as a collector does."""
    name, _, labels = series.rstrip("}").partition("{")
    juju = ", ".join(f'{key}="{value}"' for key, value in _JUJU.items())
    return f"{name}{{{', '.join(filter(None, (labels, juju)))}}}"


def complaint(
    directory: Path, rule: Mapping[str, Any], series: Series, after: int, expected: list[Any]
) -> str:
    """Say what promtool complains of, if the alerts of a rule are not the expected ones."""
    written(directory, "rules.yaml", {"groups": [{"name": "g", "rules": [rule]}]})
    given = [{"series": with_juju(name), "values": values} for name, values in series.items()]
    alerts = {"eval_time": f"{after}m", "alertname": rule["alert"], "exp_alerts": expected}
    tests = [{"interval": "1m", "input_series": given, "alert_rule_test": [alerts]}]
    document = {"rule_files": ["rules.yaml"], "tests": tests}
    return promtool("test", "rules", written(directory, "test.yaml", document))


def without_words(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what promtool would compare word by word."""
    return {key: value for key, value in rule.items() if key != "annotations"}


def ids(cases: tuple[Case, ...]) -> list[str]:
    return [case.alert for case in cases]


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_an_alert_fires_when_there_is_cause(case: Case, tmp_path: Path) -> None:
    rule = without_words(rule_of(case.alert))
    labels = {**_JUJU, **case.labels, **rule["labels"]}
    if not case.fires:
        del labels["juju_unit"]  # of what is absent only that is known which was asked for
    assert complaint(tmp_path, rule, case.fires, case.after, [{"exp_labels": labels}]) == ""


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_an_alert_is_quiet_without_a_cause(case: Case, tmp_path: Path) -> None:
    rule = without_words(rule_of(case.alert))
    assert complaint(tmp_path, rule, {**case.fires, **case.quiet}, case.after, []) == ""


def test_every_alert_has_a_case() -> None:
    alerts = {rule["alert"] for group in rules()["groups"] for rule in group["rules"]}
    assert {case.alert for case in CASES} == alerts


@pytest.mark.parametrize("alert", ["GitHubRunnersNoneOnline", "GitHubRunnersTooFew"])
def test_status_names_a_shortage_before_an_alert_of_it_fires(alert: str) -> None:
    minutes = int(rule_of(alert)["for"].removesuffix("m"))
    assert timedelta(minutes=minutes) > LONGEST_SHORTAGE


def test_promtool_has_no_complaint_of_the_rules(tmp_path: Path) -> None:
    assert promtool("check", "rules", "--lint=all", written(tmp_path, "r.yaml", rules())) == ""


def test_an_alert_says_what_it_has_found(tmp_path: Path) -> None:
    rule = rule_of("GitHubRunnersFailed")
    said = " ".join(rule["annotations"].values())
    expected = {
        key: text.replace("{{ $labels.juju_unit }}", "large/0")
        .replace("{{ $labels.stage }}", "booting")
        .replace("{{ $labels.reason }}", "timeout")
        for key, text in rule["annotations"].items()
    }
    assert "{{ $labels.stage }}" in said
    assert "{{" not in " ".join(expected.values())
    alert = {
        "exp_labels": {**_JUJU, **FAILURE, **rule["labels"]},
        "exp_annotations": expected,
    }
    series = growing("runner_failures_total", 1, **FAILURE)
    assert complaint(tmp_path, rule, series, 60, [alert]) == ""
