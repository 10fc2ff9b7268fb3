"""A page of metrics on which there is every metric, with every label it can have."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.registry import Collector

from supervisor.config import parse
from supervisor.firewall.report import DROPPED
from supervisor.gateways.host_memory import Memory
from supervisor.github.calls import ROUTES
from supervisor.metrics.counters import Counters
from supervisor.metrics.page import metrics
from supervisor.observation import feed
from supervisor.observation.feed import Feed, Record
from supervisor.parts import Settings
from supervisor.runners.roster import Entry
from supervisor.status.report import status_report
from supervisor.supervision import Kind, TreeNode
from supervisor.upgrades.standing import Standing

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
CONFIG = parse({"name": "fleet", "path": "acme", "token": "s", "virtual-machines": 3}, "x")
LIMIT = {"limit": 5000, "remaining": 4321, "reset_at": "2030-01-01T00:30:00+00:00"}
MEMORY = Memory(16 << 30, 4 << 30)
COUNT = {"packets": 7, "bytes": 420}


class Given(Collector):
    def __init__(self, *families: Iterable[Metric]) -> None:
        self._families = [one for given in families for one in given]

    def collect(self) -> Iterable[Metric]:
        return self._families


def node(id_: str, state: str = "ready", *children: TreeNode, **more: Any) -> TreeNode:
    given = {"path": f"root/{id_}", "kind": Kind.WORKER, "actor": "A", "alive": True, **more}
    return TreeNode(id=id_, state=state, since=NOW, children=children, **given)


def tokens(**budget: Any) -> TreeNode:
    details = {"credential": "a token", "renewed": False, "expires_at": None, "budget": budget}
    return node("tokens", "ready", details=details)


def tree(*children: TreeNode) -> TreeNode:
    return node("root", "running", *children, path="root", kind=Kind.SUPERVISOR)


def standing(what: str = "runner application", **more: Any) -> Standing:
    given = {"state": "ready", "installed": "2.1", "latest": "2.1", "checked_at": NOW, **more}
    return Standing(what=what, **given)


def upgrades(*subjects: Standing) -> TreeNode:
    return node("upgrades", "ready", details={"subjects": subjects, "warnings": ()})


def firewall(**more: Any) -> TreeNode:
    dropped = dict.fromkeys(DROPPED.values(), COUNT)
    told = {"in_place": True, "checks": 1, "rejected": COUNT, "dropped": dropped, "healed": 2}
    return node("firewall", "ready", details={**told, **more})


def image(built_at: str = "2029-12-31T00:00:00+00:00") -> TreeNode:
    images = [{"used": True, "built_at": built_at}, {"used": False, "built_at": "2029-01-01"}]
    return node("image", "ready", details={"image": "4c1f9a0b73de", "images": images})


def storage(used: int = 10, total: int = 100) -> TreeNode:
    return node("storage", "ready", details={"pool": "p", "used": used, "total": total})


def whole_tree() -> TreeNode:
    """Give a tree in which each actor has published all that is told of it."""
    subjects = (
        standing(installed_at=NOW),
        standing("policy package", latest="2.2", latest_since=NOW),
        standing("host", latest=None),
    )
    others = ("control", "metrics", "core", "runners", "signals", "events", "filters")
    return tree(
        tokens(core=LIMIT), firewall(), image(), storage(), upgrades(*subjects),
        node("policy", "ready", details={"healthy": True}), *map(node, others),
        node("fleet", "degraded", details={"short_since": NOW.isoformat()}),
        node("journal", "recording"),
    )  # fmt: skip


def record(kind: feed.Kind, subject: str, state: str, before: str = "", **more: Any) -> Record:
    return Record(more.pop("at", NOW), kind, subject, state, before, **more)


def runner(state: str, before: str = "", name: str = "r", **more: Any) -> Record:
    at = NOW + timedelta(seconds=more.pop("after_s", 0))
    known = ("job", "failed_in", "cause", "adopted", "waited_s", "job_s")
    details = {key: more.pop(key) for key in known if key in more}
    return record(feed.Kind.RUNNER, name, state, before, at=at, details=details, **more)


def all_calls(counters: Counters) -> None:
    """Have every call counted that there can be."""
    for route in ROUTES:
        for verb in ("GET", "POST", "DELETE"):
            for status in ("200", "304", "404", "502", "no answer"):
                counters.count_call(verb, route, status)


def page(
    root: TreeNode | None = None,
    *entries: Entry,
    draining_since: datetime | None = None,
    memory: Memory | None = MEMORY,
    counters: Counters | None = None,
    journal_fails: bool = False,
    lost_records: int = 0,
    lost_spans: int = 0,
) -> str:
    """Write the page as Prometheus reads it."""
    disable_created_metrics()  # as the daemon does
    status = status_report(root, entries, Settings(CONFIG), NOW, draining_since=draining_since)
    counted = (counters or Counters(Feed())).collect()
    registry = CollectorRegistry()
    told = {"lost_records": lost_records, "lost_spans": lost_spans, "journal_fails": journal_fails}
    registry.register(Given(metrics("1.2.3", status, root, memory, **told), counted))
    ProcessCollector(registry=registry)
    return generate_latest(registry).decode()


def whole_page() -> str:
    """Write a page with all that there can be."""
    counters = Counters(Feed())
    all_calls(counters)
    return page(whole_tree(), counters=counters, draining_since=NOW)
