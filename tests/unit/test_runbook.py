"""The runbook has an entry for each alert and each reason that can be shown, and for nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import reasons

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")


def entries(document: str) -> Iterator[str]:
    """Find the reasons that a document explains: the first cells of its tables of what is shown."""
    tables = re.findall(r"^\| shown \|.*\n\|[- |]+\|\n((?:\|.*\n?)*)", document, re.MULTILINE)
    for row in "".join(tables).splitlines():
        first = re.split(r"(?<!\\) \| ", row.removeprefix("| "))[0]
        yield from (text.strip().replace("\\|", "|") for _, text in SPAN.findall(first))


def alerts() -> set[str]:
    """Name the alerts that the charm offers."""
    rules = sorted((ROOT / "charm/src").glob("*_alert_rules/*.yaml"))
    groups = [group for path in rules for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule["alert"] for group in groups for rule in group["rules"]}


def headings(document: str) -> set[str]:
    """Give the names of the alerts that a document explains."""
    return set(re.findall(r"^## (GitHubRunner\w+)$", document, re.MULTILINE))


def test_each_reason_that_can_be_shown_has_an_entry() -> None:
    explained = set(entries(RUNBOOK))
    missing = {text: at for text, at in reasons.collect().items() if text not in explained}
    assert missing == {}


def test_each_entry_is_of_a_reason_that_can_be_shown() -> None:
    shown = reasons.collect()
    assert [text for text in entries(RUNBOOK) if text not in shown] == []


def test_no_reason_has_two_entries() -> None:
    explained = sorted(entries(RUNBOOK))
    assert sorted(set(explained)) == explained


def test_each_alert_has_a_heading_and_each_heading_is_of_an_alert() -> None:
    assert headings(RUNBOOK) == alerts()


@pytest.mark.parametrize("alert", sorted(headings(RUNBOOK)))
def test_of_each_alert_it_is_said_what_it_means_where_to_look_and_what_to_do(alert: str) -> None:
    section = re.split(r"^## ", RUNBOOK.partition(f"\n## {alert}\n")[2], flags=re.MULTILINE)[0]
    assert re.findall(r"^\*\*(\w+):\*\*", section, re.MULTILINE) == ["Means", "Look", "Do"]


def test_each_entry_has_a_cause_and_a_remedy() -> None:
    tables = re.findall(r"^\| shown \|.*\n\|[- |]+\|\n((?:\|.*\n?)*)", RUNBOOK, re.MULTILINE)
    rows = [re.split(r"(?<!\\) \| ", row.strip("| ")) for row in "".join(tables).splitlines()]
    assert rows
    assert [row for row in rows if len(row) != 3 or not all(row)] == []


def test_what_is_left_out_by_name_is_still_in_the_source() -> None:
    texts = reasons.texts_of(reasons.PACKAGE)
    left_out = [text for group in reasons.NO_REASONS.values() for text in group]
    assert [text for text in left_out if text not in texts] == []
    assert len(set(left_out)) == len(left_out)
