"""The page that Prometheus reads, on a real socket."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from functools import partial

import pytest
from fake_world import World
from ports import free_port
from prometheus_client.parser import text_string_to_metric_families
from waiting import eventually

from supervisor.actors.metrics import MetricsActor
from supervisor.lifecycle import Life, Stage
from supervisor.runners.roster import Entry
from supervisor.status.report import status_report
from supervisor.supervision import ChildSpec, Crash, tree

MakeWorld = Callable[..., World]
HOST = "127.0.0.1"


def start(world: World) -> World:
    world.run(ChildSpec("metrics", partial(MetricsActor.start, world.system, world.parts)))
    eventually(lambda: world.shown("metrics")[0] in {"listening", "failing"})
    return world


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return start(make_world(metrics={"port": free_port()}, virtual_machines=3))


def port_of(world: World) -> int:
    return world.parts.settings.config.metrics.port


def ask(
    world: World,
    path: str = "/metrics",
    *,
    method: str = "GET",
    accept: str = "*/*",
    host: str = HOST,
) -> tuple[int, str, str]:
    """Ask as Prometheus does, and give the status, the content type and the text."""
    connection = http.client.HTTPConnection(host, port_of(world), timeout=10)
    try:
        connection.request(method, path, headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()
    finally:
        connection.close()


def read(world: World) -> dict[str, float]:
    """Read the metrics that have no labels."""
    families = text_string_to_metric_families(ask(world)[2])
    return {one.name: one.value for family in families for one in family.samples if not one.labels}


def test_prometheus_reads_the_fleet_and_the_process(world: World) -> None:
    status, content_type, _ = ask(world)
    assert status == 200
    assert content_type.startswith("text/plain; version=")
    found = read(world)
    assert found["github_runner_supervisor_runners_wanted"] == 3
    assert found["github_runner_supervisor_runners_online"] == 0
    assert found["process_cpu_seconds_total"] > 0
    assert world.shown("metrics") == (
        "listening", f"Prometheus reads http://{HOST}:{port_of(world)}/metrics"
    )  # fmt: skip


def test_the_page_may_be_at_an_address_of_ipv6(make_world: MakeWorld) -> None:
    port = free_port()
    world = start(make_world(metrics={"address": "[::1]", "port": port}))
    assert world.shown("metrics") == (
        "listening", f"Prometheus reads http://[::1]:{port}/metrics"
    )  # fmt: skip
    status, _, text = ask(world, host="::1")
    assert status == 200
    assert "github_runner_supervisor_runners_wanted" in text
    with pytest.raises(ConnectionRefusedError):
        ask(world)


@pytest.mark.parametrize(("address", "place"), [("127.0.0.1", HOST), ("::1", "[::1]")])
def test_the_page_is_not_at_an_address_of_the_guests_bridge(
    make_world: MakeWorld, address: str, place: str
) -> None:
    port = free_port()
    world = start(make_world(metrics={"address": address, "port": port}, lxd={"network": "lo"}))
    reason = f"can't listen at {place}:{port}: the page is not for guests, and lo is their bridge"
    assert world.shown("metrics") == ("failing", reason)
    assert world.details("metrics")["warnings"] == (f"metrics: {reason}",)
    with pytest.raises(ConnectionRefusedError):
        ask(world, host=address)


def test_each_reading_is_of_its_moment(world: World) -> None:
    world.parts.roster.put(Entry("a", "g", Life(Stage.IDLE, world.clock.now())))
    assert read(world)["github_runner_supervisor_runners_online"] == 1
    world.parts.roster.drop("a")
    assert read(world)["github_runner_supervisor_runners_online"] == 0


def test_who_asks_for_openmetrics_gets_it(world: World) -> None:
    _, content_type, text = ask(world, accept="application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 404), ("POST", "/metrics", 405)]
)
def test_there_is_nothing_else(world: World, method: str, path: str, status: int) -> None:
    assert ask(world, path, method=method)[0] == status


def test_a_crash_costs_the_page_nothing_for_long(world: World) -> None:
    before = world.system.directory.ref("metrics")
    world.tell("metrics", Crash("a test"))
    eventually(lambda: world.system.directory.ref("metrics") not in (None, before))
    eventually(lambda: world.shown("metrics")[0] == "listening")
    assert ask(world)[0] == 200


def test_at_its_end_nobody_listens_any_more(world: World) -> None:
    world.system.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(world)


def test_a_taken_port_is_a_warning_and_tried_again(
    make_world: MakeWorld, failed_tries: list[str]
) -> None:
    port = free_port()
    with socket.create_server((HOST, port)):
        world = start(make_world(metrics={"port": port}))
        reason = f"can't listen at {HOST}:{port}: Address already in use"
        assert world.shown("metrics") == ("failing", reason)
        status = status_report(tree(world.system), [], world.parts.settings, world.clock.now())
        assert status["warnings"] == [f"metrics: {reason}"]
        assert status["problems"] == []
        assert failed_tries == [reason]
        world.clock.advance(10)
        assert world.shown("metrics") == ("failing", reason)
        assert failed_tries == [reason] * 2
    world.clock.advance(10)
    eventually(lambda: world.shown("metrics")[0] == "listening")
    assert ask(world)[0] == 200
