"""What the page tells of the present, made of what the actors have published."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

from supervisor.gateways.host_memory import Memory
from supervisor.lifecycle import ONLINE, Stage
from supervisor.metrics import PREFIX, upkeep
from supervisor.roles import is_runner
from supervisor.status.document import Status
from supervisor.status.health import Health
from supervisor.status.part_reports import image_report
from supervisor.supervision import TreeNode

_RUNNER = "runner"
# GitHub names its limits in a header: an Enterprise Server, or who poses as one, may name any.
_MOST_LIMITS, _LONGEST_NAME = 20, 40


def metrics(
    version: str,
    status: Status,
    root: TreeNode | None,
    memory: Memory | None,
    *,
    journal_fails: bool,
    lost_records: int,
    lost_spans: int,
) -> Iterator[Metric]:
    """Give every metric of the daemon's own that is of the present.

    Args:
        version: the daemon's.
        status: as `status_report` sums up.
        root: of the tree, of the same moment.
        memory: of the host; None if that is not known.
        journal_fails: whether the journal can't be written just now.
        lost_records: how much the journal could not keep since the daemon's start.
        lost_spans: how much of the traces is lost since the daemon's start.
    """
    nodes = root.walk() if root else ()
    details = {node.id: node.details for node in nodes if not is_runner(node.path)}
    yield InfoMetricFamily(f"{PREFIX}_build", "The daemon's version.", {"version": version})
    yield from _fleet(status)
    yield _by_label(
        "part_in_place",
        "Whether what each new runner needs is there.",
        "part",
        {part: told["in_place"] for part, told in status["parts"].items()},
    )
    yield from _github(status["github"].get("budget", {}))
    yield from _actors(root)
    yield from upkeep.firewall(details.get("firewall", {}))
    yield from upkeep.upgrades(details.get("upgrades", {}).get("subjects", ()))
    yield from upkeep.image(image_report(root))
    yield from upkeep.pool(details.get("storage", {}))
    yield from upkeep.journal(lost_records, fails=journal_fails)
    yield from upkeep.traces(lost_spans)
    yield from upkeep.memory(memory)


def _fleet(status: Status) -> Iterator[Metric]:
    stages = {stage: status["stages"].get(str(stage), 0) for stage in Stage}
    runners = GaugeMetricFamily(
        f"{PREFIX}_runners", "Runners by the stage of their life.", labels=["stage"]
    )
    for stage, count in stages.items():
        runners.add_metric([str(stage)], count)
    yield runners
    online = sum(stages[stage] for stage in ONLINE)
    yield _gauge("runners_online", "Runners that GitHub sees, at work or not.", online)
    yield _gauge("runners_wanted", "Runners that are configured.", status["wanted"])
    is_drained = status["draining_since"] is not None
    yield _gauge("draining", "Whether the fleet was ordered to drain.", is_drained)
    yield _timestamp("drain", "When the fleet was ordered to drain", status["draining_since"])
    yield _timestamp(
        "shortage", "Since when there are fewer runners than wanted", status["short_since"]
    )
    words = {str(word): status["health"] == word for word in Health}
    yield _by_label("health", "How the fleet is: 1 at the word that `status` says.", "state", words)
    yield _gauge("problems", "What is wrong: the problems of `status`.", len(status["problems"]))
    yield _gauge("warnings", "The warnings of `status`.", len(status["warnings"]))


def _github(budget: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    limit, remaining, reset = (
        GaugeMetricFamily(f"{PREFIX}_github_calls_{name}", words, labels=["resource"])
        for name, words in (
            ("limit", "Calls that GitHub allows in an hour, by its limits' names."),
            ("remaining", "How many of them are left."),
            ("reset_timestamp_seconds", "When all are there again, in seconds since 1970."),
        )
    )
    by_label = {name[:_LONGEST_NAME]: told for name, told in budget.items()}
    for name in sorted(by_label)[:_MOST_LIMITS]:
        told, label = by_label[name], [name]
        limit.add_metric(label, told["limit"])
        remaining.add_metric(label, told["remaining"])
        reset.add_metric(label, datetime.fromisoformat(told["reset_at"]).timestamp())
    yield from (limit, remaining, reset)


def _actors(root: TreeNode | None) -> Iterator[Metric]:
    """Tell of the actors that are always there, and of all runners' as one.

    Of runners' actors there are no restarts: they are forgotten with the runner, and a counter must
    not fall.
    """
    restarts = CounterMetricFamily(
        f"{PREFIX}_actor_restarts", "Restarts since its supervisor began.", labels=["actor"]
    )
    mailbox = GaugeMetricFamily(
        f"{PREFIX}_actor_mailbox_messages",
        "Messages that wait for an actor; of runners' actors, for the one with the most.",
        labels=["actor"],
    )
    fullest = 0
    for node in root.walk() if root else ():
        if is_runner(node.path):
            fullest = max(fullest, node.mailbox)
            continue
        restarts.add_metric([node.id], node.restarts)
        mailbox.add_metric([node.id], node.mailbox)
    mailbox.add_metric([_RUNNER], fullest)
    yield from (restarts, mailbox)


def _by_label(name: str, words: str, label: str, values: Mapping[str, bool]) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", words, labels=[label])
    for of, value in values.items():
        family.add_metric([of], value)
    return family


def _timestamp(name: str, words: str, moment: str | None) -> Metric:
    """Tell a moment; nothing where there is none."""
    words = f"{words}, in seconds since 1970."
    family = GaugeMetricFamily(f"{PREFIX}_{name}_timestamp_seconds", words)
    if moment:
        family.add_metric([], datetime.fromisoformat(moment).timestamp())
    return family


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", words, value=value)
