"""The log's level on the control socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fake_world import World
from flask.testing import FlaskClient

from supervisor.control import make_app
from supervisor.observation import log

MakeWorld = Callable[..., World]


@pytest.fixture
def client(make_world: MakeWorld) -> Iterator[FlaskClient]:
    world = make_world()
    yield make_app(world.system, world.parts, debug=False).test_client()
    log.set_level("INFO")


def test_the_level_is_told_and_changed(client: FlaskClient) -> None:
    assert client.get("/v1/log-level").json == {"level": "INFO"}
    assert client.put("/v1/log-level", json={"level": "DEBUG"}).json == {"level": "DEBUG"}
    assert client.get("/v1/log-level").json == {"level": "DEBUG"}
    assert log.current_level() == "DEBUG"


@pytest.mark.parametrize("body", ['{"level": "LOUD"}', '{"level": 3}', "[]", "{}", "no JSON", ""])
def test_what_is_no_level_is_refused_and_changes_nothing(client: FlaskClient, body: str) -> None:
    answer = client.put("/v1/log-level", data=body, content_type="application/json")
    assert (answer.status_code, answer.json) == (
        400,
        {"error": "level: must be one of DEBUG, INFO, WARNING, ERROR"},
    )
    assert log.current_level() == "INFO"
