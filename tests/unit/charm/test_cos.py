"""What the observability stack is given, in its format; and which lines of the log alert."""

from __future__ import annotations

import json
import re

import cos
import ops
import pytest
from cos import Topology
from loguru import logger
from ops import testing

from supervisor.config import parse
from supervisor.observation.repetition import Line, Repetition
from tests.unit.charm.observation import CHARM, METADATA, UUID, config, dashboards, rules

DOCUMENT = CHARM.parent / "docs" / "metrics.md"
META = {key: METADATA[key] for key in ("name", "requires", "provides")}
RUNBOOK = f"{METADATA['links']['documentation']}/runbook.md#".replace("/tree/", "/blob/")
MATCHERS = f'juju_model="ci", juju_model_uuid="{UUID}", juju_application="large-runners"'


class Charm(ops.CharmBase):
    """Provides, at every event."""

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        cos.provide(self)


def test_the_databag_has_what_the_interface_asks_for() -> None:
    assert {key: type(value) for key, value in config().items()} == {
        "metrics_scrape_jobs": list,
        "metrics_alert_rules": dict,
        "log_alert_rules": dict,
        "dashboards": list,
        "log_slots": list,
    }


def test_the_metrics_page_is_scraped_on_the_machine_itself() -> None:
    assert config()["metrics_scrape_jobs"] == [
        {
            "job_name": "large-runners_daemon",
            "metrics_path": "/metrics",
            "static_configs": [{"targets": ["localhost:9469"]}],
        }
    ]
    page = parse({"name": "fleet", "path": "acme", "token": "s"}, "test").metrics
    assert (str(page.address), page.port) == ("127.0.0.1", 9469)


@pytest.mark.parametrize("kind", ["metrics_alert_rules", "log_alert_rules"])
def test_an_alert_says_what_where_and_how_bad(kind: str) -> None:
    alerts = list(rules(kind))
    assert alerts
    for rule in alerts:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"GitHubRunner[A-Za-z]+", rule["alert"])
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["labels"]["juju_model_uuid"] == UUID
        assert rule["labels"]["juju_charm"] == "github-runner-supervisor"
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["description"].endswith(".")
        assert rule["annotations"]["runbook_url"] == RUNBOOK + rule["alert"].lower()
        assert re.fullmatch(r"[1-9][0-9]*m", rule.get("for", "1m"))
    assert len({rule["alert"] for rule in alerts}) == len(alerts)


