"""What the charm gives to the observability stack, as one can ask of it."""

from __future__ import annotations

import base64
import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cos
import yaml
from cos import Topology

CHARM = Path(__file__).parents[3] / "charm"
METADATA = yaml.safe_load((CHARM / "charmcraft.yaml").read_text(encoding="utf-8"))
UUID = "58b48ff0-608b-435f-83b9-ea643e0b98db"
TOPOLOGY = Topology("ci", UUID, "large-runners", "github-runner-supervisor")


def config(topology: Topology = TOPOLOGY) -> dict[str, Any]:
    databag = cos.databag(topology)
    assert set(databag) == {"config"}
    return json.loads(databag["config"])


def rules(kind: str) -> Iterator[dict[str, Any]]:
    for group in config()[kind]["groups"]:
        yield from group["rules"]


def dashboards() -> list[dict[str, Any]]:
    packed = config()["dashboards"]
    return [json.loads(lzma.decompress(base64.b64decode(one, validate=True))) for one in packed]


def targets(dashboard: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            if target["datasource"]["type"] == kind:
                yield target


def variables(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable


def queries() -> Iterator[str]:
    """Give every query of Prometheus."""
    for rule in rules("metrics_alert_rules"):
        yield rule["expr"]
    for dashboard in dashboards():
        yield from (target["expr"] for target in targets(dashboard, "prometheus"))
        for variable in variables(dashboard):
            yield variable["definition"]
