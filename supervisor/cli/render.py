"""How the daemon's answers look to people."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from rich.table import Table
from rich.text import Text
from rich.tree import Tree

_COLOURS = {
    "busy": "yellow",
    "idle": "green",
    "ready": "green",
    "listening": "green",
    "keeping": "green",
    "running": "green",
    "failed": "red",
    "failing": "red",
    "degraded": "red",
    "down": "red",
    "waiting": "yellow",
    "finished": "blue",
    "retiring": "blue",
}


def tree_view(node: Mapping[str, Any], now: datetime | None = None) -> Tree:
    """Draw the supervision tree."""
    now = now or datetime.now(timezone.utc)
    drawn = Tree(_label(node, now), guide_style="dim")
    _grow(drawn, node, now)
    return drawn


def _grow(drawn: Tree, node: Mapping[str, Any], now: datetime) -> None:
    for child in node["children"]:
        _grow(drawn.add(_label(child, now)), child, now)


def _label(node: Mapping[str, Any], now: datetime) -> Text:
    state = node["state"]
    label = Text.assemble(
        (node["id"], "bold"),
        "  ",
        (state, _COLOURS.get(state, "cyan")),
        (f" {age(node['since'], now)}", "dim"),
        overflow="ellipsis",
        no_wrap=True,
    )
    if node["children"] or node["kind"] == "supervisor":
        label.append(f"  {len(node['children'])} children", "dim")
    for part, style in _remarks(node, now):
        label.append("  ")
        label.append(part, style)
    return label


def _remarks(node: Mapping[str, Any], now: datetime) -> Iterator[tuple[str, str]]:
    if node["restarts"]:
        yield f"restarts={node['restarts']}", "yellow"
    if node["mailbox"]:
        yield f"mailbox={node['mailbox']}", "yellow"
    if node["unhandled"]:
        yield f"unhandled={node['unhandled']}", "yellow"
    if node["handling"]:
        handling = node["handling"]
        style = "bold red" if node["stuck"] else "yellow"
        yield f"in {handling['type']} for {age(handling['since'], now)}", style
    if node["waits_until"]:
        yield f"starts again in {until(node['waits_until'], now)}", "red"
    if node["abandoned"]:
        yield f"abandoned={node['abandoned']}", "bold red"
    job = node["details"].get("job")
    if job:
        words = " ".join(word for word in (job["repository"], job["workflow"], job["name"]) if word)
        yield words, "bold yellow"
    if node["reason"]:
        yield node["reason"], "dim"


def runners_table(runners: list[Mapping[str, Any]], now: datetime | None = None) -> Table:
    """List the runners."""
    now = now or datetime.now(timezone.utc)
    table = Table(box=None, pad_edge=False)
    for heading in ("RUNNER", "STAGE", "FOR", "JOB", "REASON"):
        table.add_column(heading, no_wrap=heading != "REASON")
    for runner in sorted(runners, key=lambda r: str(r["name"])):
        job = runner["job"] or {}
        table.add_row(
            # As Text: what a guest or LXD said must not be read as markup.
            Text(runner["name"]),
            Text(runner["stage"], _COLOURS.get(runner["stage"], "cyan")),
            age(runner["since"], now),
            Text(" ".join(job[key] for key in ("repository", "workflow", "name") if job.get(key))),
            Text(runner["reason"]),
        )
    return table


def status_lines(status: Mapping[str, Any]) -> Iterator[str]:
    """Say in words what is, and what is wrong."""
    stages = ", ".join(f"{count} {stage}" for stage, count in status["stages"].items())
    yield f"{status['name']} for {status['path']}"
    yield f"{status['present']} of {status['wanted']} runners are there ({stages or 'none at all'})"
    for problem in status["problems"]:
        yield f"problem: {problem}"


def age(since: str, now: datetime) -> str:
    """Say how long ago something was: `3s`, `5m`, `2h`, `4d`."""
    return _span((now - _moment(since)).total_seconds())


def until(when: str, now: datetime) -> str:
    """Say how long something still takes."""
    return _span((_moment(when) - now).total_seconds())


def _moment(text: str) -> datetime:
    # Before Python 3.11 it took no Z, which pydantic writes.
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _span(seconds: float) -> str:
    seconds = max(0.0, seconds)
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)}{unit}"
    return f"{seconds:.0f}s"
