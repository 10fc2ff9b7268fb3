"""The metric events that the journal's writer writes, also where the journal can't be."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from journal_records import NOW, reconcile, step, waited
from metric_logs import events_in
from waiting import LIMIT_S, eventually

from supervisor.gateways.metric_log import MetricLog
from supervisor.observation.awaited_jobs import PATIENCE_S
from tests.integration.gateways.journal.stand import Stand, courses, locked, running, worked


def test_metric_events_are_written_though_the_journal_can_not_be(path: Path) -> None:
    log = path.with_name("metrics.log")
    with running(path, metric_log=MetricLog(log, 1 << 20)) as stand:
        stand.inbox.take(reconcile(0))
        eventually(stand.told)
        with locked(path):
            stand.inbox.take(reconcile(1))
            eventually(stand.fault)
            stand.inbox.take(reconcile(2))
            eventually(lambda: len(events_in(log)) == 3)
            assert stand.fault()
            assert len(stand.told()) == 1
        eventually(lambda: len(stand.told()) == 3)
        told = events_in(log)
        assert [event["timestamp"] - NOW.timestamp() for event in told] == [0, 1, 2]


def test_metric_events_are_written_though_the_journal_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "nowhere").touch()
    log = tmp_path / "metrics.log"
    path = tmp_path / "nowhere" / "journal.sqlite"
    with running(path, room=2, metric_log=MetricLog(log, 1 << 20)) as stand:
        for told in range(1, 6):  # also when there is no room for more that the journal can't write
            stand.inbox.take(reconcile(told))
            eventually(lambda told=told: len(events_in(log)) == told)
        assert stand.fault()
        assert stand.inbox.lost == 3


def test_one_that_an_earlier_daemon_has_begun_is_installed_for_the_metric_log_too(
    path: Path,
) -> None:
    log = path.with_name("metrics.log")
    with running(path) as stand:
        stand.inbox.take(step(0, "", "requested"))
    stand = Stand(path, metric_log=MetricLog(log, 1 << 20))
    stand.inbox.take(step(30, "", "ready", adopted=True))
    stand.start()
    stand.writer.stop(LIMIT_S)
    assert [(one["event"], one["duration"]) for one in events_in(log)] == [
        ("runner_installed", 30.0)
    ]


def test_a_metric_event_that_is_no_json_is_the_only_one_lost_and_is_said(path: Path) -> None:
    log = path.with_name("metrics.log")
    odd = reconcile(0)
    odd = odd._replace(details={**odd.details, "idle": object()})
    with running(path, metric_log=MetricLog(log, 1 << 20)) as stand:
        stand.inbox.take(odd)
        eventually(lambda: stand.stood and "TypeError" in stand.stood[-1].log_fault)
        stand.inbox.take(reconcile(1))
        eventually(lambda: not stand.stood[-1].log_fault)
        eventually(lambda: stand.told() == ["fleet", "fleet"])
    assert [event["timestamp"] - NOW.timestamp() for event in events_in(log)] == [1]
    assert stand.inbox.lost == 0


def test_a_course_is_written_though_no_metric_event_can_be_made_of_its_change(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: object) -> list[Any]:
        raise RuntimeError("a fault")

    with running(path, metric_log=MetricLog(path.with_name("metrics.log"), 1 << 20)) as stand:
        for what in ("metric_events", "overdue", "rest"):
            monkeypatch.setattr(stand.writer._backlog._digest, what, fail)
        stand.inbox.take(step(0, "", "requested"))
    assert [course.stage for course in courses(path)] == ["requested"]
    assert stand.inbox.lost == 0


def test_a_jobs_metric_events_wait_for_what_github_tells_of_it(path: Path, tmp_path: Path) -> None:
    log = tmp_path / "metrics.log"
    with running(path, metric_log=MetricLog(log, 1 << 20)) as stand:
        worked(stand.inbox)
        eventually(lambda: len(stand.told()) == 5)
        assert waits_in(log) == {"runner_installed": None}
        stand.inbox.take(waited(102, 12.0))
        eventually(lambda: len(waits_in(log)) == 3)
        assert waits_in(log)["runner_start"] == 12.0


def test_a_jobs_metric_events_are_written_without_at_an_orderly_end(
    path: Path, tmp_path: Path
) -> None:
    log = tmp_path / "metrics.log"
    with running(path, metric_log=MetricLog(log, 1 << 20)) as stand:
        worked(stand.inbox)
    assert waits_in(log) == dict.fromkeys(("runner_installed", "runner_start", "runner_stop"))


def test_a_jobs_metric_events_are_written_without_after_a_minute(
    path: Path, tmp_path: Path
) -> None:
    log = tmp_path / "metrics.log"
    seconds = [0.0]
    metric_log = MetricLog(log, 1 << 20)
    with running(path, metric_log=metric_log, elapsed=lambda: seconds[0]) as stand:
        worked(stand.inbox)
        eventually(lambda: len(stand.told()) == 5)
        seconds[0] += PATIENCE_S
        eventually(lambda: len(waits_in(log)) == 3)


def waits_in(log: Path) -> dict[str, float | None]:
    """Name the metric events of a log, and how long the job had waited as they say."""
    return {event["event"]: event.get("queue_duration") for event in events_in(log)}


def test_a_metric_log_that_can_not_be_written_is_said_and_the_journal_goes_on(
    path: Path, tmp_path: Path
) -> None:
    metric_log = MetricLog(tmp_path / "nowhere" / "metrics.log", 1 << 20)
    with running(path, metric_log=metric_log) as stand:
        stand.inbox.take(reconcile(0))
        eventually(lambda: stand.told() == ["fleet"])
        eventually(lambda: stand.stood)
        assert "No such file or directory" in stand.stood[-1].log_fault
        (tmp_path / "nowhere").mkdir()
        stand.inbox.take(reconcile(0))
        eventually(lambda: not stand.stood[-1].log_fault)


@contextmanager
def held_metric_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Have each write of a metric log hang meanwhile; give what is set when one does."""
    hangs, goes_on, write = threading.Event(), threading.Event(), MetricLog.write

    def hang(log: MetricLog, *given: Any) -> str:
        hangs.set()
        goes_on.wait(LIMIT_S)
        return write(log, *given)

    monkeypatch.setattr(MetricLog, "write", hang)
    try:
        yield hangs
    finally:
        goes_on.set()


