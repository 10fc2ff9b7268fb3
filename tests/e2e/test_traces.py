"""What is seen of a runner's life: a trace of it, and its lines in the log."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from otlp_receiver import Receiver, attributes, receiving

from tests.e2e.waits import wait_until
from tests.e2e.world import World

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeWorld


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def trace_of(receiver: Receiver, name: str) -> dict[str, Any]:
    """Give the spans of a runner's trace by their names."""
    spans = {span.span_id: span for span in receiver.spans}.values()
    of_it = [span for span in spans if attributes(span.attributes)["cicd.worker.name"] == name]
    assert len({span.trace_id for span in of_it}) <= 1
    return {span.name: span for span in of_it}


def test_a_runner_is_one_trace_also_across_a_restart_and_its_log_is_told_by_its_name(
    make_world: MakeWorld, receiver: Receiver
) -> None:
    with make_world(virtual_machines=1) as world:
        world.daemon.config["otel-collector-endpoint"] = receiver.url
        world.start()
        gate = world.gate()
        job = world.queue(gate.script, repository="acme/web", workflow="nightly", name="deploy")
        name = world.wait_started(job)
        world.wait_noted_busy(name)
        world.daemon.stop()
        world.daemon.start()
        world.wait_whole()
        gate.open()
        world.wait_completed(job)
        wait_until(lambda: "runner" in trace_of(receiver, name), "the trace is whole")
        trace = trace_of(receiver, name)
        assert {"register", "create", "boot", "ready", "job", "delete", "runner"} <= set(trace)
        root = trace.pop("runner")
        assert {span.parent_span_id for span in trace.values()} == {root.span_id}
        told = attributes(trace["job"].attributes)
        assert (told["vcs.owner.name"], told["vcs.repository.name"]) == ("acme", "web")
        assert (told["cicd.pipeline.name"], told["cicd.pipeline.task.name"]) == (
            "nightly",
            "deploy",
        )
        assert told["github.job.result"] == "Succeeded"
        assert told["cicd.pipeline.task.run.result"] == "success"

        world.daemon.reload(otel_collector_endpoint=None, virtual_machines=0)
        world.wait_empty()
        assert_each_line_names_whom_it_is_about(world, name)


def assert_each_line_names_whom_it_is_about(world: World, name: str) -> None:
    entries = world.daemon.entries()
    messages = [entry["message"] for entry in entries if entry["runner"] == name]
    for stage in ("creating", "booting", "ready", "busy", "finished", "deleted"):
        assert any(message.split(" ")[0].rstrip(":") == stage for message in messages), messages
    lacking = [e for e in entries if name in e["message"] and not e["runner"]]
    assert lacking == []


def test_the_level_is_changed_by_order_and_by_reload(world: World) -> None:
    world.daemon.configure(log_level="INFO")
    world.start()
    assert world.daemon.cli("log-level").stdout == "INFO\n"
    assert world.daemon.cli("log-level", "DEBUG").returncode == 0
    world.daemon.send(signal.SIGUSR1)
    wait_until(lambda: world.daemon.said("reconcile: SIGUSR1"), "what is for debugging is logged")
    world.daemon.reload(log_level="WARNING")
    wait_until(lambda: world.daemon.ask("/v1/log-level")["level"] == "WARNING", "it is in force")
    assert world.daemon.cli("log-level").stdout == "WARNING\n"
