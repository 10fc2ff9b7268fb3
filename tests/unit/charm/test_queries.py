"""Queries of alerts and dashboards are about what the daemon tells, and about nothing else."""

from __future__ import annotations

import re

import pytest
from metrics_page import whole_page
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.charm.observation import dashboards, queries, targets
from tests.unit.charm.promql import foreign_in, parsed, values_in

JUJU = {"juju_model", "juju_model_uuid", "juju_application", "juju_unit"}
SCRAPED = {"instance", "job"}
"""Labels that Prometheus gives to all that it scrapes."""

PREFIX = "github_runner_supervisor_"
MARK = f"{PREFIX}build_info"
PAGE = {"juju_model_uuid", "juju_unit", *SCRAPED}
"""Labels that all series of one page have in common, and none of another."""


def offered() -> dict[str, dict[str, set[str]]]:
    """Give the names on the daemon's page and that of the scrape itself, with labels and values."""
    found: dict[str, dict[str, set[str]]] = {"up": {}}
    for family in text_string_to_metric_families(whole_page()):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


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
        assert labels <= JUJU.union(SCRAPED, *(known[name] for name in metrics)), query


def test_queries_ask_only_for_values_that_labels_can_have() -> None:
    known = offered()
    asked = [
        (metric, label, value)
        for query in queries()
        if not query.startswith("label_values(")
        for metric, label, value in values_in(query)
        if label not in JUJU
    ]
    assert {label for _, label, _ in asked} >= {"stage", "verdict", "result", "part", "status"}
    assert [one for one in asked if one[2] not in known[one[0]][one[1]]] == []


def test_a_query_of_a_dashboard_takes_nothing_of_others() -> None:
    # Each variable is `All` at first, which stands for whatever there is, also of other charms.
    for dashboard in dashboards():
        for target in targets(dashboard, "prometheus"):
            assert foreign_in(target["expr"], PREFIX, MARK, PAGE) == set(), target["expr"]


@pytest.mark.parametrize(
    ("query", "foreign"),
    [
        ("sum(up)", {"up"}),
        (f"sum(up and on (juju_unit) {MARK})", {"up"}),
        (f"up and on (juju_model_uuid, juju_unit, instance, job) {PREFIX}runners", {"up"}),
        (f"up and ignoring (juju_model_uuid, juju_unit, instance, job) {MARK}", {"up"}),
        (f"up or on (juju_model_uuid, juju_unit, instance, job) {MARK}", {"up"}),
        (f"max(rate(a[1h]) and on (juju_model_uuid, juju_unit, instance, job) {MARK})", set()),
        (f"sum({PREFIX}runners) / count(a)", {"a"}),
    ],
)
def test_what_a_query_takes_of_others_is_found(query: str, foreign: set[str]) -> None:
    assert foreign_in(query, PREFIX, MARK, PAGE) == foreign


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
