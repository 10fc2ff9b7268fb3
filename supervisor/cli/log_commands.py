"""The commands that show logs, and say how much is logged."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import click

from supervisor.cli import render
from supervisor.cli.client import ControlClient
from supervisor.cli.commands import main
from supervisor.cli.options import OptionalArgument, json_option, socket_option
from supervisor.cli.output import show
from supervisor.cli.waiting import NotDone
from supervisor.config_basics import LOG_LEVELS
from supervisor.text.printable import printable

_UNIT = "github-runner-supervisor.service"
_SYSTEMD = Path("/run/systemd/system")  # there is one if it runs, by sd_booted(3)
_PRIORITIES = {"DEBUG": "debug", "INFO": "info", "WARNING": "warning", "ERROR": "err"}


@main.command()
@socket_option
@json_option
@click.option("--daemon", "of_daemon", is_flag=True, help="The daemon's own log, from the journal.")
@click.option("--runner", "about", metavar="NAME", help="Only what it says of this runner.")
@click.option(
    "--level",
    type=click.Choice(LOG_LEVELS, case_sensitive=False),
    help="Only from this level on.",
)
@click.option("--follow", is_flag=True, help="Go on with what is logged from now on.")
@click.option("--since", metavar="TIME", help="Only from then on, such as '10 minutes ago'.")
@click.argument("runner", required=False)
def logs(
    socket: Path,
    runner: str | None,
    as_json: bool,
    of_daemon: bool,
    about: str | None,
    level: str | None,
    follow: bool,
    since: str | None,
) -> None:
    """List the logs that are kept of failed guests, or print RUNNER's.

    With --daemon show the daemon's own log instead, as systemd's journal has it. TIME is as
    journalctl takes it.
    """
    if of_daemon:
        if runner:
            raise click.UsageError(f"--daemon: give the runner by --runner {runner}")
        _show_journal(about, level, since, follow=follow, as_json=as_json)
    given = {"--runner": about, "--level": level, "--follow": follow, "--since": since}
    for option, value in given.items():
        if value:
            raise click.UsageError(f"{option}: only for the daemon's own log; add --daemon")
    show_logs(ControlClient(socket), "/v1/logs", runner, as_json, of="RUNNER")


def show_logs(
    client: ControlClient, path: str, name: str | None, as_json: bool, *, of: str
) -> None:
    """List the logs that are kept, or print one of them.

    Args:
        client: of the daemon.
        path: where it serves them.
        name: whose is printed; None for the list.
        as_json: whether the answer is shown as it is.
        of: what each is about, as the heading of the list.
    """
    if name is None:
        kept = client.get(path)
        show(
            kept,
            as_json,
            lambda console: console.print(render.logs_table(kept, console.width, of=of)),
        )
        return
    answer = client.get(f"{path}/{quote(name, safe='')}")
    # The file is printable as the daemon has written it; this one may be another's.
    show(answer, as_json, lambda _console: click.echo(printable(answer["text"]), nl=False))


def _show_journal(
    runner: str | None, level: str | None, since: str | None, *, follow: bool, as_json: bool
) -> None:
    """Become journalctl: it pages, follows and is interrupted as people are used to."""
    command = ["journalctl", f"--unit={_UNIT}"]
    if level:
        command.append(f"--priority={_PRIORITIES[level]}")
    if since:
        command.append(f"--since={since}")
    if follow:
        command.append("--follow")
    if as_json:
        command.append("--output=json")
    if runner:
        command.append(f"RUNNER={runner}")
    elsewhere = (
        "the daemon's log is where the standard error of `supervisor-cli run` was led to, for "
        "systemd's journal can't be read here"
    )
    if not _SYSTEMD.is_dir():
        raise NotDone(f"{elsewhere}: systemd does not run")
    try:
        os.execvp(command[0], command)  # noqa: S606 - a list, no shell
    except OSError as error:
        raise NotDone(f"{elsewhere}: {command[0]}: {error.strerror}") from error


@main.command("log-level")
@socket_option
@json_option
@click.argument(
    "level",
    cls=OptionalArgument,
    metavar="[LEVEL]",
    required=False,
    type=click.Choice(LOG_LEVELS, case_sensitive=False),
)
def log_level(socket: Path, level: str | None, as_json: bool) -> None:
    """Print from which level on the daemon logs, or have it log from LEVEL on.

    That holds until another one is ordered, `log-level` is changed in the configuration, or the
    daemon is restarted.
    """
    client = ControlClient(socket)
    path = "/v1/log-level"
    answer = client.put(path, {"level": level}) if level else client.get(path)
    show(answer, as_json, lambda _console: click.echo(answer["level"]))
