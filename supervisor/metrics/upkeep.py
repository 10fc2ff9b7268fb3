"""What the page tells of what is kept: firewall, upgrades, image, pool, journal, traces, memory."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from supervisor.firewall import names
from supervisor.firewall.report import DROPPED
from supervisor.gateways.host_memory import Memory
from supervisor.metrics import PREFIX
from supervisor.upgrades.standing import Standing


def firewall(told: Mapping[str, Any]) -> Iterator[Metric]:
    """Tell what guests were refused, as the kernel has counted it at the last look."""
    packets, volume = (
        CounterMetricFamily(f"{PREFIX}_firewall_rejected_{unit}", words, labels=["reason"])
        for unit, words in (
            ("packets", "Packets of guests that were refused or dropped, by the reason."),
            ("bytes", "What these packets held."),
        )
    )
    if "rejected" in told:
        counted = {name: told["dropped"][words] for name, words in DROPPED.items()}
        for name, count in {names.REJECTED: told["rejected"], **counted}.items():
            packets.add_metric([name], count["packets"])
            volume.add_metric([name], count["bytes"])
    yield from (packets, volume)
    yield CounterMetricFamily(
        f"{PREFIX}_firewall_repairs",
        "How often the firewall was put back after others had changed it.",
        value=told.get("healed", 0),
    )


def upgrades(subjects: tuple[Standing, ...]) -> Iterator[Metric]:
    """Tell of each thing that is kept current, whether it is, and since when."""
    checked, installed, outdated, current, failing = (
        GaugeMetricFamily(f"{PREFIX}_upgrade_{name}", words, labels=["subject"])
        for name, words in (
            ("check_timestamp_seconds", "When it was looked at last, in seconds since 1970."),
            (
                "installed_timestamp_seconds",
                "Since when the version in use is, in seconds since 1970.",
            ),
            (
                "outdated_timestamp_seconds",
                "Since when another than that is the newest known of, in seconds since 1970.",
            ),
            ("current", "Whether the newest version known of is in use."),
            ("failing", "Whether the last attempt at the newest has failed, or something lacks."),
        )
    )
    for subject in subjects:
        label = [subject.what.replace(" ", "_")]
        if subject.checked_at:
            checked.add_metric(label, subject.checked_at.timestamp())
        if subject.installed_at:
            installed.add_metric(label, subject.installed_at.timestamp())
        if subject.outdated_since:
            outdated.add_metric(label, subject.outdated_since.timestamp())
        if subject.installed and subject.latest:
            current.add_metric(label, subject.installed == subject.latest)
        failing.add_metric(label, bool(subject.error or subject.warning))
    yield from (checked, installed, outdated, current, failing)


def image(told: Mapping[str, Any]) -> Iterator[Metric]:
    """Tell when the image that runners start from was built, if it was built here."""
    family = GaugeMetricFamily(
        f"{PREFIX}_image_build_timestamp_seconds",
        "When the image in use was built, in seconds since 1970.",
    )
    for one in told["images"]:
        if one["used"]:
            family.add_metric([], datetime.fromisoformat(one["built_at"]).timestamp())
    yield family


def pool(told: Mapping[str, Any]) -> Iterator[Metric]:
    """Tell how full the pool is that runners' disks are in."""
    for name, words in (
        ("used", "What is used of the pool that runners' disks are in."),
        ("total", "How large that pool is."),
    ):
        value = told.get(name)
        family = GaugeMetricFamily(f"{PREFIX}_pool_{name}_bytes", words)
        if value is not None:
            family.add_metric([], value)
        yield family


def journal(lost_records: int, *, fails: bool) -> Iterator[Metric]:
    """Tell whether the journal can be written, and how much of what has happened it has lost.

    Args:
        lost_records: since the daemon's start.
        fails: whether it can't be, as its writer says: that goes on while its actor is away.
    """
    yield CounterMetricFamily(
        f"{PREFIX}_journal_lost_records",
        "Records that the journal of events could not keep.",
        value=lost_records,
    )
    yield GaugeMetricFamily(
        f"{PREFIX}_journal_failing",
        "Whether the journal of events can't be written just now.",
        value=fails,
    )


def traces(lost_spans: int) -> Iterator[Metric]:
    """Tell how much of what was to be sent as traces is lost."""
    yield CounterMetricFamily(
        f"{PREFIX}_traces_lost_spans",
        "Spans that could not be sent to the collector of traces.",
        value=lost_spans,
    )


def memory(seen: Memory | None) -> Iterator[Metric]:
    """Tell of the host's memory."""
    for name, words in (
        ("total", "All memory of the host."),
        ("available", "What of it new processes could have."),
    ):
        family = GaugeMetricFamily(f"{PREFIX}_host_memory_{name}_bytes", words)
        if seen:
            family.add_metric([], getattr(seen, name))
        yield family
