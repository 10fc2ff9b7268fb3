"""What the observability stack gets over `cos-agent`: where to scrape, alert rules, dashboards.

The relation's format is https://github.com/canonical/charmlibs, interfaces/cos_agent: one value
`config` in the unit's databag. A collector on this machine reads it and passes it on.
"""

import base64
import json
import logging
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ops
import yaml

RELATION = "cos-agent"
METRICS_PORT = 9469
_KEY = "config"
_HERE = Path(__file__).parent
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Topology:
    """Where in Juju this application is: what its metrics are labelled with, and its alerts."""

    model: str
    model_uuid: str
    application: str
    charm: str

    @classmethod
    def of(cls, charm: ops.CharmBase) -> "Topology":
        """Tell it of a charm."""
        model = charm.model
        return cls(model.name, model.uuid, charm.app.name, charm.meta.name)

    @property
    def matchers(self) -> str:
        """Choose this application's metrics, of all its units, in a query.

        Collectors label what they scrape with these three, and with the unit.
        """
        labels = {
            "juju_model": self.model,
            "juju_model_uuid": self.model_uuid,
            "juju_application": self.application,
        }
        return ", ".join(f"{key}={json.dumps(value)}" for key, value in labels.items())

    @property
    def model_matchers(self) -> str:
        """Choose the model's logs in a query.

        Collectors label the logs of a machine with their own application, not with the one whose
        machine it is.
        """
        return f"juju_model={json.dumps(self.model)}, juju_model_uuid={json.dumps(self.model_uuid)}"

    @property
    def metrics_labels(self) -> dict[str, str]:
        """Label an alert of metrics. The unit is in the metrics: rules are one for all units."""
        return {**self.log_labels, "juju_application": self.application}

    @property
    def log_labels(self) -> dict[str, str]:
        """Label an alert of logs.

        The application is left out: Loki's charm confines the query of a rule that names it to logs
        with that label, which a machine's logs don't have.
        """
        return {
            "juju_model": self.model,
            "juju_model_uuid": self.model_uuid,
            "juju_charm": self.charm,
        }

    @property
    def prefix(self) -> str:
        """Begin the name of a group of rules: it is unique among all applications' groups."""
        return f"{self.model}_{self.model_uuid[:8]}_{self.application}"


def provide(charm: ops.CharmBase) -> None:
    """Write the unit's databag in every relation where it is not so yet."""
    wanted = databag(Topology.of(charm))[_KEY]
    for relation in charm.model.relations[RELATION]:
        if not relation.active:
            continue
        try:
            bag = relation.data[charm.unit]
            if bag.get(_KEY) != wanted:
                bag[_KEY] = wanted
        except ops.ModelError as error:
            # So Juju answers of a relation that the unit has not joined yet: an event will follow.
            _logger.info("%s: relation %d is not ready: %s", RELATION, relation.id, error)


def databag(topology: Topology, files: Path = _HERE) -> dict[str, str]:
    """Make the unit's databag.

    Args:
        topology: where in Juju this is.
        files: the directory with `prometheus_alert_rules`, `loki_alert_rules` and
            `grafana_dashboards`.
    """
    config = {
        "metrics_scrape_jobs": [
            {
                "job_name": f"{topology.application}_daemon",
                "metrics_path": "/metrics",
                "static_configs": [{"targets": [f"localhost:{METRICS_PORT}"]}],
            }
        ],
        "metrics_alert_rules": _rules(
            files / "prometheus_alert_rules",
            topology.prefix,
            topology.matchers,
            topology.metrics_labels,
        ),
        "log_alert_rules": _rules(
            files / "loki_alert_rules",
            topology.prefix,
            topology.model_matchers,
            topology.log_labels,
        ),
        "dashboards": list(_dashboards(files / "grafana_dashboards")),
        "log_slots": [],  # the slots of snaps with logs: the daemon is none, and writes to journald
    }
    return {_KEY: json.dumps(config, sort_keys=True)}


def _rules(
    directory: Path, prefix: str, matchers: str, labels: dict[str, str]
) -> dict[str, list[dict[str, Any]]]:
    """Read a directory of rule files, whose queries say `%%juju_topology%%` for their matchers."""
    groups = []
    for path in sorted(directory.glob("*.yaml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            rules = [
                {
                    **rule,
                    "expr": rule["expr"].replace("%%juju_topology%%", matchers),
                    "labels": {**rule["labels"], **labels},
                }
                for rule in group["rules"]
            ]
            groups.append({**group, "name": f"{prefix}_{group['name']}", "rules": rules})
    return {"groups": groups}


def _dashboards(directory: Path) -> Iterator[str]:
    """Give the dashboards as Grafana's charm takes them: JSON, compressed by xz, in base64."""
    for path in sorted(directory.glob("*.json")):
        dashboard = json.loads(path.read_text(encoding="utf-8"))
        yield base64.b64encode(lzma.compress(json.dumps(dashboard).encode())).decode("ascii")
