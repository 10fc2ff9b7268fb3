"""How the fleet is, on the control socket."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial

import pytest
from fake_actors import Inbox
from fake_world import World
from flask.testing import FlaskClient
from waiting import eventually

from supervisor.control import make_app
from supervisor.observation.feed import Kind, Record
from supervisor.supervision import ChildSpec, Supervisor, SupervisorSpec

MakeWorld = Callable[..., World]
NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world()


@pytest.fixture
def client(world: World) -> FlaskClient:
    return make_app(world.system, world.parts, debug=False).test_client()


def test_a_daemon_whose_tree_is_not_up_is_failing(client: FlaskClient) -> None:
    answer = client.get("/v1/health")
    assert answer.status_code == 503
    assert answer.json == {"state": "failing", "problems": ["the supervision tree is not up"]}


def test_a_fleet_with_a_problem_is_degraded_which_is_no_refusal(
    world: World, client: FlaskClient
) -> None:
    world.parts.drain.set(NOW)
    world.run(world.tokens())
    assert client.get("/v1/health").json == {"state": "ok", "problems": []}
    world.parts.settings.refuse("vm-cpu: must be a number")
    answer = client.get("/v1/health")
    assert (answer.status_code, answer.json["state"]) == (200, "degraded")
    assert answer.json["problems"] == client.get("/v1/status").json["problems"]


def test_the_status_tells_of_the_runner_that_failed_last(world: World, client: FlaskClient) -> None:
    world.feed.tell(Record(NOW, Kind.RUNNER, "a", "failed", "booting", "no disk"))
    told = client.get("/v1/status").json["last_failure"]
    assert (told["runner"], told["reason"]) == ("a", "no disk")


def test_the_status_tells_of_the_hosts_memory(client: FlaskClient) -> None:
    memory = client.get("/v1/status").json["memory"]
    assert 0 < memory["available"] <= memory["total"]


def test_who_looks_every_second_gets_the_tree_without_the_runners_actors(
    world: World, client: FlaskClient
) -> None:
    runner = ChildSpec("fleet-a", partial(Inbox.start, world.system, []))
    runners = SupervisorSpec(children=[runner])
    core = SupervisorSpec(
        children=[ChildSpec("runners", partial(Supervisor.start, world.system, runners))]
    )
    world.run(ChildSpec("core", partial(Supervisor.start, world.system, core)))
    eventually(lambda: "fleet-a" in client.get("/v1/tree").text)
    lean = client.get("/v1/tree?runners=no").text
    assert "runners" in lean
    assert "fleet-a" not in lean
