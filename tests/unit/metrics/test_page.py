"""What the page says, and that Prometheus can read it whatever is said to us."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from metrics_page import (
    COUNT,
    LIMIT,
    MEMORY,
    NOW,
    all_calls,
    firewall,
    image,
    node,
    page,
    runner,
    standing,
    storage,
    tokens,
    tree,
    upgrades,
    whole_page,
    whole_tree,
)  # fmt: skip
from prometheus import promtool
from prometheus_client.parser import text_string_to_metric_families

from supervisor.firewall import names
from supervisor.lifecycle import Job, Life, Stage
from supervisor.metrics import PREFIX
from supervisor.metrics.classes import FAILURES
from supervisor.metrics.counters import Counters
from supervisor.observation.feed import Feed
from supervisor.runners.roster import Entry
from supervisor.supervision import TreeNode

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
MOST_SERIES = 650

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def entry(name: str, stage: Stage) -> Entry:
    job = Job("acme/secret-project", "build", "7", "push", "test")
    return Entry(name, "g", Life(stage, NOW, "", 7, job))


def read(text: str) -> Samples:
    """Read a page as Prometheus does, which refuses the whole page for one line that is twice."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name.removeprefix(f"{PREFIX}_"), tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


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


def test_a_drain_shows_and_when_it_was_ordered() -> None:
    ordered_at = NOW - timedelta(hours=25)
    samples = read(page(draining_since=ordered_at))
    assert value(samples, "draining") == 1
    assert value(samples, "drain_timestamp_seconds") == ordered_at.timestamp()


def test_a_shortage_shows_since_when_status_tells_of_it() -> None:
    since = NOW - timedelta(minutes=12)
    fleet = node("fleet", details={"short_since": since.isoformat()})
    assert value(read(page(tree(fleet))), "shortage_timestamp_seconds") == since.timestamp()


def test_without_a_drain_or_a_shortage_there_is_no_moment_of_one() -> None:
    samples = read(page(tree(node("fleet", details={"short_since": None}))))
    assert value(samples, "draining") == 0
    assert not {"drain_timestamp_seconds", "shortage_timestamp_seconds"} & {
        name for name, _ in samples
    }


def test_problems_and_warnings_are_counted_as_status_tells_them() -> None:
    sick = node("fleet", "failing")
    warning = node("policy", "ready", details={"healthy": True, "warnings": ("w", "v")})
    samples = read(page(tree(sick, warning), entry("a", Stage.FAILED)))
    assert value(samples, "problems") == 2
    assert value(samples, "warnings") == 2


@pytest.mark.parametrize(
    ("sick", "word"),
    [
        ((), "ok"),
        ((node("events", "failing"),), "degraded"),
        ((node("fleet", "failing"),), "failing"),
    ],
)
def test_how_the_fleet_is_in_a_word_shows(sick: tuple[TreeNode, ...], word: str) -> None:
    samples = read(page(tree(*sick)))
    told = {state: value(samples, "health", state=state) for state in ("ok", "degraded", "failing")}
    assert {state for state, is_so in told.items() if is_so} == {word}


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
        node(f"fleet-{number}", path=f"root/core/runners/fleet-{number}", mailbox=waiting)
        for number, waiting in enumerate((3, 49, 7))
    ]
    text = page(tree(node("runners", "running", *runners, path="root/core/runners")))
    assert value(read(text), "actor_mailbox_messages", actor="runner") == 49
    assert "fleet-7" not in text


def test_no_line_is_about_one_runner_or_one_job() -> None:
    few = page(None, entry("a-name", Stage.BUSY))
    many = page(None, *(entry(f"a-name-{number}", Stage.BUSY) for number in range(100)))
    assert len(few.splitlines()) == len(many.splitlines())
    assert not re.search(r"a-name|secret-project|build\b(?!_info)", many.replace("_build_", ""))


def test_what_guests_were_refused_is_told_by_its_reason() -> None:
    samples = read(page(tree(firewall())))
    for reason in names.COUNTERS:
        assert value(samples, "firewall_rejected_packets_total", reason=reason) == COUNT["packets"]
        assert value(samples, "firewall_rejected_bytes_total", reason=reason) == COUNT["bytes"]
    assert value(samples, "firewall_repairs_total") == 2


