"""What the page says, and that Prometheus can read it whatever is said to us."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from supervisor.config import parse
from supervisor.lifecycle import Job, Life, Stage
from supervisor.metrics.page import metrics
from supervisor.parts import Settings
from supervisor.report import status_report
from supervisor.roster import Entry
from supervisor.supervision import Kind, TreeNode

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
CONFIG = parse({"name": "fleet", "path": "acme", "token": "s", "virtual-machines": 3}, "x")
PREFIX = "github_runner_supervisor_"

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Given(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def node(id_: str, state: str = "ready", *children: TreeNode, **more: Any) -> TreeNode:
    given_ = {"path": f"root/{id_}", "kind": Kind.WORKER, "actor": "A", "alive": True, **more}
    return TreeNode(id=id_, state=state, since=NOW, children=children, **given_)


def entry(name: str, stage: Stage) -> Entry:
    job = Job("acme/secret-project", "build", "7", "push", "test")
    return Entry(name, "g", Life(stage, NOW, "", 7, job))


def page(
    root: TreeNode | None = None, *entries: Entry, draining_since: datetime | None = None
) -> str:
    status = status_report(root, entries, Settings(CONFIG), NOW, draining_since=draining_since)
    registry = CollectorRegistry()
    registry.register(Given(metrics("1.2.3", status, root)))
    return generate_latest(registry).decode()


def read(text: str) -> Samples:
    """Read a page as Prometheus does, which refuses the whole page for one line that is twice."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name.removeprefix(PREFIX), tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


def tokens(**budget: Any) -> TreeNode:
    details = {"credential": "a token", "renewed": False, "expires_at": None, "budget": budget}
    return node("tokens", "ready", details=details)


def tree(*children: TreeNode) -> TreeNode:
    return node("root", "running", *children, path="root", kind=Kind.SUPERVISOR)


LIMIT = {"limit": 5000, "remaining": 4321, "reset_at": "2030-01-01T00:30:00+00:00"}


def test_the_fleet_is_counted_by_stage_and_no_stage_is_ever_absent() -> None:
    samples = read(
        page(None, entry("a", Stage.IDLE), entry("b", Stage.BUSY), entry("c", Stage.BUSY))
    )
    counted = {stage: value(samples, "runners", stage=str(stage)) for stage in Stage}
    assert counted == {**dict.fromkeys(Stage, 0), Stage.IDLE: 1, Stage.BUSY: 2}


def test_online_are_those_that_github_sees() -> None:
    entries = [entry(str(stage), stage) for stage in Stage]
    samples = read(page(None, *entries))
    assert value(samples, "runners_online") == 2
    assert value(samples, "runners_wanted") == 3


def test_a_drain_shows() -> None:
    assert value(read(page()), "draining") == 0
    assert value(read(page(draining_since=NOW)), "draining") == 1


def test_problems_and_warnings_are_counted_as_status_tells_them() -> None:
    sick = node("fleet", "failing", details={"warnings": ("not its own",)})
    warning = node("policy", "ready", details={"healthy": True, "warnings": ("w", "v")})
    samples = read(page(tree(sick, warning), entry("a", Stage.FAILED)))
    assert value(samples, "problems") == 2
    assert value(samples, "warnings") == 2


PARTS = {
    "firewall": node("firewall", "ready", details={"in_place": True, "checks": 1}),
    "github": node("tokens", "ready"),
    "image": node("image", "ready", details={"image": "4c1f9a0b73de"}),
    "policy": node("policy", "ready", details={"healthy": True}),
    "signals": node("signals", "listening"),
    "storage": node("storage", "ready"),
}
FILTERS = node("filters", "ready", details={"checks": 1})


def parts_in_place(*nodes: TreeNode) -> set[str]:
    samples = read(page(tree(*nodes)))
    found = {name[1][0][1]: is_in for name, is_in in samples.items() if name[0] == "part_in_place"}
    assert set(found) == set(PARTS)
    return {part for part, is_in in found.items() if is_in}


