"""What may be asked of the journal, and what is said of a question that can't be answered."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from supervisor.journal import Event, EventsQuestion, HistoryQuestion
from supervisor.observation.feed import Kind, Record

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


def test_nothing_given_asks_for_the_newest() -> None:
    question = EventsQuestion.parse({})
    assert (question.newest, question.limit) == (True, 100)


def test_all_can_be_given() -> None:
    given = {"after": "7", "since": "2030-01-01T00:00:00Z", "runner": "a", "limit": "9"}
    question = EventsQuestion.parse({**given, "kind": "runner"})
    assert question == EventsQuestion(7, NOW, "a", Kind.RUNNER, 9)
    assert not question.newest


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"after": "-1"}, "after: must be a whole number from 0 to"),
        ({"after": "1e3"}, "after: must be"),
        ({"after": "٣"}, "after: must be"),
        ({"after": str(2**63)}, "after: must be"),
        ({"limit": "0"}, "limit: must be a whole number from 1 to 1000"),
        ({"limit": "1001"}, "limit: must be"),
        ({"since": "yesterday"}, "since: must be a moment with its time zone"),
        ({"since": "2030-01-01T00:00:00"}, "since: must be"),
        ({"kind": "nonsense"}, "kind: must be one of runner, actor, order, reconcile, decision"),
    ],
)
def test_a_question_with_a_fault_says_what_would_be_right(
    given: dict[str, str], fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        EventsQuestion.parse(given)


def test_a_history_may_be_longer_than_a_list_of_events() -> None:
    assert HistoryQuestion.parse({"limit": "10000"}).limit == 10_000
    with pytest.raises(ValueError, match="limit: must be a whole number from 1 to 10000"):
        HistoryQuestion.parse({"limit": "10001"})


def test_an_event_is_told_in_json() -> None:
    record = Record(NOW, Kind.RUNNER, "a", "busy", "idle", "why", 1.5, {"job": None})
    assert json.loads(json.dumps(Event(3, record).as_json())) == {
        "id": 3, "at": "2030-01-01T00:00:00+00:00", "kind": "runner", "subject": "a",
        "state": "busy", "before": "idle", "reason": "why", "lasted_s": 1.5,
        "details": {"job": None},
    }  # fmt: skip
