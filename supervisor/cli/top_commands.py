"""The command that shows the fleet as it goes on."""

from __future__ import annotations

import curses
import os
import sys
from typing import TYPE_CHECKING

import click

from supervisor.cli.client import AccessDenied, ControlClient, ControlError
from supervisor.cli.commands import main
from supervisor.cli.options import socket_option

if TYPE_CHECKING:
    from pathlib import Path


@main.command()
@socket_option
def top(socket: Path) -> None:
    """Show the fleet as it is, all the time, and take orders by keys.

    Its runners, the daemon's parts, what GitHub still allows, and what has happened last. It works
    over SSH, from 80 columns and 24 lines on, and with NO_COLOR. A daemon that goes away is waited
    for.
    """
    if not _is_terminal():
        raise click.UsageError("top: needs a terminal; for scripts there is `status --json`")
    client = ControlClient(socket)
    try:
        client.get("/v1/version")
    except AccessDenied:
        raise
    except ControlError:
        pass  # it is waited for
    if not _has_colours():
        os.environ["NO_COLOR"] = "1"
    # Slow to import, and of no use to the other commands.
    from supervisor.cli.top.app import Top

    # Without the mouse the terminal's own selection of text works.
    Top(client).run(mouse=False)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _has_colours() -> bool:
    """Tell whether the terminal has colours, by what the system knows of its kind."""
    try:
        curses.setupterm()
    except curses.error:
        return False  # of an unknown kind the least is expected
    return curses.tigetnum("colors") > 0
