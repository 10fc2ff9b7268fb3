"""Whether this host is to be rebooted, and when that costs nobody a job."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

When = Literal["no", "now", "after-drain"]


@dataclass(frozen=True)
class KernelSeen:
    """What was found of the kernel.

    Attributes:
        running: its release, such as `5.15.0-91-generic`.
        installed: the releases that could be started.
        required: the host says that a reboot is needed, as update-notifier-common does.
        for_packages: the packages that need it.
    """

    running: str
    installed: tuple[str, ...] = ()
    required: bool = False
    for_packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Need:
    """What a reboot is needed for.

    Attributes:
        reason: for people.
        kernel: the release that it is to start; empty if it is needed for something else.
    """

    reason: str
    kernel: str = ""


@dataclass(frozen=True)
class Reboot:
    """The decision.

    Attributes:
        when: `no`; `now`, as nothing runs; or `after-drain`.
        reason: for people.
        kernel: the release that is to be started; empty if it is for something else.
    """

    when: When
    reason: str
    kernel: str = ""


def needed_for(seen: KernelSeen) -> Need | None:
    """Say what a reboot is needed for; None if it is not."""
    newest = newest_of_its_flavour(seen)
    if newest and _number(newest) > _number(seen.running):
        return Need(f"kernel {newest} is installed, {seen.running} is running", newest)
    if seen.required:
        names = ", ".join(seen.for_packages)
        packages = f"packages that were upgraded need it: {names}"
        return Need(packages if names else "the host asks for it")
    return None


def newest_of_its_flavour(seen: KernelSeen) -> str:
    """Give the newest installed kernel of the running one's flavour; empty if there is none.

    Where none is installed, as in a container, there is none to be started.
    """
    flavour = _flavour(seen.running)
    candidates = [one for one in seen.installed if _flavour(one) == flavour]
    return max(candidates, key=_number, default="")


@dataclass(frozen=True)
class Running:
    """What a reboot would end.

    Attributes:
        runners: how many there are.
        busy: how many of them run a job.
        building: an image is being built.
        held: no runner is made, as a drain was ordered or none is wanted.
    """

    runners: int
    busy: int
    building: bool
    held: bool


def decide(needed: Need | None, running: Running) -> Reboot:
    """Decide when to reboot.

    Args:
        needed: what for; None if it is not.
        running: what it would end. Where nothing is held, the next runner may begin a job before
            the host goes down, although none is there now.
    """
    if not needed:
        return Reboot("no", "no reboot is needed")
    if not running.held:
        how = "after `supervisor-cli drain`"
    elif running.runners:
        how = "as soon as the drain has ended"
    elif running.building:
        how = "as soon as the image is built"
    else:
        reason = f"a reboot is needed, and no runner is there: {needed.reason}"
        return Reboot("now", reason, needed.kernel)
    count = running.runners
    there = f"{count} runner{'' if count == 1 else 's'}, {running.busy} at work"
    there += ", an image is being built" if running.building else ""
    reason = f"a reboot is needed {how} ({there}): {needed.reason}"
    return Reboot("after-drain", reason, needed.kernel)


def _flavour(release: str) -> str:
    """Give what stands after the numbers: `generic`, `cloud-amd64`; a distribution's own word."""
    return release[len(_numbers(release)) :]


def _number(release: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"[0-9]+", _numbers(release))))


def _numbers(release: str) -> str:
    """Give the part of a release that grows, such as `6.1.0-18-` or `6.1.0-0.deb11.13-`."""
    found = re.match(r"(?:[0-9.+~-]|deb[0-9]|rc[0-9]|bpo[0-9])*", release)
    return found[0] if found else ""
