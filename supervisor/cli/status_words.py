"""The fleet on one screen, in words: what is, what is wrong, and what to do."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from supervisor.cli.times import age, minute
from supervisor.lifecycle import COMING, GOING, Stage
from supervisor.status.health import Health
from supervisor.text import sizes
from supervisor.text.printable import one_line

EXIT_CODES = {Health.OK: 0, Health.DEGRADED: 1, Health.FAILING: 2}

_GROUPS = {
    "idle": {Stage.IDLE},
    "busy": {Stage.BUSY},
    "ready": {Stage.READY},
    "coming": COMING,
    "going": GOING,
    "failed": {Stage.FAILED},
}


def health_of(status: Mapping[str, Any]) -> Health:
    """Say how the fleet is in a word.

    Args:
        status: the answer of `/v1/status`. A daemon of before says only what is wrong.
    """
    told = status.get("health")
    return Health(told) if told else Health.DEGRADED if status["problems"] else Health.OK


def status_lines(status: Mapping[str, Any], now: datetime | None = None) -> Iterator[str]:
    """Say in words what is, what is wrong, and what to do.

    A warning is information: it costs no runner, and leaves the word and the exit code as they are.

    Args:
        status: the answer of `/v1/status`.
        now: against which ages are told.
    """
    now = now or datetime.now(timezone.utc)
    # Much of it is others' words: LXD's, GitHub's, guests'.
    yield from map(one_line, _what_is(status, now))
    remedies = status.get("remedies", ())
    for position, problem in enumerate(status["problems"]):
        yield one_line(f"problem: {problem}")
        if position < len(remedies):
            yield f"  what to do: {one_line(remedies[position])}"
    for warning in status["warnings"]:
        yield one_line(f"warning: {warning}")
    if not status["problems"]:
        warned = "no problem: what is warned of costs no runner"
        yield warned if status["warnings"] else "nothing is wrong"


def headline(status: Mapping[str, Any]) -> str:
    """Name the fleet, and say how it is in a word."""
    return f"{status['name']} for {status['path']}: {health_of(status)}"


def runners_in_words(status: Mapping[str, Any]) -> str:
    """Say how many runners are there, and what they do."""
    counts = {
        group: sum(status["stages"].get(str(stage), 0) for stage in stages)
        for group, stages in _GROUPS.items()
    }
    told = ", ".join(f"{count} {group}" for group, count in counts.items() if count)
    return f"{status['present']} of {status['wanted']} runners are there ({told or 'none at all'})"


def budget_lines(github: Mapping[str, Any]) -> Iterator[str]:
    """Say what GitHub still allows."""
    for name, bucket in github.get("budget", {}).items():
        yield (
            f"{name}: {bucket['remaining']:,} of {bucket['limit']:,} calls left until "
            f"{minute(bucket['reset_at'])}"
        )


def _what_is(status: Mapping[str, Any], now: datetime) -> Iterator[str]:
    yield headline(status)
    yield runners_in_words(status)
    fleet = status.get("fleet") or {}
    if fleet.get("since"):
        yield f"{fleet['state']} since {minute(fleet['since'])}"
    if status.get("short_since"):
        yield f"fewer runners than wanted since {minute(status['short_since'])}"
    if status["draining_since"]:
        yield (
            f"draining since {minute(status['draining_since'])}: no runner is created until "
            "`supervisor-cli resume`"
        )
    if failure := status.get("last_failure"):
        where = f" while {failure['stage']}" if failure["stage"] else ""
        ago = age(failure["at"], now)
        yield f"the last failure was {ago} ago: {failure['runner']}{where}: {failure['reason']}"
    yield from _parts(status)
    yield from _github(status["github"])
    yield from _former_places(status["former_places"])


def _parts(status: Mapping[str, Any]) -> Iterator[str]:
    """Say what is in place of that which a runner needs, and how current it is."""
    parts = status.get("parts") or {}
    if there := [part for part, told in parts.items() if told["in_place"]]:
        yield f"in place: {', '.join(there)}"
    for part, told in parts.items():
        if not told["in_place"]:
            yield f"NOT in place: {part}: {told['reason'] or told['state']}"
    for what in ("image", "storage"):
        if what in parts and parts[what]["in_place"]:
            yield f"{what}: {parts[what]['reason']}"
    if memory := status.get("memory"):
        free, total = (sizes.in_words(memory[key]) for key in ("available", "total"))
        yield f"host: {free} of {total} memory are free"
    if upgrades := status.get("upgrades"):
        yield f"upgrades: {upgrades['reason'] or upgrades['state']}"


def _github(github: Mapping[str, Any]) -> Iterator[str]:
    if not github.get("credential"):
        yield f"{github['url']}: not asked yet"
        return
    has = f", which has: {github['permissions']}" if github["permissions"] else ""
    ends = f", until {minute(github['expires_at'])}" if github["expires_at"] else ""
    yield f"{github['url']}: asked with the {github['credential']}{has}{ends}"
    yield from budget_lines(github)
    if github["runners_per_hour"] is not None:
        yield f"that is enough for {github['runners_per_hour']:,} runners an hour"


def _former_places(places: list[Mapping[str, Any]]) -> Iterator[str]:
    for place in places:
        count = sum(place["stages"].values())
        left = ", ".join(f"{number} {stage}" for stage, number in place["stages"].items())
        runners = f"{count} runner{'' if count == 1 else 's'}" if count else "registrations"
        yield f"{runners} still at {place['place']}" + (f": {left}" if left else "")
