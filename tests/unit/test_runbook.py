"""The runbook explains each alert and each reason that can be shown, and nothing else."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest
import reasons
import yaml
from command_lines import command_lines, refusal

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
COLUMNS = ("shown", "cause", "remedy")
SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")


def rows(document: str) -> Iterator[list[str]]:
    """Find the rows of a document's tables of what is shown, each as its cells."""
    tables = re.findall(r"^\| shown \|.*\n\|[- |]+\|\n((?:\|.*\n?)*)", document, re.MULTILINE)
    for row in "".join(tables).splitlines():
        yield re.split(r"(?<!\\) \| ", row.removeprefix("| ").removesuffix(" |"))


def entries(document: str) -> list[str]:
    """Find the reasons that a document explains."""
    spans = [text for row in rows(document) for _, text in SPAN.findall(row[0])]
    return [text.strip().replace(r"\|", "|") for text in spans]


def unexplained(document: str, shown: Mapping[str, str]) -> dict[str, str]:
    """Find what can be shown and has no entry, each with where it is written."""
    explained = set(entries(document))
    return {text: place for text, place in shown.items() if text not in explained}


def outdated(document: str, shown: Mapping[str, str]) -> list[str]:
    """Find the entries of what can't be shown any more."""
    return [text for text in entries(document) if text not in shown]


def alerts() -> set[str]:
    """Name the alerts that the charm offers."""
    rules = sorted((ROOT / "charm/src").glob("*_alert_rules/*.yaml"))
    groups = [group for path in rules for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule["alert"] for group in groups for rule in group["rules"]}


def headings(document: str) -> set[str]:
    """Name the alerts that a document explains."""
    return set(re.findall(r"^## (GitHubRunner\w+)$", document, re.MULTILINE))


def section_of(alert: str, document: str) -> str:
    after = document.partition(f"\n## {alert}\n")[2]
    return re.split(r"^## ", after, flags=re.MULTILINE)[0]


def collected(source: str) -> list[str]:
    return [text for _, text in reasons.texts_in(source)]


class TestTheRunbook:
    """It explains all that can be shown, and nothing else."""

    def test_each_reason_that_can_be_shown_has_an_entry(self) -> None:
        assert unexplained(RUNBOOK, reasons.collect()) == {}

    def test_each_entry_is_of_a_reason_that_can_be_shown(self) -> None:
        assert outdated(RUNBOOK, reasons.collect()) == []

    def test_no_reason_has_two_entries(self) -> None:
        assert [text for text, count in Counter(entries(RUNBOOK)).items() if count > 1] == []

    def test_each_entry_has_a_cause_and_a_remedy(self) -> None:
        assert [row for row in rows(RUNBOOK) if len(row) != len(COLUMNS) or not all(row)] == []

    def test_it_explains_many(self) -> None:
        assert len(entries(RUNBOOK)) > 500

    def test_each_alert_has_a_heading_and_each_heading_is_of_an_alert(self) -> None:
        assert headings(RUNBOOK) == alerts()

    @pytest.mark.parametrize("alert", sorted(headings(RUNBOOK)))
    def test_of_each_alert_it_says_what_it_means_where_to_look_and_what_to_do(
        self, alert: str
    ) -> None:
        parts = re.findall(r"^\*\*(\w+):\*\*", section_of(alert, RUNBOOK), re.MULTILINE)
        assert parts == ["Means", "Look", "Do"]


