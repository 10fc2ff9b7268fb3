"""The kept logs on the control socket."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

import pytest
from fake_world import World
from flask.testing import FlaskClient

from supervisor.control import make_app

MakeWorld = Callable[..., World]
NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world()


@pytest.fixture
def client(world: World) -> FlaskClient:
    return make_app(world.system, world.parts, debug=False).test_client()


def test_kept_logs_are_listed_and_given(world: World, client: FlaskClient) -> None:
    assert client.get("/v1/logs").json == []
    world.parts.logs.save("one", "hi\n", reason="why", at=NOW, keep=5, most_bytes=1000)
    (listed,) = client.get("/v1/logs").json
    assert (listed["runner"], listed["reason"]) == ("one", "why")
    assert "text" not in listed
    assert client.get("/v1/logs/one").json["text"].endswith("\n\nhi\n")


def test_logs_of_builds_are_apart_from_those_of_guests(world: World, client: FlaskClient) -> None:
    world.parts.build_logs.save("image-1", "hi\n", reason="why", at=NOW, keep=5, most_bytes=1000)
    (listed,) = client.get("/v1/image/logs").json
    assert listed["runner"] == "image-1"
    assert client.get("/v1/image/logs/image-1").json["text"].endswith("\n\nhi\n")
    assert client.get("/v1/logs").json == []
    missing = client.get("/v1/image/logs/image-2")
    assert missing.status_code == 404
    assert "see `supervisor-cli image logs`" in missing.json["error"]


@pytest.mark.parametrize(
    "name", ["two", "..", "%2e%2e%2fsecret", "a%2fb", "one.log", "a%00", "x" * 99]
)
def test_what_is_not_kept_is_not_found(world: World, client: FlaskClient, name: str) -> None:
    world.parts.logs.save("one", "hi\n", reason="why", at=NOW, keep=5, most_bytes=1000)
    (world.state / "secret").write_text("hidden words")
    answer = client.get(f"/v1/logs/{name}")
    assert answer.status_code == 404
    assert b"hidden words" not in answer.data


def test_a_directory_that_can_not_be_read_is_told(world: World, client: FlaskClient) -> None:
    world.state.mkdir()
    (world.state / "logs").write_text("in the way")
    for path in ("/v1/logs", "/v1/logs/one"):
        answer = client.get(path)
        assert answer.status_code == 500
        assert "logs" in answer.json["error"]
