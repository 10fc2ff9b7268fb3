from __future__ import annotations

from datetime import datetime, timedelta, timezone

from sandbox.github.budget import Bucket, Limits, Points, resource_of

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def test_a_bucket_gives_what_it_has_and_then_refuses() -> None:
    bucket = Bucket(2)
    assert [bucket.spend(NOW) for _ in range(3)] == [True, True, False]
    assert bucket.document(NOW)["remaining"] == 0


def test_a_bucket_is_full_again_after_an_hour() -> None:
    bucket = Bucket(1)
    bucket.spend(NOW)
    assert not bucket.spend(NOW + timedelta(minutes=59))
    assert bucket.spend(NOW + timedelta(hours=1))


def test_a_refund_never_gives_more_than_was_spent() -> None:
    bucket = Bucket(1)
    bucket.refund()
    assert bucket.document(NOW)["remaining"] == 1


def test_the_window_ends_when_it_says() -> None:
    bucket = Bucket(1)
    bucket.spend(NOW)
    later = bucket.document(NOW + timedelta(minutes=30))
    assert later["reset"] == int((NOW + timedelta(hours=1)).timestamp())


def test_registrations_are_counted_apart() -> None:
    assert resource_of("/orgs/a/actions/runners/registration-token") == (
        "actions_runner_registration"
    )
    assert resource_of("/orgs/a/actions/runners") == "core"


def test_writing_costs_five_times_what_reading_costs() -> None:
    points = Points(11)
    assert [points.spend(method, NOW) for method in ("GET", "POST", "DELETE")] == [None] * 3
    assert points.spend("GET", NOW + timedelta(seconds=59.5)) == 1


def test_points_are_renewed_after_a_minute() -> None:
    points = Points(5)
    assert points.spend("POST", NOW) is None
    assert points.spend("POST", NOW) == 60
    assert points.spend("POST", NOW + timedelta(minutes=1)) is None


def test_without_limits_there_is_nothing_to_count() -> None:
    budget = Limits(None).budget()
    assert (budget.buckets, budget.points) == ({}, None)
