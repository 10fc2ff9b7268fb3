"""What must hold, judged from outside: each function returns what doesn't, in words.

The rules, as precisely as they can be told from outside:

Names
    A name is used once: GitHub never has a second registration under it, LXD never a second
    instance.

Number
    Instances that may still take a job, or run one under the configuration in force, are at no
    time more than the largest `virtual-machines` of the last `GRACE_S` seconds. Not counted are an
    instance without a registration (it can't take a job: it is being deleted) and one that runs a
    job and was made from other settings than those in force (it finishes under an older
    configuration).
    The grace is for the way down: whoever is one too many is let go through GitHub, which may
    refuse for a while.

Jobs
    A job that succeeded ran once, on the runner that GitHub names, from its beginning to its end.
    One that failed, or went back into the queue, was with a runner that we killed; each loss has a
    victim of ours.

Orders
    The deletion of a runner that is at work, before and after, is refused.

Log
    No exception but the crashes that were ordered; each line is one that the daemon formed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from sandbox.github import Job
    from tests.e2e.chaos.roll_call import Run

GRACE_S = 60.0
_ORDERED = "Crashed: ordered on the control socket"


@dataclass(frozen=True)
class Registered:
    """A registration as GitHub showed it."""

    id: int
    busy: bool


@dataclass(frozen=True)
class Made:
    """An instance as LXD showed it: when it was made, and the settings that it was made from."""

    at: datetime
    generation: str


@dataclass(frozen=True)
class Sample:
    """What was there at one moment.

    Attributes:
        at_s: when, on the monotonic clock.
        instances: of ours, whatever their state.
        before: the registrations just before LXD was asked.
        after: the same just after.
    """

    at_s: float
    instances: Mapping[str, Made]
    before: Mapping[str, Registered]
    after: Mapping[str, Registered]


@dataclass(frozen=True)
class Setting:
    """A configuration: in force until the next one, but for the time it takes to be heard of."""

    at_s: float
    virtual_machines: int
    generation: str


def too_many(sample: Sample, settings: Sequence[Setting]) -> str:
    """Judge the number of instances; empty if it is right."""
    since = sample.at_s - GRACE_S
    lasting = [
        setting.virtual_machines
        for setting, later in zip(settings, [*settings[1:], None], strict=True)
        if setting.at_s <= sample.at_s and (later is None or later.at_s >= since)
    ]
    generation = [s.generation for s in settings if s.at_s <= sample.at_s][-1]
    counted = sorted(
        name
        for name, made in sample.instances.items()
        if name in sample.before
        and name in sample.after
        and not (sample.before[name].busy and made.generation != generation)
    )
    if len(counted) <= max(lasting):
        return ""
    wanted = f"at most {max(lasting)} were wanted in the last {GRACE_S:g} s"
    return f"{len(counted)} instances may take or run jobs, {wanted}: {', '.join(counted)}"


class Names:
    """Remembers who had which name."""

    def __init__(self) -> None:
        self._registrations: dict[str, int] = {}
        self._instances: dict[str, datetime] = {}

    def used_again(self, sample: Sample) -> list[str]:
        """Judge the names of one more sample."""
        found = []
        for name, registered in (*sample.before.items(), *sample.after.items()):
            if self._registrations.setdefault(name, registered.id) != registered.id:
                found.append(f"{name} was registered a second time, as {registered.id}")
        for name, made in sample.instances.items():
            if self._instances.setdefault(name, made.at) != made.at:
                found.append(f"an instance {name} was made a second time, at {made.at}")
        return found


def about_job(
    job: Job, begun: Collection[Run], ended: Collection[Run], victims: Collection[str]
) -> list[str]:
    """Judge what became of one job."""
    found = []
    innocent = [name for name in job.lost_by if name not in victims]
    if innocent:
        found.append(f"was lost by {', '.join(innocent)}, which nobody had killed")
    if job.conclusion == "success":
        if {run.runner for run in begun} != {job.runner_name} or len(begun) != 1:
            found.append(f"succeeded on {job.runner_name}, and ran as {sorted(map(str, begun))}")
        if ended != begun:
            found.append("succeeded without having come to its end")
    elif job.conclusion == "failure":
        if job.runner_name not in job.lost_by:
            found.append(f"failed on {job.runner_name}, which was not lost:\n{job.log}")
        if len(begun) > 1:
            found.append(f"ran more than once: {sorted(map(str, begun))}")
    else:
        found.append(f"is {job.conclusion or job.status}")
    return [f"job {job.id} {what}" for what in found]


def about_deletion(name: str, before: str, refusal: str, after: str | None) -> str:
    """Judge the answer to an order to delete a runner without force; empty if it is right.

    Args:
        name: of the runner.
        before: its stage just before the order.
        refusal: the answer; empty if the order was accepted.
        after: its stage just after, None if it is gone.
    """
    if before == after == "busy" and not refusal:
        return f"{name} runs a job, and its deletion without force was accepted"
    return ""


def about_log(lines: Iterable[str]) -> list[str]:
    """Judge the daemon's log."""
    found = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            found.append(f"a line of the log that isn't the daemon's: {line}")
            continue
        if _ORDERED not in entry.get("exception", _ORDERED):
            found.append(f"{entry['time']} {entry['message']}\n{entry['exception']}")
    return found