def test_a_metric_log_that_hangs_is_named_and_what_was_told_before_is_in_the_journal(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, seconds = path.with_name("metrics.log"), [0.0]
    with (
        running(path, metric_log=MetricLog(log, 1 << 20), elapsed=lambda: seconds[0]) as stand,
        held_metric_log(monkeypatch) as hangs,
    ):
        stand.inbox.take(reconcile(0))
        stand.inbox.catch_up(LIMIT_S)
        assert stand.told() == ["fleet"]
        assert hangs.wait(LIMIT_S)
        assert stand.writer.fault == ""
        seconds[0] += 10
        hung = f"it waits for the metric log: {log}: no answer within 10 s"
        eventually(lambda: stand.writer.fault == hung)
    assert len(events_in(log)) == 1


def test_a_metric_log_that_hangs_at_the_end_is_named_where_the_journal_lacks_what_came_since(
    path: Path, warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = path.with_name("metrics.log")
    with (
        running(path, metric_log=MetricLog(log, 1 << 20)) as stand,
        held_metric_log(monkeypatch) as hangs,
    ):
        stand.inbox.take(reconcile(0))
        assert hangs.wait(LIMIT_S)
        stand.inbox.take(reconcile(1))
        stand.writer.stop(limit_s=0.01)
        why = f"it waits for the metric log: {log}: a write does not end"
        assert warned == [f"the journal lacks 1 events of this daemon: {why}\n"]
    assert len(events_in(log)) == 2
