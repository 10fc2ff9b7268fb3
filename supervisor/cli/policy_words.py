"""How the policy on jobs, and what was decided by it, look to people."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from supervisor.cli.output import draw_lines
from supervisor.cli.tables import fitting, table_of
from supervisor.cli.times import age, minute
from supervisor.text.printable import one_line


def draw_policy(console: Console, policy: Mapping[str, Any], now: datetime | None = None) -> None:
    """Say whether jobs can be checked, and show the last decisions.

    Args:
        console: where.
        policy: the answer of `/v1/policy`.
        now: against which ages are told.
    """
    now = now or datetime.now(timezone.utc)
    draw_lines(console, policy_lines(policy))
    if policy.get("decisions"):
        console.print(_decisions_table(policy["decisions"], console.width, now))


def policy_lines(policy: Mapping[str, Any]) -> Iterator[str]:
    """Say in words whether jobs can be checked.

    Args:
        policy: the answer of `/v1/policy`.
    """
    yield f"{'healthy' if policy['healthy'] else 'NOT healthy'}: {policy['reason']}"
    if policy.get("mode"):
        version = f", version {policy['version']}" if policy["version"] else ""
        yield f"mode {policy['mode']}{version}"
    if policy.get("healthy_since"):
        yield f"healthy since {minute(policy['healthy_since'])}"
    if policy.get("workers") is not None:
        yield f"workers: {policy['workers']}"
    if policy.get("counts"):
        counts = ", ".join(f"{count:,} {verdict}" for verdict, count in policy["counts"].items())
        yield f"decisions since {minute(policy['counted_since'])}: {counts}"
    if guests := policy.get("guests"):
        yield f"guests on their own: {guests.get('refused', 0):,} refused"
        if guests.get("contradicted"):
            yield f"jobs that say they were refused, and were allowed: {guests['contradicted']:,}"
    for warning in policy.get("warnings", ()):
        yield f"warning: {warning}"


def _decisions_table(decisions: list[Mapping[str, Any]], width: int, now: datetime) -> Table:
    """List decisions, the latest first."""
    table = table_of("DECIDED", "RUNNER", "REPOSITORY", "EVENT", "VERDICT", "TOOK", "REASON")
    for one in reversed(decisions):
        colour = {"allowed": "green", "refused": "red"}.get(one["verdict"], "yellow")
        # Repositories and reasons are others' words.
        table.add_row(
            f"{age(one['time'], now)} ago",
            Text(one_line(one["runner"]), "bold"),
            Text(one_line(one["repository"])),
            Text(one_line(one["event"])),
            Text(one_line(one["verdict"]) + _by(one), colour),
            "" if one["duration_ms"] is None else f"{one['duration_ms']:,} ms",
            Text(one_line(one["reason"]), "dim"),
        )
    return fitting(table, width, shorten=("REPOSITORY", "EVENT", "RUNNER"))


def _by(decision: Mapping[str, Any]) -> str:
    return " (guest)" if decision.get("by") == "guest" else ""
