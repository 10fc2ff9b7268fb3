"""Each alert fires when there is cause, and does not when there is none, as promtool says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import cos
import pytest
import yaml
from cos import Topology
from prometheus import promtool

from supervisor.lifecycle import Stage
from supervisor.status.health import LONGEST_SHORTAGE, short_since
from tests.unit.charm.alert_cases import CASES
from tests.unit.charm.alert_series import Case, Course, Series, counting, runners, since, steady

_TOPOLOGY = Topology("ci", "58b48ff0-608b-435f-83b9-ea643e0b98db", "large", "the-charm")
_JUJU = {
    "juju_model": _TOPOLOGY.model,
    "juju_model_uuid": _TOPOLOGY.model_uuid,
    "juju_application": _TOPOLOGY.application,
    "juju_unit": "large/0",
}
_METRICS_GUIDE = Path(__file__).parents[3] / "docs" / "metrics.md"
NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
_BEGIN, _LONG, _REST = 120, 600, 120
"""Minutes without a cause, then with it, then without it again."""
_SLACK = 1.2
"""So many minutes an alert may be early or late: some series are read each minute."""

Phases = Sequence[tuple[Series, int]]


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


def values(courses: Sequence[tuple[Course | None, int]], *, counts: bool) -> str:
    """Write in promtool's notation how a series goes in each of some numbers of minutes.

    Args:
        courses: how; None while it is not there.
        counts: whether it goes on from where it was, as a counter does.
    """
    told, minute, reached = [], 0, 0.0
    for course, minutes in courses:
        if course is None:
            told.append(f"_x{minutes}")
        else:
            first = reached if counts else course.start + course.step * minute
            told.append(f"{first:f}{course.step:+f}x{minutes - 1}")
            reached += course.step * minutes
        minute += minutes
    return " ".join(told)


def complaint(
    directory: Path, rule: Mapping[str, Any], phases: Phases, expected: Mapping[float, list[Any]]
) -> str:
    """Say what promtool complains of, if the alerts of a rule are not the expected ones.

    Args:
        directory: for what it reads.
        rule: the alert's.
        phases: which series there are for how many minutes.
        expected: the alerts that fire, by the minute.
    """
    written(directory, "rules.yaml", {"groups": [{"name": "g", "rules": [rule]}]})
    names = dict.fromkeys(name for series, _ in phases for name in series)
    given = [
        {
            "series": with_juju(name),
            "values": values(
                [(series.get(name), minutes) for series, minutes in phases],
                counts=name.partition("{")[0].endswith(("_total", "_bucket")),
            ),
        }
        for name in names
    ]
    alerts = [
        {"eval_time": f"{minute * 60:.0f}s", "alertname": rule["alert"], "exp_alerts": fired}
        for minute, fired in expected.items()
    ]
    tests = [{"interval": "1m", "input_series": given, "alert_rule_test": alerts}]
    document = {"rule_files": ["rules.yaml"], "tests": tests}
    return promtool("test", "rules", written(directory, "test.yaml", document))


def without_words(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what promtool would compare word by word."""
    return {key: value for key, value in rule.items() if key != "annotations"}


def fired(rule: Mapping[str, Any], **labels: str) -> list[Any]:
    return [{"exp_labels": {**_JUJU, **labels, **rule["labels"]}}]


def ids(cases: tuple[Case, ...]) -> list[str]:
    return [case.alert for case in cases]


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_an_alert_fires_when_there_has_been_cause_for_long_enough_and_until_there_is_none(
    case: Case, tmp_path: Path
) -> None:
    rule = without_words(rule_of(case.alert))
    (alert,) = fired(rule, **case.labels)
    if not case.fires:
        del alert["exp_labels"]["juju_unit"]  # of what is absent only what was asked for is known
    without = {**case.fires, **case.quiet}
    begins, ends = _BEGIN + case.after, _BEGIN + _LONG + case.lasts
    expected = {
        begins - _SLACK: [],
        begins + _SLACK: [alert],
        ends - _SLACK: [alert],
        ends + _SLACK: [],
    }
    phases = [(without, _BEGIN), (case.fires, _LONG), (without, _REST)]
    assert complaint(tmp_path, rule, phases, expected) == ""


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_an_alert_is_quiet_without_a_cause(case: Case, tmp_path: Path) -> None:
    rule = without_words(rule_of(case.alert))
    phases = [({**case.fires, **case.quiet}, _LONG)]
    assert complaint(tmp_path, rule, phases, {_BEGIN: [], _LONG - 1: []}) == ""


