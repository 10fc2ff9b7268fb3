"""What the screen shows of what the daemon says."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli.journal_words import event_line
from supervisor.cli.top.model import ActorWord, View, event_lines, matching, view_of
from supervisor.cli.top.source import NO_JOURNAL, Answers, Silence

NOW = datetime(2020, 1, 1, 0, 5, tzinfo=timezone.utc)
SINCE = "2020-01-01T00:00:00Z"


def status(**changes: Any) -> dict[str, Any]:
    return {
        "health": "ok", "name": "fleet", "path": "acme", "wanted": 3, "present": 2,
        "stages": {"idle": 1, "busy": 1}, "draining_since": None, "problems": [], "warnings": [],
        "github": {"url": "https://github.com"}, **changes,
    }  # fmt: skip


def node(id_: str, *children: dict[str, Any], state: str = "ready", restarts: int = 0) -> Any:
    return {
        "id": id_, "kind": "supervisor" if children else "worker", "state": state,
        "restarts": restarts, "children": list(children),
    }  # fmt: skip


def runner(name: str, stage: str, reason: str = "") -> dict[str, Any]:
    return {"name": name, "stage": stage, "since": SINCE, "reason": reason, "job": None}


ANSWERS = Answers(status=status(), tree=None, runners=[], events=NO_JOURNAL)


def view(**changes: Any) -> View:
    return view_of(replace(ANSWERS, **changes), NOW)


def test_failed_runners_come_first_and_finished_ones_last() -> None:
    stages = ["finished", "idle", "failed", "busy", "idle", "of another day"]
    found = view(runners=[runner(f"r{n}", stage) for n, stage in enumerate(stages)]).runners
    assert [row.name for row in found] == ["r2", "r3", "r1", "r4", "r0", "r5"]


def test_a_runner_is_told_with_its_age_and_job() -> None:
    job = {"repository": "acme/demo", "workflow": "ci", "name": "test"}
    (row,) = view(runners=[{**runner("a", "busy", "runs its job"), "job": job}]).runners
    assert str(row) == "a: busy for 5m; acme/demo ci test; runs its job"


def test_an_observer_that_is_warned_of_is_in_trouble_and_another_is_not() -> None:
    found = view(
        tree=node("root", node("journal", state="failing"), node("policy")),
        status=status(warnings=["policy: off", "journal: failing: x"]),
    ).actors
    assert found == (
        ActorWord("! journal failing", sound=False),
        ActorWord("policy ready", sound=True),
    )


def test_a_filter_looks_at_all_that_is_told_of_a_runner() -> None:
    rows = view(runners=[runner("a", "idle"), runner("b", "failed", "No disk")]).runners
    assert [row.name for row in matching(rows, "no DISK")] == ["b"]
    assert [row.name for row in matching(rows, "idle")] == ["a"]
    assert list(matching(rows, "")) == list(rows)


def test_actors_in_trouble_are_marked_and_runners_own_are_left_out() -> None:
    tree = node("root", node("core", node("runners", node("fleet-a")), node("image", restarts=2)))
    found = view(tree=tree, status=status(problems=["image: failing: no"])).actors
    assert found == (ActorWord("! image ready (2 restarts)", sound=False),)


def test_a_supervisor_is_named_only_in_trouble() -> None:
    tree = node("root", node("core", node("image"), state="down"))
    found = view(tree=tree, status=status(problems=["core: is down: killed"])).actors
    assert [actor.text for actor in found] == ["! core down", "image ready"]


def test_the_limit_that_most_calls_count_against_comes_first() -> None:
    bucket = {"limit": 9, "remaining": 8, "reset_at": SINCE}
    github = {"url": "", "budget": {"actions_runner_registration": bucket, "core": bucket}}
    assert view(status=status(github=github)).budget.startswith("core: 8 of 9")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "nothing is wrong"),
        ({"problems": ["a: b"]}, "problem: a: b; `supervisor-cli status` says what to do"),
        ({"problems": ["a: b", "c"]}, "2 problems, the first: a: b; `supervisor-cli status` says"),
        ({"warnings": ["nearly full"]}, "warning: nearly full"),
        ({"draining_since": "2020-01-01T00:00:00"}, "draining since 2020-01-01 00:00: no runner"),
    ],
)
def test_trouble_is_told_in_a_line(changes: dict[str, Any], told: str) -> None:
    assert view(status=status(**changes)).trouble.startswith(told)


def test_a_limit_that_github_does_not_set_is_told_too() -> None:
    assert view().budget == "https://github.com: sets no limit, or was not asked"


def test_a_daemon_without_a_journal_has_no_events() -> None:
    assert view().events == ("no journal",)
    assert event_lines([]) == ()


def test_a_journal_that_can_not_be_read_is_told_in_a_line() -> None:
    refusal = Silence("the journal can't be read: is damaged:\nx")
    assert event_lines(refusal) == ("the journal can't be read: is damaged: x",)


def test_an_event_is_told_in_the_words_of_events() -> None:
    told = {
        "at": "2020-01-01T12:34:56.789+00:00", "kind": "runner", "subject": "a", "state": "idle",
        "before": "ready", "reason": "GitHub\nsays so", "lasted_s": 3.0, "details": {},
    }  # fmt: skip
    assert event_lines([told]) == (event_line(told),)


@given(st.text(), st.text(), st.text())
def test_whatever_others_say_is_one_line_that_is_safe_to_print(
    name: str, stage: str, words: str
) -> None:
    job = dict.fromkeys(("repository", "workflow", "name"), words)
    told = {
        "at": SINCE, "kind": words, "subject": name, "state": stage, "before": words,
        "reason": words, "lasted_s": 1.0, "details": {"job": {**job, "result": words}},
    }  # fmt: skip
    found = view(
        status=status(problems=[words], warnings=[words], path=words),
        tree=node(name, state=stage),
        runners=[{**runner(name, stage, words), "job": job}],
        events=[told],
    )
    rows = [cell for row in found.runners for cell in (row.name, row.stage, row.job, row.reason)]
    texts = [found.headline, found.numbers, found.budget, found.trouble, *rows, *found.events]
    assert all(text.isprintable() for text in (*texts, *(actor.text for actor in found.actors)))
