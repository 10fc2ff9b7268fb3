"""How the firewall looks to people."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from supervisor.cli.times import age, minute


def firewall_lines(firewall: Mapping[str, Any], now: datetime | None = None) -> Iterator[str]:
    """Say in words whether the firewall is in place, and what it has done.

    Args:
        firewall: the answer of `/v1/firewall`.
        now: against which ages are told.
    """
    now = now or datetime.now(timezone.utc)
    yield f"{'in place' if firewall['in_place'] else 'NOT in place'}: {firewall['reason']}"
    if firewall.get("table"):
        yield f"table inet {firewall['table']}, bridge {firewall['bridge']}"
    if firewall.get("in_place_since"):
        yield f"in place since {minute(firewall['in_place_since'])}"
    if firewall.get("verified_at"):
        yield f"seen in the kernel as it should be {age(firewall['verified_at'], now)} ago"
    if firewall.get("table"):
        yield f"changed by others and put back: {_times(firewall['healed'])}"
        yield f"denied: {firewall['denied']:,}, allowed: {firewall['allowed']:,}"
        yield f"on this host: {', '.join(firewall['services'])}"
        for what, count in firewall["dropped"].items():
            yield f"dropped, {what}: {_traffic(count)}"
        yield f"rejected: {_traffic(firewall['rejected'])}"
        for runner, count in sorted(firewall["rejected_of"].items()):
            yield f"  {runner}: {_traffic(count)}"
        if firewall["rejected_of_others"]["packets"]:
            yield f"  runners that are gone: {_traffic(firewall['rejected_of_others'])}"
    for name in firewall.get("unfiltered", ()):
        yield f"without LXD's filters: {name}"
    for warning in firewall.get("warnings", ()):
        yield f"warning: {warning}"


def _traffic(count: Mapping[str, int]) -> str:
    return f"{count['packets']:,} packets, {count['bytes']:,} bytes"


def _times(count: int) -> str:
    return "never" if not count else "once" if count == 1 else f"{count:,} times"
