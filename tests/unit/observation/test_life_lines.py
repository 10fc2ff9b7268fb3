from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

import pytest
from loguru import logger

from supervisor.lifecycle import Job
from supervisor.observation import life_lines, log
from supervisor.observation.feed import Kind, Record

Lines = Callable[[], list[dict[str, Any]]]

JOB = asdict(Job("acme/demo", "CI", name="build"))


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level} {extra[runner]} {message}")
    yield lines
    logger.remove(sink)


def step(
    before: str, state: str, reason: str, job: Any = None, kind: Kind = Kind.RUNNER, **more: Any
) -> Record:
    at = datetime(2026, 1, 1, tzinfo=timezone.utc)
    return Record(at, kind, "a", state, before, reason, details={"job": job, **more})


def test_the_end_of_a_life_is_said_with_its_job(said: list[str]) -> None:
    life_lines.tell(step("finished", "deleted", "its job ended", JOB, lived_s=62.0), 0.0)
    life_lines.tell(step("retiring", "deleted", "it is too old"), 0.0)
    assert said == [
        "INFO a deleted after 1m02s: its job ended (acme/demo CI build)\n",
        "INFO a deleted: it is too old\n",
    ]


def test_an_end_that_nobody_has_seen_is_said_with_its_job(said: list[str]) -> None:
    life_lines.tell_end(step("busy", "gone", "its end was not seen", JOB))
    assert said == ["INFO a gone: its end was not seen (acme/demo CI build)\n"]


def test_it_is_said_in_the_name_of_nobody_who_happens_to_pass_it_on(lines: Lines) -> None:
    with logger.contextualize(actor="root/control", runner="another"):
        life_lines.tell(step("finished", "deleted", "its job ended", JOB), 0.0)
    (line,) = lines()
    assert (line["actor"], line["runner"]) == ("", "a")


def test_none_is_taken_for_the_repetition_of_another(lines: Lines) -> None:
    for _ in range(100):
        life_lines.tell(step("finished", "deleted", "its job ended", JOB), 0.0)
    assert len(lines()) == 100


def test_other_stages_and_what_else_becomes_known_are_not_said(said: list[str]) -> None:
    life_lines.tell(step("booting", "ready", "its guest is ready"), 0.0)
    life_lines.tell(step("idle", "busy", "runs its job", JOB), 0.0)
    life_lines.tell(step("deleted", "deleted", "its job ended", JOB), 0.0)
    life_lines.tell(step("", "deleted", "by order", kind=Kind.ACTOR), 0.0)
    assert said == []


def test_nothing_is_said_where_its_level_is_not_written(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "is_written", lambda level: level != "INFO")
    life_lines.tell(step("finished", "deleted", "its job ended", JOB), 0.0)
    assert said == []
