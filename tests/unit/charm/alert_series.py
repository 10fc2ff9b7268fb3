"""Series on which an alert fires, and such on which it does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from supervisor.lifecycle import Stage

ABOVE, BELOW = 1.08, 0.92
"""How much of what an alert bears is too much, and how much not yet."""


@dataclass(frozen=True)
class Course:
    """How a series goes.

    Attributes:
        start: what it is at the beginning of time.
        step: how much more each minute.
    """

    start: float
    step: float = 0.0


Series = Mapping[str, Course]
"""Series by their name and labels, as `name{label="value"}`."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """When an alert fires, and when it does not.

    Attributes:
        alert: its name.
        fires: series on which it fires.
        quiet: series in whose place it does not; the others stay.
        after: how many minutes it takes from when these give way to those until it fires.
        lasts: how many from when they are back until it does not any more.
        labels: the alert's, beside Juju's and its own.
    """

    alert: str
    fires: Series
    quiet: Series
    after: float
    lasts: float = 0
    labels: Mapping[str, str] = field(default_factory=dict)


def steady(name: str, value: float, step: float = 0, **labels: str) -> dict[str, Course]:
    """Have a series of ours."""
    inside = ", ".join(f'{key}="{value}"' for key, value in labels.items())
    name = name if name == "up" else f"github_runner_supervisor_{name}"
    return {f"{name}{{{inside}}}": Course(value, step)}


def counting(name: str, per_minute: float, **labels: str) -> dict[str, Course]:
    """Have a counter that grows evenly."""
    return steady(name, 0, per_minute, **labels)


def since(name: str, age_s: float, **labels: str) -> dict[str, Course]:
    """Have a moment that is always as long ago: at the beginning of promtool's time it is 1970."""
    return steady(f"{name}_timestamp_seconds", -age_s, 60, **labels)


def histogram(name: str, limit: float, share: float) -> dict[str, Course]:
    """Have a hundred observations a minute, of which so many are not above a limit."""
    buckets = {limit / 2: 50, limit: 100 * share, limit * 2: 100, float("inf"): 100}
    found: dict[str, Course] = {}
    for le, count in buckets.items():
        found |= counting(f"{name}_bucket", count, le="+Inf" if le == float("inf") else str(le))
    return found


def runners(**counts: int) -> dict[str, Course]:
    """Have so many runners in these stages, and none in the others."""
    found: dict[str, Course] = {}
    for stage in Stage:
        found |= steady("runners", counts.get(str(stage), 0), stage=str(stage))
    return found


def twice(series: Series) -> dict[str, Course]:
    """Have each series twice, as for minutes after the collector has got another name."""
    return {
        name.replace("{", f'{{instance="{instance}", ', 1).replace(", }", "}"): course
        for name, course in series.items()
        for instance in ("before", "after")
    }


def level(alert: str, name: str, fires: float, quiet: float, minutes: float, **labels: str) -> Case:
    """Have an alert on what has been so for some minutes."""
    return Case(
        alert=alert,
        fires=steady(name, fires, **labels),
        quiet=steady(name, quiet, **labels),
        after=minutes,
        labels=labels,
    )


def often(
    alert: str, name: str, most: float, window: float, shown: Iterable[str] = (), **labels: str
) -> Case:
    """Have an alert on more than so many in a window of so many minutes.

    Half of it is over when a few too many outweigh the few too few before, and the same at the end.
    """
    return Case(
        alert=alert,
        fires=counting(name, ABOVE * most / window, **labels),
        quiet=counting(name, BELOW * most / window, **labels),
        after=window / 2,
        lasts=window / 2,
        labels={label: labels[label] for label in shown},
    )


def ever(alert: str, name: str, window: float) -> Case:
    """Have an alert on a single one in a window of so many minutes."""
    return Case(
        alert=alert, fires=counting(name, 1), quiet=counting(name, 0), after=0, lasts=window
    )


def slow(alert: str, name: str, limit_s: float, window: float, minutes: float) -> Case:
    """Have an alert on the slowest tenth within a window, for some minutes."""
    return Case(
        alert=alert,
        fires=histogram(name, limit_s, 0.89),
        quiet=histogram(name, limit_s, 0.91),
        after=window / 2 + minutes,
        lasts=window / 2,
    )
