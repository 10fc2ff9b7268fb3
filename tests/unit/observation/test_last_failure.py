from __future__ import annotations

from datetime import datetime, timezone

from supervisor.observation.feed import Feed, Kind, Record
from supervisor.observation.last_failure import Failure, LastFailure

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


def failed(name: str, kind: Kind = Kind.RUNNER, before: str = "booting") -> Record:
    details = {"failed_in": before}
    return Record(NOW, kind, name, "failed", before, f"{name} was too slow", details=details)


def test_the_runner_that_failed_last_is_known_when_it_is_gone() -> None:
    feed = Feed()
    last = LastFailure(feed)
    assert last.known is None
    feed.tell(failed("a"))
    feed.tell(failed("b"))
    feed.tell(Record(NOW, Kind.RUNNER, "b", "deleted", "failed"))
    assert last.known == Failure("b", NOW, "b was too slow", "booting")


def test_of_one_that_has_failed_already_it_is_the_first_reason_that_counts() -> None:
    feed = Feed()
    last = LastFailure(feed)
    feed.tell(failed("a"))
    feed.tell(failed("a", before="failed"))
    assert last.known is not None
    assert last.known.stage == "booting"


def test_an_actor_that_fails_is_no_runner() -> None:
    feed = Feed()
    last = LastFailure(feed)
    feed.tell(failed("image", kind=Kind.ACTOR))
    assert last.known is None