def test_panels_that_are_explained_are_there() -> None:
    dashboards = sorted((ROOT / "charm/src/grafana_dashboards").glob("*.json"))
    found = [json.loads(path.read_text(encoding="utf-8")) for path in dashboards]
    titles = {panel["title"] for one in found for panel in one["panels"]}
    looking = (ROOT / "docs" / "looking.md").read_text(encoding="utf-8")
    section = looking.partition("\n## Dashboards\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"\*([A-Z][^*]+)\*", section.partition("A point is")[0]))
    table = section.partition("| panel | how to read it |\n| --- | --- |\n")[2]
    for row in table.partition("\n\n")[0].splitlines():
        named |= set(row.removeprefix("| ").partition(" | ")[0].split(", "))
    assert named
    assert named - titles == set()
    assert {one["title"] for one in found} == set(
        re.findall(r"^\| (GitHub runners[^|]*) \|", section, re.MULTILINE)
    )


@pytest.mark.parametrize("document", ["looking.md", "runbook.md"])
def test_the_command_would_take_each_line_that_is_named(document: str) -> None:
    lines = list(command_lines((ROOT / "docs" / document).read_text(encoding="utf-8")))
    assert len(lines) > 5
    assert {line: why for line in lines if (why := refusal(line))} == {}


class TestItsOwnTest:
    """It notices what is missing from the runbook, and what has no place there any more."""

    document = dedent("""
        | shown | cause | remedy |
        | --- | --- | --- |
        | `the disk … is full`, `` no disk; see `df` `` | why | what to do |

        | other | table |
        | --- | --- |
        | `not shown` | |

        | shown | cause | remedy |
        | --- | --- | --- |
        | `a \\| b` | `lsblk \\| grep b` | what to do |
        """)

    def test_entries_are_the_first_cells_of_tables_of_what_is_shown(self) -> None:
        assert entries(self.document) == ["the disk … is full", "no disk; see `df`", "a | b"]
        assert [row[1:] for row in rows(self.document)][1] == [r"`lsblk \| grep b`", "what to do"]

    def test_a_reason_without_an_entry_is_found(self) -> None:
        shown = {"the disk … is full": "work/disk.py:1", "the disk … is gone": "work/disk.py:2"}
        assert unexplained(self.document, shown) == {"the disk … is gone": "work/disk.py:2"}

    def test_an_entry_without_a_reason_is_found(self) -> None:
        shown = {"the disk … is full": "work/disk.py:1", "a | b": "work/disk.py:2"}
        assert outdated(self.document, shown) == ["no disk; see `df`"]

    def test_lines_of_the_command_stand_in_blocks_and_across_the_lines_of_a_text(self) -> None:
        text = dedent("""
            ```console
            # A=b supervisor-cli check-config \\
                --config c.yaml
            $ supervisor-cli tree   # each part
            ```
            A row: `` after `supervisor-cli upgrade
            --now && reboot` ``, `supervisor-cli`, and supervisor-cli in words.
            """)
        lines = list(command_lines(text))
        assert lines == ["check-config --config c.yaml", "tree", "upgrade --now"]
        assert [refusal(line) for line in lines] == ["", "", ""]

    @pytest.mark.parametrize(
        ("line", "why"),
        [
            ("check-config FILE", "unexpected extra argument"),
            ("drain --wait", "No such option"),
            ("image wrong", "no such command"),
            ("delete", "Missing argument"),
        ],
    )
    def test_a_line_that_the_command_would_not_take_is_found(self, line: str, why: str) -> None:
        assert why in refusal(line)

    def test_an_alert_without_a_heading_is_found(self) -> None:
        document = "\n## GitHubRunnersNoneOnline\n\n**Means:** none.\n\n## Others\n\n**Do:** it.\n"
        assert headings(document) == {"GitHubRunnersNoneOnline"}
        assert "it" not in section_of("GitHubRunnersNoneOnline", document)


class TestTheCollector:
    """It finds reasons where they are written, however they get to people."""

    @pytest.mark.parametrize(
        ("source", "found"),
        [
            ('self.publish("failing", "the disk is full")', "the disk is full"),
            ('raise LxdError(f"could not {aim}: {words}") from error', "could not …: …"),
            ('why = "the disk " f"{name} is full"', "the disk … is full"),
            ('def lacks(self):\n    return "" if ok else "no disk is there"', "no disk is there"),
            ('yield f"image: {self.remark} ({size:.1f} MiB)"', "image: … (… MiB)"),
            ('Standing(warnings=(f"{a}{b} is old",))', "… is old"),
            ('logger.opt(exception=e).error("no {} {} is there", a, b)', "no … … is there"),
            ('_log.warning("the disk %s is full", name)', "the disk … is full"),
            ('TEXTS = {Stage.BUSY: "runs its job"}', "runs its job"),
            ('class Fault(Enum):\n    FULL = "the disk is full"', "the disk is full"),
            ("say(f\"{'is full' if full else 'no'}\")", "is full"),
        ],
    )
    def test_a_reason_is_found(self, source: str, found: str) -> None:
        assert collected(source) == [found]

    @pytest.mark.parametrize(
        "source",
        [
            '"""What the module does."""',
            'def look(self):\n    """Look at the disk."""',
            'logger.info("the disk is mounted")',
            'said = logger.bind(runner=name)\nsaid.debug("{} has a disk, {}", name, "a new one")',
            '_WORDS = re.compile("is full|is gone")',
            'state = "failing"',
            'def look(disk: "Disk | None") -> "State | None":\n    state: "State | None" = None',
            'name = f"{installation}-{suffix}"',
            'text += f"; the next try is in {delay} s"',
            'script = "set -e\\ndf -h\\n"',
            'sql = "SELECT * FROM runners WHERE name = ?"',
        ],
    )
    def test_what_is_no_reason_is_not_found(self, source: str) -> None:
        assert collected(source) == []

    @pytest.mark.parametrize(
        ("source", "found"),
        [
            (
                '[ -x run.sh ] || fail "the application has no run.sh"',
                "the application has no run.sh",
            ),
            ("    refuse 'the event is not text' \"$REMEDY\"", "the event is not text"),
            ('fail "the host has ${refused:-gone} within $limit s"', "the host has … within … s"),
            ("reason='the script ended early'", "the script ended early"),
            ('then error("the event has none") else . end', "the event has none"),
            (r"error('it is another'\''s event')", "it is another's event"),
        ],
    )
    def test_what_a_script_ends_with_is_found(self, source: str, found: str) -> None:
        assert list(reasons.texts_in_script(f"#!/bin/sh\n{source}\n")) == [(2, found)]

    @pytest.mark.parametrize("source", ["fail $reason", 'echo "all is well"', "# fail: it ends"])
    def test_what_else_a_script_says_is_not_found(self, source: str) -> None:
        assert list(reasons.texts_in_script(source)) == []

    def test_a_reason_has_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "work").mkdir()
        (tmp_path / "work" / "disk.py").write_text('\nraise DiskError("the disk is full")\n')
        assert reasons.collect(tmp_path) == {"the disk is full": "work/disk.py:2"}

    def test_modules_and_texts_that_are_left_out_by_name_are_not_found(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "cli").mkdir()
        (tmp_path / "cli" / "commands.py").write_text('echo("the disk is full")')
        (tmp_path / "disk.py").write_text('what = "hard link"')
        assert reasons.collect(tmp_path) == {}

    def test_what_is_left_out_by_name_is_still_in_the_source(self) -> None:
        texts = reasons.texts_of(reasons.PACKAGE)
        left_out = [text for group in reasons.NO_REASONS.values() for text in group]
        assert [text for text in left_out if text not in texts] == []
        assert [text for text, count in Counter(left_out).items() if count > 1] == []
