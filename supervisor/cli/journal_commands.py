"""The commands that look into the journal."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from supervisor.cli import journal_words, times
from supervisor.cli.client import SILENCE_S, ControlClient, ControlError
from supervisor.cli.commands import main
from supervisor.cli.options import json_option, socket_option
from supervisor.cli.output import show
from supervisor.journal.questions import MOST_EVENTS, MOST_ROWS
from supervisor.observation.feed import Kind
from supervisor.text.printable import one_line

_POLL_S = 0.5
"""The daemon writes what has happened when it is asked."""
_INTERRUPTED = 130


def _read_since(_context: click.Context, _option: click.Parameter, text: str | None) -> Any:
    if text is None:
        return None
    try:
        return times.read_since(text, datetime.now(timezone.utc))
    except OverflowError:
        raise click.BadParameter("is longer ago than there are dates; such as 30d") from None
    except ValueError:
        raise click.BadParameter(
            "must be how long ago, such as 1h30m, or a moment such as 12:01 or 2030-01-31T12:01, "
            "which is UTC where it names no zone"
        ) from None


_since_option = click.option(
    "--since",
    callback=_read_since,
    help="How long ago (90s, 1h30m, 7d), or a moment (12:01, or ISO 8601; UTC without a zone).",
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
    type=click.IntRange(1, MOST_EVENTS),
    default=100,
    show_default=True,
    help="At most so many: the newest, or with --since the first. For more: --follow --since.",
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
    if not answer["events"] and not follow:
        _warn_of_none(asked)
    if answer["more"] and not follow:
        _warn_of_more(limit)
    if follow:
        try:
            _follow(client, {**asked, "limit": str(MOST_EVENTS)}, answer["last"], lost, as_json)
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
            if time.monotonic() - heard > SILENCE_S:
                raise
            is_behind = False
            continue
        heard = time.monotonic()
        _print(answer["events"], as_json)
        last, is_behind = answer["last"], answer["more"]
        # A daemon that has been restarted counts from nothing.
        lost = _warn_of_lost(answer["lost"], lost if answer["lost"] >= lost else 0)


@main.command()
@socket_option
@json_option
@_since_option
@click.option("--repository", default="", help="Jobs of this repository only: OWNER/NAME.")
@click.option(
    "--limit",
    type=click.IntRange(1, MOST_ROWS),
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


def _warn_of_more(limit: int) -> None:
    """Say that the newest are not among those that were printed."""
    click.echo(
        f"these are the first {limit} only, more have followed: "
        f"ask with --limit, up to {MOST_EVENTS}, or with a later --since",
        err=True,
    )


def _warn_of_none(asked: dict[str, str]) -> None:
    """Say that nothing is what was asked for: silence may also be a slip in the question."""
    words = {"runner": "about runner {}", "kind": "of kind {}", "since": "since {}"}
    chosen = [words[key].format(one_line(value)) for key, value in asked.items()]
    click.echo(" ".join(("nothing is recorded", *chosen)), err=True)


def _warn_of_lost(lost: int, known: int) -> int:
    if lost > known:
        click.echo(f"{_counted(lost - known)} lost; see `supervisor-cli status`", err=True)
    return lost


def _counted(events: int) -> str:
    return "1 event was" if events == 1 else f"{events:,} events were"