def test_what_each_runner_needs_is_in_place_or_not() -> None:
    assert parts_in_place(*PARTS.values(), FILTERS) == set(PARTS)


@pytest.mark.parametrize("part", PARTS)
def test_what_is_missing_is_not_in_place(part: str) -> None:
    others = [one for name, one in PARTS.items() if name != part]
    assert parts_in_place(*others, FILTERS) == set(PARTS) - {part}


@pytest.mark.parametrize("part", PARTS)
def test_what_has_ended_or_fails_is_not_in_place(part: str) -> None:
    others = [one for name, one in PARTS.items() if name != part]
    id_ = PARTS[part].id
    for sick in (node(id_, "failing"), node(id_, "down", alive=False)):
        assert part not in parts_in_place(*others, FILTERS, sick)


def test_without_a_tree_nothing_is_in_place_and_the_page_stands() -> None:
    samples = read(page(None))
    assert not any(is_in for name, is_in in samples.items() if name[0] == "part_in_place")
    assert value(samples, "build_info", version="1.2.3") == 1


def test_githubs_limits_are_told_by_their_names() -> None:
    samples = read(page(tree(tokens(core=LIMIT))))
    assert value(samples, "github_calls_limit", resource="core") == 5000
    assert value(samples, "github_calls_remaining", resource="core") == 4321
    reset = value(samples, "github_calls_reset_timestamp_seconds", resource="core")
    assert datetime.fromtimestamp(reset, timezone.utc).isoformat() == LIMIT["reset_at"]


@given(st.dictionaries(st.text(max_size=60), st.just(LIMIT), max_size=30))
def test_whatever_an_answer_calls_its_limits_the_page_can_be_read(budget: dict[str, Any]) -> None:
    samples = read(page(tree(tokens(**budget))))
    names = [key[1][0][1] for key in samples if key[0] == "github_calls_limit"]
    assert len(names) <= 20
    assert all(len(name) <= 40 for name in names)


def test_names_of_limits_that_begin_alike_are_told_once() -> None:
    samples = read(page(tree(tokens(**{"x" * 40: LIMIT, "x" * 50: LIMIT}))))
    assert value(samples, "github_calls_limit", resource="x" * 40) == 5000


def test_actors_tell_their_restarts_and_what_waits_for_them() -> None:
    core = node("core", "running", node("fleet", restarts=3, mailbox=2), restarts=1)
    samples = read(page(tree(core)))
    assert value(samples, "actor_restarts_total", actor="core") == 1
    assert value(samples, "actor_restarts_total", actor="fleet") == 3
    assert value(samples, "actor_mailbox_messages", actor="fleet") == 2


def test_runners_actors_are_one_line_whose_number_is_the_fullest_ones() -> None:
    runners = [
        node(f"fleet-{number}", path=f"root/core/runners/fleet-{number}", mailbox=number)
        for number in range(50)
    ]
    text = page(tree(node("runners", "running", *runners, path="root/core/runners")))
    assert value(read(text), "actor_mailbox_messages", actor="runner") == 49
    assert "fleet-7" not in text


def test_no_line_is_about_one_runner_or_one_job() -> None:
    few = page(None, entry("a-name", Stage.BUSY))
    many = page(None, *(entry(f"a-name-{number}", Stage.BUSY) for number in range(100)))
    assert len(few.splitlines()) == len(many.splitlines())
    assert not re.search(r"a-name|secret-project|build\b(?!_info)", many.replace("_build_", ""))


def test_names_keep_to_prometheus_conventions() -> None:
    for family in text_string_to_metric_families(page(tree(tokens(core=LIMIT)))):
        assert family.name.startswith(PREFIX)
        assert family.documentation.endswith(".")
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")


def test_the_document_tells_of_every_metric_with_its_labels_and_of_no_other() -> None:
    samples = read(page(tree(tokens(core=LIMIT))))
    told = {}
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if match := re.match(rf"\| `{PREFIX}(\w+)` \| ([^|]*)\|", line):
            told[match[1]] = set(re.findall(r"`(\w+)`", match[2]))
    assert told == {name: {key for key, _ in labels} for name, labels in samples}
