"""What the control socket answers from the journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import pytest
from fake_world import World
from flask.testing import FlaskClient
from journal_records import JOB, NAME, at, step

from supervisor.control import make_app
from supervisor.gateways.journal_store import JournalStore
from supervisor.journal import Courses
from supervisor.observation.feed import Kind, Record

MakeWorld = Callable[..., World]


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world()


@pytest.fixture
def client(world: World) -> FlaskClient:
    return make_app(world.system, world.parts, debug=False).test_client()


def fill(world: World) -> None:
    work = {"job": asdict(JOB)}
    records = [
        step(0, "", "requested", "waits"),
        step(30, "booting", "ready"),
        step(40, "ready", "busy", **work),
        step(100, "busy", "finished", **work),
        step(101, "finished", "deleted", **work),
        Record(at(102), Kind.ORDER, "flush", "ordered"),
    ]
    courses = Courses()
    changed = [course for record in records for course in courses.take(record)]
    store = JournalStore(world.parts.journal.path)
    store.write(records, changed)
    store.close()


def test_without_a_journal_there_are_no_events(client: FlaskClient) -> None:
    assert client.get("/v1/events").json == {"events": [], "last": 0, "more": False, "lost": 0}


def test_what_has_just_happened_is_there_when_somebody_asks(
    client: FlaskClient, world: World
) -> None:
    writer = world.parts.journal_writer
    writer.start(lambda _standing: None, lambda _course: None)
    try:
        for number in range(3):  # faster than it is written of itself
            world.parts.feed.tell(Record(at(number), Kind.ORDER, f"order-{number}", "ordered"))
            events = (client.get("/v1/events").json or {})["events"]
            assert [event["subject"] for event in events][-1] == f"order-{number}"
    finally:
        writer.stop(10)


def test_the_newest_events_come_the_oldest_first(client: FlaskClient, world: World) -> None:
    fill(world)
    world.parts.journal.lose(2)
    answer = client.get("/v1/events?limit=2").json or {}
    assert [event["state"] for event in answer["events"]] == ["deleted", "ordered"]
    assert answer["last"] == answer["events"][-1]["id"]
    assert answer["lost"] == 2
    assert answer["events"][0] == {
        "id": answer["last"] - 1, "at": "2030-01-01T00:01:41+00:00", "kind": "runner",
        "subject": NAME, "state": "deleted", "before": "finished", "reason": "",
        "lasted_s": 0.0, "details": {"job": asdict(JOB)},
    }  # fmt: skip


def test_who_follows_is_told_what_came_after(client: FlaskClient, world: World) -> None:
    fill(world)
    first = (client.get("/v1/events?limit=6").json or {})["events"][0]["id"]
    answer = client.get(f"/v1/events?after={first}&limit=2").json or {}
    assert [event["state"] for event in answer["events"]] == ["ready", "busy"]
    last = (client.get(f"/v1/events?after={first}").json or {})["last"]
    nothing = {"events": [], "last": last, "more": False, "lost": 0}
    assert client.get(f"/v1/events?after={last}").json == nothing


def test_events_are_chosen_by_runner_kind_and_moment(client: FlaskClient, world: World) -> None:
    fill(world)
    chosen = client.get(f"/v1/events?runner={NAME}&kind=runner&since=2030-01-01T00:01:00Z").json
    assert [event["state"] for event in (chosen or {})["events"]] == ["finished", "deleted"]


def test_a_history_has_jobs_runners_and_percentiles(client: FlaskClient, world: World) -> None:
    fill(world)
    answer = client.get("/v1/history?repository=acme/demo").json or {}
    (job,) = answer["jobs"]
    assert (job["runner"], job["job_s"], job["idle_s"]) == (NAME, 60.0, 10.0)
    assert answer["runners"][0]["outcome"] == "done"
    assert answer["percentiles"]["install_s"] == {
        "p50": 30.0, "p90": 30.0, "p99": 30.0, "count": 1,
    }  # fmt: skip
    assert (client.get("/v1/history?repository=acme/other").json or {})["jobs"] == []


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/v1/events?limit=0", "limit: must be a whole number from 1 to 1000"),
        ("/v1/events?kind=x", "kind: must be one of"),
        ("/v1/history?since=x", "since: must be a moment"),
    ],
)
def test_a_question_with_a_fault_is_refused(client: FlaskClient, path: str, fault: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 400
    assert fault in (answer.json or {})["error"]


@pytest.mark.parametrize("runner", ["' OR 1 --", "%25", "a" * 5000, "\udcff"])
def test_nobody_is_found_by_a_name_that_no_runner_has(
    client: FlaskClient, world: World, runner: str
) -> None:
    fill(world)
    answer = client.get("/v1/events", query_string={"runner": runner.encode(errors="replace")})
    assert (answer.json or {})["events"] == []


def test_a_damage_is_told_to_the_reader_and_to_the_writer(
    client: FlaskClient, world: World
) -> None:
    world.parts.journal.path.parent.mkdir(parents=True)
    world.parts.journal.path.write_bytes(b"no database" * 1000)
    answer = client.get("/v1/events")
    assert answer.status_code == 503
    assert "the journal can't be read: " in (answer.json or {})["error"]
    assert world.parts.journal.suspect.is_set()
