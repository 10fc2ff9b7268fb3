"""The commands that look into the journal."""

from __future__ import annotations

import json
import re
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from supervisor.cli import journal_words
from supervisor.cli.client import ControlClient, ControlError
from supervisor.cli.commands import main
from supervisor.cli.options import json_option, socket_option
from supervisor.cli.output import show
from supervisor.feed import Kind

_POLL_S = 1.0
_SILENCE_S = 60.0
_MOST = 1000
_INTERRUPTED = 130
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _read_since(_context: click.Context, _option: click.Parameter, text: str | None) -> Any:
    """Read `90s`, `30m`, `2h`, `7d`, or a moment in ISO 8601, which is local without a zone."""
    if text is None:
        return None
    try:
        if match := re.fullmatch(r"([0-9]{1,6})([smhd])", text.strip()):
            return datetime.now(timezone.utc) - timedelta(**{_UNITS[match[2]]: int(match[1])})
        return datetime.fromisoformat(text.strip().replace("Z", "+00:00")).astimezone()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            "must be how long ago, such as 1h, or a moment such as 2030-01-31T12:00"
        ) from None


_since_option = click.option(
    "--since",
    callback=_read_since,
    help="How long ago (90s, 30m, 2h, 7d), or a moment in ISO 8601.",
)


@main.command()
@socket_option
@click.option("--follow", "-f", is_flag=True, help="Go on, and print what happens as it does.")
@click.option("--runner", default="", help="What is about this runner only.")
@click.option(
    "--kind", type=click.Choice([str(kind) for kind in Kind]), help="What is of this kind only."
)
@_since_option
@click.option(
    "--limit",
    type=click.IntRange(1, _MOST),
    default=100,
    show_default=True,
    help="At most so many: the newest, or with --since the first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line.")
def events(
    socket: Path,
    follow: bool,
    runner: str,
    kind: str | None,
    since: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Say what has happened: to runners and their jobs, actors' states, orders, reconciles."""
    client = ControlClient(socket)
    asked = _given(runner=runner, kind=kind, since=since)
    answer = client.get(f"/v1/events?{urlencode({**asked, 'limit': limit})}")
    _print(answer["events"], as_json)
    lost = _warn_of_lost(answer["lost"], 0)
    if since and not follow and len(answer["events"]) == limit:
        _warn_of_more(client, asked, answer["last"], limit)
    if follow:
        try:
            _follow(client, {**asked, "limit": str(_MOST)}, answer["last"], lost, as_json)
        except KeyboardInterrupt:
            sys.exit(_INTERRUPTED)


def _follow(
    client: ControlClient, asked: dict[str, str], last: int, lost: int, as_json: bool
) -> None:
    """Print what comes, until interrupted; a daemon that is being restarted is waited for."""
    heard = time.monotonic()
    is_behind = False
    while True:
        time.sleep(0 if is_behind else _POLL_S)
        try:
            answer = client.get(f"/v1/events?{urlencode({**asked, 'after': last})}")
        except ControlError:
            if time.monotonic() - heard > _SILENCE_S:
                raise
            is_behind = False
            continue
        heard = time.monotonic()
        _print(answer["events"], as_json)
        last, is_behind = answer["last"], len(answer["events"]) == _MOST
        # A daemon that has been restarted counts from nothing.
        lost = _warn_of_lost(answer["lost"], min(lost, answer["lost"]))


@main.command()
@socket_option
@json_option
@_since_option
@click.option("--repository", default="", help="Jobs of this repository only: OWNER/NAME.")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="At most so many jobs and runners, the newest; the percentiles are of all.",
)
def history(
    socket: Path, as_json: bool, since: datetime | None, repository: str, limit: int
) -> None:
    """Show past jobs and runners, and how long installing, waiting and jobs take."""
    query = urlencode({**_given(since=since, repository=repository), "limit": limit})
    answer = ControlClient(socket).get(f"/v1/history?{query}")
    show(answer, as_json, lambda console: journal_words.draw_history(console, answer))


def _given(**parameters: Any) -> dict[str, str]:
    return {
        key: value.isoformat() if isinstance(value, datetime) else str(value)
        for key, value in parameters.items()
        if value
    }


def _print(found: list[dict[str, Any]], as_json: bool) -> None:
    for event in found:
        click.echo(json.dumps(event) if as_json else journal_words.event_line(event))


def _warn_of_more(client: ControlClient, asked: dict[str, str], last: int, limit: int) -> None:
    """Say that the newest are not among those that were printed, if there are any."""
    if client.get(f"/v1/events?{urlencode({**asked, 'after': last, 'limit': 1})}")["events"]:
        click.echo(
            f"these are the first {limit} only, more have followed: "
            f"ask with --limit, up to {_MOST}, or with a later --since",
            err=True,
        )


def _warn_of_lost(lost: int, known: int) -> int:
    if lost > known:
        click.echo(f"{lost - known} events were lost; see `supervisor-cli status`", err=True)
    return lost