def test_every_alert_has_a_case() -> None:
    alerts = {rule["alert"] for group in rules()["groups"] for rule in group["rules"]}
    assert {case.alert for case in CASES} == alerts


def minutes_of(alert: str) -> timedelta:
    return timedelta(minutes=int(rule_of(alert)["for"].removesuffix("m")))


def test_status_names_that_nobody_is_online_before_the_alert_of_it_fires() -> None:
    assert minutes_of("GitHubRunnersNoneOnline") > LONGEST_SHORTAGE


@pytest.mark.parametrize("stage", Stage)
def test_too_few_are_runners_of_which_status_says_that_they_are_short(
    stage: Stage, tmp_path: Path
) -> None:
    rule = without_words(rule_of("GitHubRunnersTooFew"))
    is_short = short_since(None, 10, [stage] * 10, NOW) is not None
    series = {**steady("runners_wanted", 10), **since("shortage", 3600), **runners(**{stage: 10})}
    expected = {60.0: fired(rule) if is_short else []}
    assert complaint(tmp_path, rule, [(series, 100)], expected) == ""


def test_a_drain_is_told_of_though_the_page_was_away_on_its_day(tmp_path: Path) -> None:
    rule = without_words(rule_of("GitHubRunnersDrained"))
    drained = {**steady("draining", 1), **steady("drain_timestamp_seconds", 0)}
    phases: Phases = [(drained, 12 * 60), ({}, 10), (drained, 13 * 60)]
    expected = {24 * 60.0 - 1: [], 24 * 60.0 + 1: fired(rule)}
    assert complaint(tmp_path, rule, phases, expected) == ""


def test_promtool_has_no_complaint_of_the_rules(tmp_path: Path) -> None:
    assert promtool("check", "rules", "--lint=all", written(tmp_path, "r.yaml", rules())) == ""


def test_without_juju_the_rules_are_made_by_the_commands_of_the_guide(tmp_path: Path) -> None:
    _, _, rest = _METRICS_GUIDE.read_text(encoding="utf-8").partition("\n## Without Juju\n")
    section, _, _ = rest.partition("\n## ")
    configured, commands = re.findall(r"```(?:yaml|sh)\n(.*?)```", section, re.DOTALL)
    ((target,),) = (job["static_configs"] for job in yaml.safe_load(configured)["scrape_configs"])
    made = [line for line in commands.splitlines() if line.startswith("sed ")]
    for kind in ("prometheus", "loki"):
        name = f"{kind}_alert_rules"
        shutil.copytree(Path(cos.__file__).parent / name, tmp_path / name)
    subprocess.run(["sh", "-ec", "\n".join(made)], cwd=tmp_path, check=True)
    for_metrics = sorted(tmp_path.glob("prometheus_alert_rules/*.yaml"))
    assert promtool("check", "rules", "--lint=all", *for_metrics) == ""
    for path in (*for_metrics, *tmp_path.glob("loki_alert_rules/*.yaml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                labels = dict(re.findall(r'(juju_\w+)="(\w[^"]*)"', rule["expr"]))
                assert labels
                assert labels.items() <= target["labels"].items()


def test_an_alert_says_what_it_has_found(tmp_path: Path) -> None:
    rule = rule_of("GitHubRunnersFailed")
    failure = {"stage": "booting", "reason": "timeout"}
    said = " ".join(rule["annotations"].values())
    told = {
        key: text.replace("{{ $labels.juju_unit }}", "large/0")
        .replace("{{ $labels.stage }}", "booting")
        .replace("{{ $labels.reason }}", "timeout")
        for key, text in rule["annotations"].items()
    }
    assert "{{ $labels.stage }}" in said
    assert "{{" not in " ".join(told.values())
    (alert,) = fired(rule, **failure)
    series = {
        **counting("runner_failures_total", 1, **failure),
        **counting("runner_replacements_total", 1),
    }
    expected = {60.0: [{**alert, "exp_annotations": told}]}
    assert complaint(tmp_path, rule, [(series, 100)], expected) == ""