def test_the_document_tells_of_every_alert_and_of_no_other() -> None:
    told = re.findall(r"^\| `(GitHub\w+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    alerts = [*rules("metrics_alert_rules"), *rules("log_alert_rules")]
    assert sorted(told) == sorted(rule["alert"] for rule in alerts)


def test_the_document_tells_of_every_dashboard() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert len(dashboards()) == 3
    for dashboard in dashboards():
        assert f"| {dashboard['title']} |" in text


def test_an_alert_of_metrics_is_about_this_application_and_no_other() -> None:
    for rule in rules("metrics_alert_rules"):
        selectors = re.findall(r"\{([^}]*)\}", rule["expr"])
        assert selectors
        assert all(selector.startswith(MATCHERS) for selector in selectors)
        assert rule["labels"]["juju_application"] == "large-runners"


def test_an_alert_of_logs_is_about_the_model_as_logs_name_no_application() -> None:
    for rule in rules("log_alert_rules"):
        assert f'{{juju_model="ci", juju_model_uuid="{UUID}"}}' in rule["expr"]
        assert "juju_application" not in rule["expr"]
        assert "juju_application" not in rule["labels"]


@pytest.mark.parametrize("kind", ["metrics_alert_rules", "log_alert_rules"])
def test_groups_of_different_applications_have_different_names(kind: str) -> None:
    here = {group["name"] for group in config()[kind]["groups"]}
    other = Topology("ci", UUID, "small-runners", "github-runner-supervisor")
    assert here
    assert not here & {group["name"] for group in config(other)[kind]["groups"]}


# As rsyslog writes it by default, and in its traditional form.
SYSLOG_HEADS = (
    "2030-01-01T00:00:00.123456+00:00 host",
    "Jan  1 00:00:00 host",
    "Jan 12 00:00:00 host",
)


def logged() -> list[str]:
    """Give what the daemon logs of a crash, and of a day without one, as it stands in syslog."""
    lines: list[str] = []
    sink = logger.add(
        lambda message: lines.extend(str(message).splitlines()),
        format="{message}",
        backtrace=False,
        diagnose=False,
    )
    try:
        int("Traceback")
    except ValueError:
        logger.exception("root/core/fleet: failed while handling Tick")
    logger.info("fleet: the job of a runner has ended")
    logger.remove(sink)
    return [f"Jan  1 00:00:00 host github-runner-supervisor[7]:   {line}" for line in lines]


def pattern_of(alert: str) -> re.Pattern[str]:
    (rule,) = (rule for rule in rules("log_alert_rules") if rule["alert"] == alert)
    found = re.search(r"\|~ `([^`]*)`", rule["expr"])
    assert found
    return re.compile(found[1])


@pytest.mark.parametrize(
    ("alert", "line"),
    [
        (
            "GitHubRunnerConfigurationRefused",
            "github-runner-supervisor[7]: MainThread: the configuration stays as it was: name: x",
        ),
        (
            "GitHubRunnerServiceFailed",
            "systemd[1]: github-runner-supervisor.service: Failed with result 'watchdog'.",
        ),
    ],
)
@pytest.mark.parametrize("head", SYSLOG_HEADS)
def test_an_alert_of_logs_knows_its_line_and_none_that_quotes_it(
    alert: str, line: str, head: str
) -> None:
    assert pattern_of(alert).search(f"{head} {line}")
    assert not pattern_of(alert).search(f"{head} another: {line}")
    assert not pattern_of(alert).search(f"{head} another[5]: {head} {line}")


def test_the_alert_of_logs_counts_a_crash_of_the_daemon_once() -> None:
    pattern = pattern_of("GitHubRunnerDaemonErrors")
    found = [line for line in logged() if pattern.search(line)]
    assert len(found) == 1
    others = found[0].replace("github-runner-supervisor[", "another[")
    assert not pattern.search(others)


def shown_of(crashes: int) -> list[str]:
    """Give what the log shows of so many crashes of an actor within a minute."""
    actor, crash = "root/core/fleet", "failed while handling Tick"
    line = Line(actor, "", "ERROR", crash)
    repetition = Repetition()
    shown = [line.text for _ in range(crashes) if repetition.hear(line, 0)]
    shown += [str(repeated) for repeated in repetition.end(60)]
    return [f"Jan  1 00:00:00 host github-runner-supervisor[7]: {actor}: {one}" for one in shown]


@pytest.mark.parametrize("crashes", [1, 5, 6, 7, 100])
def test_the_alert_of_logs_counts_more_than_five_crashes_though_the_log_shows_five(
    crashes: int,
) -> None:
    pattern = pattern_of("GitHubRunnerDaemonErrors")
    counted = sum(bool(pattern.search(line)) for line in shown_of(crashes))
    assert (counted > 5) == (crashes > 5)


@pytest.mark.parametrize(
    "message",
    [
        "MainThread: the configuration stays as it was: name: takes effect only after a restart",
        "MainThread: could not start: control: it did not start",
        "MainThread: the tree has failed: core: too many restarts",
    ],
)
@pytest.mark.parametrize("head", SYSLOG_HEADS)
def test_the_alert_of_logs_knows_the_daemons_own_troubles(message: str, head: str) -> None:
    pattern = pattern_of("GitHubRunnerDaemonErrors")
    assert pattern.search(f"{head} github-runner-supervisor[7]: {message}")
    assert not pattern.search(f"{head} another: github-runner-supervisor[7]: {message}")


@pytest.mark.parametrize(
    "message",
    [
        "failed: could not start instance fleet-1: LXD says no",
        "failed: the guest says: x: the configuration stays as it was: y",
        "failed: the guest says: MainThread: could not start: Traceback (most recent call last)",
        "failed: the guest says: root/core/fleet: failed while handling Tick",
        "failed: repeated 7 times more within 60 s: failed while handling Tick",
        "repeated 7 times more within 60 s: failed: the guest says: could not start: x",
    ],
)
@pytest.mark.parametrize("alert", ["GitHubRunnerDaemonErrors", "GitHubRunnerConfigurationRefused"])
@pytest.mark.parametrize("head", SYSLOG_HEADS)
def test_what_the_daemon_quotes_of_others_fires_no_alert(
    head: str, alert: str, message: str
) -> None:
    line = f"{head} github-runner-supervisor[7]: fleet-1: {message}"
    assert not pattern_of(alert).search(line)


def test_every_relation_is_told_when_it_differs_and_only_then() -> None:
    context = testing.Context(Charm, meta=META, app_name="large-runners")
    model = testing.Model("ci", uuid=UUID)
    relations = [testing.Relation("cos-agent"), testing.Relation("cos-agent")]
    state = testing.State(relations=relations, model=model)
    after = context.run(context.on.relation_changed(relations[0]), state)
    for relation in relations:
        told = after.get_relation(relation.id).local_unit_data["config"]
        assert json.loads(told) == config()
    with context(context.on.update_status(), after) as running:
        written: list[object] = []
        running.charm.framework.model._backend.relation_set = (  # type: ignore[method-assign]
            lambda *told, **named: written.append(told)
        )
        cos.provide(running.charm)
        assert written == []


def test_a_relation_that_is_not_joined_yet_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **named: object) -> None:
        raise ops.ModelError('ERROR cannot read relation settings: unit "x/0": settings not found')

    context = testing.Context(ops.CharmBase, meta=META)
    state = testing.State(relations=[testing.Relation("cos-agent")])
    with context(context.on.update_status(), state) as running:
        monkeypatch.setattr(running.charm.framework.model._backend, "relation_get", refuse)
        cos.provide(running.charm)
    assert any("is not ready" in line.message for line in context.juju_log)
