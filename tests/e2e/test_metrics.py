"""A real Prometheus sees what GitHub has seen, and all that asks it can be answered."""

from __future__ import annotations

import base64
import json
import lzma
from typing import TYPE_CHECKING, Any

import cos
import requests
from cos import Topology
from prometheus import prometheus, promtool

from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prometheus import Prometheus

    from tests.e2e.conftest import MakeWorld
    from tests.e2e.world import World

_PREFIX = "github_runner_supervisor"
_TOPOLOGY = Topology("ci", "58b48ff0-608b-435f-83b9-ea643e0b98db", "large", "the-charm")
_LABELS = {
    "juju_model": _TOPOLOGY.model,
    "juju_model_uuid": _TOPOLOGY.model_uuid,
    "juju_application": _TOPOLOGY.application,
    "juju_unit": "large/0",
}
_SCRAPED_S = 30.0
_RESULTS = {"success": "succeeded", "failure": "failed"}


def given() -> dict[str, Any]:
    """Give what the charm gives to Prometheus and Grafana."""
    config: dict[str, Any] = json.loads(cos.databag(_TOPOLOGY)["config"])
    return config


def queries() -> Iterator[str]:
    """Give the queries of all dashboards, with all of their variables chosen."""
    for packed in given()["dashboards"]:
        dashboard = json.loads(lzma.decompress(base64.b64decode(packed)))
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                if target["datasource"]["type"] == "prometheus":
                    query = target["expr"].replace("$__range", "6h")
                    for name in _LABELS:
                        query = query.replace(f'"${name}"', '".*"')
                    yield query


def fetched(world: World) -> str:
    port = world.daemon.config["metrics"]["port"]
    return requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text


def ended_jobs(world: World, jobs: list[int]) -> dict[str, int]:
    """Count jobs by their result, as GitHub has recorded it."""
    found = [world.github.job(job).conclusion for job in jobs]
    return {_RESULTS[one]: found.count(one) for one in found if one}


def has_seen(server: Prometheus, query: str, expected: dict[str, float]) -> None:
    seen: dict[str, float] = {}

    def is_seen() -> bool:
        seen.clear()
        seen.update({key: value for key, value in server.query(query).items() if value})
        return seen == expected

    try:
        wait_until(is_seen, f"{query} is {expected}", limit_s=_SCRAPED_S)
    except AssertionError as error:
        raise AssertionError(f"{error}, not {seen}") from None


def healths(server: Prometheus) -> list[str]:
    groups = server.ask("rules")["groups"]
    return [rule["health"] for group in groups for rule in group["rules"]]


def test_prometheus_sees_the_jobs_that_github_has_recorded(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    with make_world(virtual_machines=3) as world:
        world.start()
        world.wait_whole()
        port = world.daemon.config["metrics"]["port"]
        rules = given()["metrics_alert_rules"]
        with prometheus(tmp_path, port, _LABELS, rules) as server:
            wait_until(server.is_scraping, "Prometheus reads the page")
            jobs = [world.queue("sleep 0.2", name=f"good-{n}") for n in range(6)]
            jobs += [world.queue("exit 3", name=f"bad-{n}") for n in range(2)]
            wait_until(
                lambda: all(world.github.job(job).status == "completed" for job in jobs),
                "the jobs have ended",
            )
            world.wait_whole()

            recorded = ended_jobs(world, jobs)
            assert recorded == {"succeeded": 6, "failed": 2}
            has_seen(server, f"sum by (result) ({_PREFIX}_jobs_total)", recorded)
            ended = {"": len(jobs)}
            stage_s = f'{_PREFIX}_runner_stage_duration_seconds_count{{stage="busy"}}'
            has_seen(server, f"sum({stage_s})", ended)
            has_seen(server, f"sum({_PREFIX}_runner_replacement_duration_seconds_count)", ended)
            has_seen(server, f"sum({_PREFIX}_runner_replacements_total)", ended)
            has_seen(server, f"sum({_PREFIX}_runner_failures_total)", {})
            has_seen(server, f'sum({_PREFIX}_runners{{stage=~"ready|idle"}})', {"": 3})
            registered = f'{_PREFIX}_github_calls_total{{endpoint=~".*jitconfig",status="2xx"}}'
            assert server.query(f"sum({registered})")[""] >= len(jobs) + 3

            for query in queries():
                assert isinstance(server.query(query), dict)
            wait_until(lambda: "unknown" not in healths(server), "each rule has been evaluated")
            assert set(healths(server)) == {"ok"}
            assert len(healths(server)) == sum(len(group["rules"]) for group in rules["groups"])
            assert promtool("check", "metrics", told=fetched(world)) == ""
