"""What the observability stack is given: in its format, and about metrics that there are."""

from __future__ import annotations

import base64
import json
import lzma
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cos
import ops
import promql_parser
import pytest
import yaml
from cos import Topology
from loguru import logger
from metrics_page import whole_page
from ops import testing
from prometheus_client.parser import text_string_to_metric_families

from supervisor.config import parse

CHARM = Path(__file__).parents[3] / "charm"
DOCUMENT = CHARM.parent / "docs" / "metrics.md"
METADATA = yaml.safe_load((CHARM / "charmcraft.yaml").read_text(encoding="utf-8"))
META = {key: METADATA[key] for key in ("name", "requires", "provides")}
UUID = "58b48ff0-608b-435f-83b9-ea643e0b98db"
TOPOLOGY = Topology("ci", UUID, "large-runners", "github-runner-supervisor")
RUNBOOK = f"{METADATA['links']['documentation']}/runbook.md#".replace("/tree/", "/blob/")
MATCHERS = f'juju_model="ci", juju_model_uuid="{UUID}", juju_application="large-runners"'


class Charm(ops.CharmBase):
    """Provides, at every event."""

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        cos.provide(self)


def config(topology: Topology = TOPOLOGY) -> dict[str, Any]:
    databag = cos.databag(topology)
    assert set(databag) == {"config"}
    return json.loads(databag["config"])


def rules(kind: str) -> Iterator[dict[str, Any]]:
    for group in config()[kind]["groups"]:
        yield from group["rules"]


def dashboards() -> list[dict[str, Any]]:
    packed = config()["dashboards"]
    return [json.loads(lzma.decompress(base64.b64decode(one, validate=True))) for one in packed]


def queries() -> Iterator[str]:
    """Give every query of Prometheus."""
    for rule in rules("metrics_alert_rules"):
        yield rule["expr"]
    for dashboard in dashboards():
        yield from (target["expr"] for target in targets(dashboard, "prometheus"))
        for variable in variables(dashboard):
            yield variable["definition"]


def targets(dashboard: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            if target["datasource"]["type"] == kind:
                yield target


def variables(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable


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
    ],
)
@pytest.mark.parametrize("alert", ["GitHubRunnerDaemonErrors", "GitHubRunnerConfigurationRefused"])
@pytest.mark.parametrize("head", SYSLOG_HEADS)
def test_what_the_daemon_quotes_of_others_fires_no_alert(
    head: str, alert: str, message: str
) -> None:
    line = f"{head} github-runner-supervisor[7]: fleet-1: {message}"
    assert not pattern_of(alert).search(line)


def test_a_dashboard_is_one_that_grafana_takes_and_keeps() -> None:
    assert dashboards()
    for dashboard in dashboards():
        # Of another form Grafana's charm would replace it by the hash of a path of the collector's.
        assert re.fullmatch(r"[0-9a-f]{40}", dashboard["uid"])
        assert f"charm: {METADATA['name']}" in dashboard["tags"]
        numbers = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(numbers)) == len(numbers)
        names = {variable["name"] for variable in dashboard["templating"]["list"]}
        names.add("__range")  # Grafana's own
        assert set(re.findall(r"\$\{?([a-z_]+)\}?", json.dumps(dashboard["panels"]))) <= names


def test_no_two_panels_of_a_dashboard_have_the_same_title() -> None:
    for dashboard in dashboards():
        titles = [panel["title"] for panel in dashboard["panels"]]
        assert len(set(titles)) == len(titles)


def test_a_number_is_green_only_where_nothing_is_wrong() -> None:
    panels = [panel for dashboard in dashboards() for panel in dashboard["panels"]]
    colours = {
        panel["title"]: [
            (step["value"], step["color"])
            for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        ]
        for panel in panels
        if panel["type"] == "stat"
    }
    assert colours["Problems"] == [(None, "green"), (1, "red")]
    assert colours["Warnings"] == [(None, "green"), (1, "orange")]
    for title in ("There", "Free runners", "Daemons up"):
        assert colours[title] == [(None, "red"), (1, "green")]


def test_panels_do_not_overlap() -> None:
    for dashboard in dashboards():
        taken: set[tuple[int, int]] = set()
        for panel in dashboard["panels"]:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= 24
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert not taken & cells
            taken |= cells


def offered() -> dict[str, set[str]]:
    """Give the names on the daemon's page, with their labels, and that of the scrape itself."""
    found: dict[str, set[str]] = {"up": set()}
    for family in text_string_to_metric_families(whole_page()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


JUJU = {"juju_model", "juju_model_uuid", "juju_application", "juju_unit"}


def parts_of(expression: Any) -> Iterator[Any]:
    """Give an expression of PromQL and all that it is made of."""
    yield expression
    for name in ("lhs", "rhs", "expr", "vector_selector", "param"):
        part = getattr(expression, name, None)
        if part is not None and not isinstance(part, str):
            yield from parts_of(part)
    for part in getattr(expression, "args", ()):
        yield from parts_of(part)


def labels_in(part: Any) -> set[str]:
    """Give the labels that a part of an expression names."""
    if isinstance(part, promql_parser.VectorSelector):
        return {matcher.name for matcher in part.matchers.matchers}
    named = set()
    for modifier in (getattr(part, "modifier", None), getattr(part, "matching", None)):
        for holder in (modifier, getattr(modifier, "matching", None)):
            named |= set(getattr(holder, "labels", None) or ())
    return named


def parsed(query: str) -> tuple[set[str], set[str]]:
    """Give the metrics and the labels that a query names."""
    if match := re.fullmatch(r"label_values\((.*), (\w+)\)", query):
        metrics, labels = parsed(match[1])
        return metrics, labels | {match[2]}
    expression = promql_parser.parse(query.replace("$__range", "6h"))
    metrics, labels = set(), set()
    for part in parts_of(expression):
        labels |= labels_in(part)
        if isinstance(part, promql_parser.VectorSelector):
            metrics.add(part.name)
    return metrics, labels - {"__name__"}


def test_a_query_is_read_whole() -> None:
    assert parsed('sum by (a) (rate(m_total{b=~"x", c!="y"}[5m])) > on (d) 0.1 * max(n) or up') == (
        {"m_total", "n", "up"},
        {"a", "b", "c", "d"},
    )


def test_queries_name_only_metrics_and_labels_that_there_are() -> None:
    known = offered()
    for query in queries():
        metrics, labels = parsed(query)
        assert metrics
        assert metrics <= set(known), query
        assert labels <= JUJU.union(*(known[name] for name in metrics)), query


def test_legends_name_only_labels_that_the_query_keeps() -> None:
    for dashboard in dashboards():
        for target in targets(dashboard, "prometheus"):
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            _, labels = parsed(target["expr"])
            assert named <= labels | JUJU, target


def test_brackets_and_quotes_of_queries_are_closed() -> None:
    for query in queries():
        assert all(query.count(a) == query.count(b) for a, b in ("()", "{}", "[]"))
        assert query.count('"') % 2 == 0
        assert "%%" not in query


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
