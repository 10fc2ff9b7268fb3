"""How what is kept current looks to people."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from supervisor.cli.output import draw_lines
from supervisor.cli.tables import fitting, stage_text, table_of
from supervisor.cli.times import age, minute
from supervisor.text.printable import one_line


def upgrades_table(upgrades: Mapping[str, Any], width: int, now: datetime | None = None) -> Table:
    """List what is kept current.

    Args:
        upgrades: the answer of `/v1/upgrades`.
        width: of the terminal, in characters.
        now: against which ages are told.
    """
    now = now or datetime.now(timezone.utc)
    table = table_of("WHAT", "INSTALLED", "AGE", "LATEST", "CHECKED", "STATE", "REASON")
    for one in upgrades["subjects"]:
        checked = f"{age(one['checked_at'], now)} ago" if one["checked_at"] else "never"
        # Versions and errors are others' words.
        table.add_row(
            Text(one["what"], "bold"),
            Text(one_line(one["installed"] or "none")),
            age(in_use, now) if (in_use := one.get("installed_at")) else "-",
            Text(one_line("-" if one["latest"] is None else one["latest"] or "unknown")),
            checked,
            stage_text(one["state"]),
            Text(one_line(_reason_of_upgrade(one)), "dim"),
        )
    return fitting(table, width, shorten=("INSTALLED", "LATEST"))


def draw_upgrades(console: Console, upgrades: Mapping[str, Any]) -> None:
    """Draw what is kept current, and whether this host is to be rebooted.

    Args:
        console: where to.
        upgrades: the answer of `/v1/upgrades`.
    """
    console.print(upgrades_table(upgrades, console.width))
    reboot = upgrades["reboot"]
    if reboot["when"] != "no":
        draw_lines(console, [one_line(reboot["reason"])], "yellow")


def _reason_of_upgrade(one: Mapping[str, Any]) -> str:
    # While it is being tried again, how far that is says more than why it has failed before.
    error, progress = one["error"] or one["warning"], one["progress"]
    reason: str = progress or error if one["state"] == "upgrading" else error or progress
    return reason


def upgrade_lines(upgrades: Mapping[str, Any]) -> Iterator[str]:
    """Say what would be upgraded, from what is known.

    Args:
        upgrades: the answer of `/v1/upgrades`.
    """
    for one in upgrades["subjects"]:
        installed, latest = one["installed"] or "none", one["latest"]
        if latest is None:
            words = f"{installed}; it is looked at, and upgraded by others"
        elif installed == latest:
            # What is wrong may be that nobody says whether it is so still.
            words = f"{installed} {'was' if one['error'] else 'is'} the latest"
        else:
            in_use = f" since {minute(one['installed_at'])}" if one.get("installed_at") else ""
            known = (
                f", known since {minute(one['latest_since'])}" if one.get("latest_since") else ""
            )
            words = f"{installed} is in use{in_use}, the latest is {latest or 'unknown'}{known}"
        at = f", as of {minute(one['checked_at'])}" if one["checked_at"] else ""
        error = f": {one['error']}" if one["error"] else ""
        yield one_line(f"{one['what']}: {words}{at}{error}")
