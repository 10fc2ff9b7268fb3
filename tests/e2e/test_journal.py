"""What the journal says of a fleet at work is what GitHub saw."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
import requests
from metric_logs import events_in

from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import MakeWorld
    from tests.e2e.world import World

_RESULTS = {"success": "Succeeded", "failure": "Failed"}


def events(world: World) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = world.daemon.ask("/v1/events?limit=1000")["events"]
    return told


def history(world: World) -> Any:
    return world.daemon.ask("/v1/history?limit=50")


def courses(world: World) -> dict[str, list[dict[str, Any]]]:
    """Give the stages of each runner in order, without what only says more."""
    found = defaultdict(list)
    for event in events(world):
        if event["kind"] == "runner" and event["state"] != event["before"]:
            found[event["subject"]].append(event)
    return found


def test_the_journal_agrees_with_github_about_each_job(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    log = tmp_path / "metrics.log"
    with make_world(virtual_machines=2, **{"metric-log": {"path": str(log)}}) as world:
        world.start()
        scripts = ["echo hello"] * 4 + ["exit 3"]
        jobs = [world.queue(s, name=f"build-{n}") for n, s in enumerate(scripts)]
        wait_until(
            lambda: all(world.github.job(job).status == "completed" for job in jobs),
            "all jobs have ended",
        )
        done = [world.github.job(job) for job in jobs]
        wait_until(
            lambda: len([one for one in history(world)["runners"] if one["ended_at"]]) == 5,
            "all five runners have ended",
        )
        told = {one["name"]: one for one in history(world)["jobs"]}
        assert set(told) == {job.name for job in done}
        for job in done:
            one = told[job.name]
            assert one["runner"] == job.runner_name
            assert one["repository"] == job.repository
            assert one["result"] == _RESULTS[str(job.conclusion)]
            assert one["job_s"] is not None
            assert one["idle_s"] is not None
        of_runners = courses(world)
        for job in done:
            stages = of_runners[str(job.runner_name)]
            assert [one["before"] for one in stages[1:]] == [one["state"] for one in stages[:-1]]
            assert (stages[0]["before"], stages[-1]["state"]) == ("", "deleted")
        wait_until(
            lambda: len([one for one in events_in(log) if one["event"] == "runner_stop"]) == 5,
            "GitHub has told how long they had waited",
        )
        logged = events_in(log)
        stops = [one for one in logged if one["event"] == "runner_stop"]
        assert sorted(one["job_conclusion"] for one in stops) == ["failure"] + ["success"] * 4
        names = {one["event"] for one in logged}
        assert names == {"runner_installed", "runner_start", "runner_stop", "reconciliation"}


def test_a_job_over_a_kill_of_the_daemon_is_one_job(world: World) -> None:
    world.start()
    gate = world.gate()
    job = world.queue(gate.script, name="long")
    name = world.wait_started(job)
    world.wait_noted_busy(name)
    wait_until(lambda: [one for one in history(world)["jobs"] if one["started_at"]], "it is told")
    started_at = history(world)["jobs"][0]["started_at"]
    world.restart_after_kill()
    # What its guest says before somebody answers for it again is heard by nobody.
    wait_until(lambda: world.names(frozenset({"busy"})) == {name}, "it is taken over")
    gate.open()
    world.wait_completed(job)
    wait_until(
        lambda: [one for one in history(world)["jobs"] if one["ended_at"] and one["result"]],
        "its end is told",
    )
    (one,) = history(world)["jobs"]
    assert (one["runner"], one["started_at"], one["result"]) == (name, started_at, "Succeeded")
    beginnings = [event for event in courses(world)[name] if not event["before"]]
    assert [event["details"]["adopted"] for event in beginnings] == [False, True]


def test_a_job_that_ended_while_no_daemon_listened_is_told_to_be_gone_with_its_result(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    log = tmp_path / "metrics.log"
    more = {"metric-log": {"path": str(log)}}
    with make_world(virtual_machines=1, **more) as world:
        world.start()
        gate = world.gate()
        job = world.queue(gate.script, name="long")
        name = world.wait_started(job)
        wait_until(lambda: [one for one in history(world)["jobs"] if one["started_at"]], "it began")
        world.daemon.kill()
        gate.open()
        world.wait_completed(job)
        wait_until(lambda: name not in world.configurations(), "its instance is gone")
        world.daemon.start()

        def states() -> list[str]:
            world.reconcile()
            found = [event for event in events(world) if event["subject"] == name]
            return [event["state"] for event in found]

        wait_until(lambda: "gone" in states(), "reconciles have not found it")
        end = courses(world)[name][-1]
        assert (end["before"], end["reason"]) == ("busy", "its end was not seen")
        assert end["details"]["job"]["repository"] == world.github.job(job).repository
        assert world.daemon.said("gone: its end was not seen") == [name]
        wait_until(lambda: states()[-1] == "success", "GitHub has told how it ended")
        last = world.daemon.cli("events", "--runner", name).stdout.splitlines()[-2]
        assert last.endswith("its end was not seen")
        told = history(world)
        assert [one["outcome"] for one in told["runners"] if one["name"] == name] == ["gone"]
        (one,) = told["jobs"]
        assert (one["result"], one["ended_at"], one["job_s"]) == ("Succeeded", None, None)
        assert one["queue_s"] is not None
        wait_until(lambda: of_jobs(log), "the metric log tells of it")
        assert counted(world) == {"succeeded": 1.0}
        # Another daemon finds nothing more to tell of it.
        world.daemon.stop()
        world.daemon.start()
        world.wait_whole()
        world.reconcile()
        start, stop = of_jobs(log)
        assert (start["event"], stop["event"]) == ("runner_start", "runner_stop")
        assert (stop["job_conclusion"], "job_duration" in stop) == ("success", False)
        assert counted(world) == {}


def counted(world: World) -> dict[str, float]:
    """Give how many jobs have ended, by their results."""
    found = re.findall(
        r'\ngithub_runner_supervisor_jobs_total\{.*result="(.*?)".*\} (\S+)', metrics(world)
    )
    return {result: float(count) for result, count in found if float(count)}


@pytest.mark.parametrize("killed", ["booting", "ready"])
def test_a_job_that_began_while_no_daemon_listened_has_an_end_and_no_beginning(
    make_world: MakeWorld, tmp_path: Path, killed: str
) -> None:
    log = tmp_path / "metrics.log"
    more = {"metric-log": {"path": str(log)}}
    with make_world(virtual_machines=1, **more) as world:
        kill_while(world, killed)
        gate = world.gate()
        job = world.queue(gate.script)
        name = world.wait_in_progress(job)
        wait_until(gate.is_reached, "its guest has told of its beginning in vain")
        # The second goes on from what the first has noted of it.
        for _ in range(2):
            world.daemon.start()
            wait_until(lambda: world.names(frozenset({"busy"})) == {name}, "it is at work")
            world.wait_noted_busy(name)
            assert [one["started_at"] for one in history(world)["jobs"]] in ([], [None])
            world.daemon.kill()
        world.daemon.start()
        # What its guest says before somebody answers for it again is heard by nobody.
        wait_until(lambda: world.names(frozenset({"busy"})) == {name}, "it is taken over")
        gate.open()
        world.wait_completed(job)
        wait_until(lambda: [one for one in history(world)["jobs"] if one["result"]], "it ended")
        told = history(world)
        (one,) = told["jobs"]
        assert (one["runner"], one["result"], one["runs"]) == (name, "Succeeded", False)
        assert one["ended_at"]
        assert (one["started_at"], one["job_s"], one["idle_s"]) == (None, None, None)
        percentiles = told["percentiles"]
        assert (percentiles["job_s"]["count"], percentiles["idle_s"]["count"]) == (0, 0)
        count = 'github_runner_supervisor_runner_stage_duration_seconds_count{stage="busy"}'
        assert f"{count} 0.0" in metrics(world)
        wait_until(lambda: of_jobs(log), "the metric log tells of its end")
        (stop,) = of_jobs(log)
        assert (stop["event"], "job_duration" in stop) == ("runner_stop", False)


def kill_while(world: World, stage: str) -> None:
    """Kill the daemon while its runner boots, or has told that it is ready."""
    if stage == "ready":
        world.start()
        world.daemon.kill()
        return
    with world.dhcp_paused():
        world.daemon.start()
        wait_until(lambda: world.names(frozenset({"booting"})), "it boots")
        world.daemon.kill()


def metrics(world: World) -> str:
    port = world.daemon.config["metrics"]["port"]
    return requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text


def of_jobs(log: Path) -> list[dict[str, Any]]:
    return [one for one in events_in(log) if one["event"] in {"runner_start", "runner_stop"}]


def test_orders_and_crashes_are_told(world: World) -> None:
    world.crashes_are_meant = True
    world.start()
    world.daemon.crash("filters")
    world.daemon.cli("flush", "--wait")

    def told() -> set[tuple[str, str]]:
        return {(event["subject"], event["state"]) for event in events(world)}

    wait_until(
        lambda: told() >= {("filters", "crashed"), ("filters", "restarted"), ("flush", "ordered")},
        "both are told",
    )
    lines = world.daemon.cli("events", "--runner", "filters").stdout
    assert "→ crashed" in lines
    assert "Crashed: ordered on the control socket" in lines