def test_what_is_kept_current_tells_when_it_was_looked_at_and_how_it_is() -> None:
    heard_at = NOW + timedelta(hours=1)
    old = standing(
        "policy package", latest="2.2", latest_since=heard_at, warning="no newer one can be had"
    )
    host = standing("host", latest=None, checked_at=None, error="a kernel")
    samples = read(page(tree(upgrades(standing(installed_at=NOW), old, host))))
    shown = {
        name: {labels[0][1]: number for (one, labels), number in samples.items() if one == name}
        for name in (
            "upgrade_check_timestamp_seconds", "upgrade_installed_timestamp_seconds",
            "upgrade_outdated_timestamp_seconds", "upgrade_current", "upgrade_failing",
        )
    }  # fmt: skip
    assert shown == {
        "upgrade_check_timestamp_seconds": {
            "runner_application": NOW.timestamp(), "policy_package": NOW.timestamp(),
        },
        "upgrade_installed_timestamp_seconds": {"runner_application": NOW.timestamp()},
        "upgrade_outdated_timestamp_seconds": {"policy_package": heard_at.timestamp()},
        "upgrade_current": {"runner_application": 1, "policy_package": 0},
        "upgrade_failing": {"runner_application": 0, "policy_package": 1, "host": 1},
    }  # fmt: skip


def test_the_image_in_use_tells_when_it_was_built() -> None:
    samples = read(page(tree(image("2029-12-31T00:00:00+00:00"))))
    told = value(samples, "image_build_timestamp_seconds")
    assert told == (NOW - timedelta(days=1)).timestamp()


def test_memory_and_pool_are_told_in_bytes() -> None:
    samples = read(page(tree(storage(10, 100))))
    assert value(samples, "host_memory_total_bytes") == MEMORY.total
    assert value(samples, "host_memory_available_bytes") == MEMORY.available
    assert value(samples, "pool_used_bytes") == 10
    assert value(samples, "pool_total_bytes") == 100


def test_what_the_journal_has_lost_is_told_also_while_its_actor_is_away() -> None:
    assert value(read(page(None)), "journal_lost_records_total") == 0
    away = tree(node("journal", "down", alive=False))
    assert value(read(page(away, lost_records=3)), "journal_lost_records_total") == 3


def test_spans_that_are_lost_are_counted_from_zero() -> None:
    assert value(read(page()), "traces_lost_spans_total") == 0
    assert value(read(page(lost_spans=7)), "traces_lost_spans_total") == 7


@pytest.mark.parametrize("fails", [True, False])
def test_whether_the_journal_can_be_written_is_told_by_its_writer_and_not_by_its_actor(
    fails: bool,
) -> None:
    for state, alive in (("recording", True), ("failing", True), ("down", False)):
        root = tree(node("journal", state, alive=alive))
        assert value(read(page(root, journal_fails=fails)), "journal_failing") == fails


def test_what_is_not_known_is_not_told() -> None:
    told = {name for name, _ in read(page(None, memory=None))}
    assert not told & {
        "firewall_rejected_packets_total", "host_memory_total_bytes", "pool_total_bytes",
        "image_build_timestamp_seconds", "upgrade_failing",
    }  # fmt: skip


def test_promtool_has_no_complaint_of_the_whole_page() -> None:
    assert promtool("check", "metrics", told=whole_page()) == ""


def test_promtool_complains_where_there_is_cause() -> None:
    assert "counter" in promtool("check", "metrics", told="# HELP a B.\n# TYPE a counter\na 1\n")


@given(st.lists(st.tuples(*[st.text(max_size=50)] * 6), max_size=20))
def test_whatever_jobs_and_runners_say_the_page_has_no_more_series(
    said: list[tuple[str, ...]],
) -> None:
    feed = Feed()
    counters = Counters(feed)
    all_calls(counters)
    before = len(read(page(whole_tree(), counters=counters)))
    for name, stage, reason, result, event, repository in said:
        job = {"result": result, "event": event, "repository": repository}
        feed.tell(runner("failed", stage, name, reason=reason, failed_in=stage))
        feed.tell(runner("deleted", "busy", name, job=job))
    assert len(read(page(whole_tree(), counters=counters))) == before < MOST_SERIES


def test_names_keep_to_prometheus_conventions() -> None:
    for family in text_string_to_metric_families(whole_page()):
        if family.name.startswith("process_"):
            continue
        assert family.name.startswith(f"{PREFIX}_")
        assert family.documentation.endswith(".")
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")


def test_the_document_tells_of_every_metric_with_its_labels_and_of_no_other() -> None:
    told = {}
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if match := re.match(rf"\| `{PREFIX}_(\w+)` \| ([^|]*)\|", line):
            told[match[1]] = set(re.findall(r"`(\w+)`", match[2]))
    shown: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(whole_page()):
        is_histogram = family.type == "histogram"
        for sample in family.samples:
            name = family.name if is_histogram else sample.name
            if name.startswith(PREFIX):
                shown.setdefault(name.removeprefix(f"{PREFIX}_"), set()).update(
                    set(sample.labels) - {"le"}
                )
    assert told == shown


def test_the_document_tells_of_every_class_of_reasons() -> None:
    text = DOCUMENT.read_text(encoding="utf-8").partition("### Reasons")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == sorted(FAILURES)
