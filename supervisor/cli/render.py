"""How actors, runners and logs look to people."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from rich.table import Table
from rich.text import Text

from supervisor.cli.tables import fitting, stage_text, table_of
from supervisor.cli.times import age, until
from supervisor.text.printable import one_line


def tree_table(root: Mapping[str, Any], width: int, now: datetime | None = None) -> Table:
    """Draw the supervision tree, a line an actor.

    Args:
        root: the answer of `/v1/tree`.
        width: of the terminal, in characters.
        now: against which ages are told.
    """
    now = now or datetime.now(timezone.utc)
    table = table_of("ACTOR", "KIND", "STATE", "FOR", "RESTARTS", "MAILBOX", "WHAT")
    for guide, node in _walk(root):
        table.add_row(
            Text.assemble((guide, "dim"), (node["id"], "bold")),
            Text(node["kind"], "dim"),
            stage_text(node["state"]),
            age(node["since"], now),
            Text(str(node["restarts"]), "yellow" if node["restarts"] else "dim"),
            Text(str(node["mailbox"]), "yellow" if node["mailbox"] else "dim"),
            Text("  ").join(_remarks(node, now)),
        )
    return fitting(table, width, spare=("KIND", "MAILBOX", "RESTARTS"), shorten=("ACTOR",))


def _walk(
    node: Mapping[str, Any], guide: str = "", below: str = ""
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give every node with the lines that lead to it."""
    yield guide, node
    children = node["children"]
    for position, child in enumerate(children, start=1):
        last = position == len(children)
        yield from _walk(
            child,
            below + ("└─ " if last else "├─ "),
            below + ("   " if last else "│  "),
        )


def _remarks(node: Mapping[str, Any], now: datetime) -> Iterator[Text]:
    if node["handling"] and node["stuck"]:
        handling = node["handling"]
        yield Text(f"stuck in {handling['type']} for {age(handling['since'], now)}", "bold red")
    if node["waits_until"]:
        yield Text(f"starts again in {until(node['waits_until'], now)}", "red")
    if node["abandoned"]:
        yield Text(f"{node['abandoned']} abandoned", "bold red")
    if node["unhandled"]:
        yield Text(f"{node['unhandled']} messages not understood", "yellow")
    if node["details"].get("job"):
        yield Text(job_in_words(node["details"]["job"]), "bold yellow")
    if node["reason"]:
        yield Text(node["reason"], "dim")


def runners_table(
    runners: list[Mapping[str, Any]], width: int, now: datetime | None = None
) -> Table:
    """List the runners.

    Args:
        runners: the answer of `/v1/runners`.
        width: of the terminal, in characters.
        now: against which ages are told.
    """
    now = now or datetime.now(timezone.utc)
    table = table_of("RUNNER", "STAGE", "FOR", "JOB", "REASON")
    for runner in sorted(runners, key=lambda r: str(r["name"])):
        table.add_row(
            Text(runner["name"], "bold"),
            stage_text(runner["stage"]),
            age(runner["since"], now),
            # What jobs are called is others' words, and may be long.
            Text(one_line(job_in_words(runner["job"])) if runner["job"] else ""),
            Text(one_line(runner["reason"]), "dim"),
        )
    return fitting(table, width, shorten=("JOB",))


def logs_table(
    kept: list[Mapping[str, Any]], width: int, now: datetime | None = None, of: str = "RUNNER"
) -> Table:
    """List the logs that are kept of failed guests, or of builds, as the daemon orders them.

    Args:
        kept: the answer of `/v1/logs`, or of `/v1/image/logs`.
        width: of the terminal, in characters.
        now: against which ages are told.
        of: what each is about.
    """
    now = now or datetime.now(timezone.utc)
    table = table_of(of, "SAVED", "SIZE", "REASON")
    for one in kept:
        table.add_row(
            Text(one_line(one["runner"]), "bold"),
            f"{age(one['saved_at'], now)} ago",
            f"{one['size'] / 1024:,.0f} KiB",
            Text(one_line(one["reason"]), "dim"),
        )
    return fitting(table, width)


def job_in_words(job: Mapping[str, str]) -> str:
    """Name a job: repository, workflow, name, as far as they are known."""
    return " ".join(filter(None, (job["repository"], job["workflow"], job["name"])))
