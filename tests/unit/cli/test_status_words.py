"""What `status` says of a fleet, line by line."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from supervisor.cli.status_words import status_lines
from supervisor.lifecycle import Stage

NOW = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)
SOUND: dict[str, Any] = {
    "health": "ok", "name": "fleet", "path": "acme", "wanted": 5, "present": 3,
    "draining_since": None, "short_since": None, "last_failure": None,
    "stages": {"idle": 1, "busy": 2, "booting": 1, "creating": 1, "finished": 1},
    "fleet": {"state": "keeping", "reason": "", "since": "2030-01-01T10:00:00+00:00"},
    "parts": {
        "firewall": {"in_place": True, "state": "ready", "reason": "it guards br0"},
        "image": {"in_place": True, "state": "ready", "reason": "1a1a1a is of 2029-12-31"},
        "storage": {"in_place": True, "state": "ready", "reason": "pool p: 1 GiB of 9 are used"},
    },
    "memory": {"total": 24 * 1024**3, "available": 15 * 1024**3},
    "upgrades": {"state": "ready", "reason": "2.400.0 is the latest"},
    "github": {"url": "https://github.com"}, "former_places": [],
    "problems": [], "remedies": [], "warnings": [],
}  # fmt: skip


def lines(**changes: Any) -> list[str]:
    return list(status_lines({**SOUND, **changes}, NOW))


def test_a_sound_fleet_is_told_in_a_few_lines() -> None:
    assert lines() == [
        "fleet for acme: ok",
        "3 of 5 runners are there (1 idle, 2 busy, 2 coming, 1 going)",
        "keeping since 2030-01-01 10:00 UTC",
        "in place: firewall, image, storage",
        "image: 1a1a1a is of 2029-12-31",
        "storage: pool p: 1 GiB of 9 are used",
        "host: 15 GiB of 24 GiB memory are free",
        "upgrades: 2.400.0 is the latest",
        "https://github.com: not asked yet",
        "nothing is wrong",
    ]


def test_what_is_not_in_place_is_told_with_the_reason() -> None:
    image = {"in_place": False, "state": "building", "reason": "it is being built"}
    told = lines(parts={**SOUND["parts"], "image": image})
    assert "in place: firewall, storage" in told
    assert "NOT in place: image: it is being built" in told
    assert "image: it is being built" not in told


def test_the_last_failure_is_told_with_its_age_stage_and_reason() -> None:
    failure = {
        "runner": "fleet-a", "at": "2030-01-01T09:00:00+00:00", "stage": "booting",
        "reason": "took too\nlong",
    }  # fmt: skip
    told = "the last failure was 3h ago: fleet-a while booting: took too long"
    assert told in lines(last_failure=failure)
    assert "the last failure was 3h ago: fleet-a: no" in lines(
        last_failure={**failure, "stage": "", "reason": "no"}
    )


def test_a_shortage_is_told_from_its_beginning_on() -> None:
    since = "2030-01-01T11:55:00+00:00"
    assert "fewer runners than wanted since 2030-01-01 11:55 UTC" in lines(short_since=since)


def test_each_problem_is_followed_by_its_remedy() -> None:
    told = lines(problems=["a: b", "c: d"], remedies=["do this", "do that"])
    assert told[-4:] == [
        "problem: a: b", "  what to do: do this", "problem: c: d", "  what to do: do that",
    ]  # fmt: skip


def test_a_warning_is_no_problem_and_nobody_says_that_nothing_is_wrong() -> None:
    assert lines(warnings=["a: b"])[-2:] == [
        "warning: a: b", "no problem: what is warned of costs no runner",
    ]  # fmt: skip


def test_beside_a_problem_a_warning_stands_as_it_is() -> None:
    assert lines(problems=["a: b"], warnings=["c: d"])[-2:] == ["problem: a: b", "warning: c: d"]


def test_a_fleet_without_runners_says_so() -> None:
    assert lines(present=0, stages={})[1] == "0 of 5 runners are there (none at all)"


def test_a_runner_at_any_stage_counts_in_one_group() -> None:
    stages = {str(stage): 1 for stage in Stage if stage is not Stage.DELETED}
    told = "1 idle, 1 busy, 1 ready, 3 coming, 2 going, 1 failed"
    assert any(f"({told})" in line for line in lines(stages=stages))
