"""The commands that order something of the daemon, and wait for it if they are told to."""

import sys
from pathlib import Path
from urllib.parse import quote

import click

from supervisor.cli import firewall_words, waiting
from supervisor.cli.client import ControlClient
from supervisor.cli.commands import main
from supervisor.cli.options import json_option, limit_option, socket_option, wait_options
from supervisor.cli.order_words import not_reached
from supervisor.cli.output import FAILED, draw_lines, show


@main.command()
@socket_option
@wait_options
def reconcile(socket: Path, wait: bool, limit_s: float | None) -> None:
    """Compare what is with what is wanted, now.

    With --wait it ends when that is done and the wanted runners are there.
    """
    client = ControlClient(socket)
    answer = client.post("/v1/reconcile")
    if wait:
        waiting.wait(waiting.until_reconciled(client, answer["done_by"]), limit_s)
        status = client.get("/v1/status")
        click.echo(f"{status['present']} of {status['wanted']} runners are there")


@main.command()
@socket_option
@json_option
@limit_option
def firewall(socket: Path, as_json: bool, limit_s: float | None) -> None:
    """Look at what the kernel has of the firewall, now, and say whether it is in place.

    Exits 0 only if it is.
    """
    client = ControlClient(socket)
    order = client.post("/v1/firewall")
    waiting.wait(waiting.until_checked(client, order), limit_s)
    answer = client.get("/v1/firewall")
    lines = firewall_words.firewall_lines(answer)
    show(answer, as_json, lambda console: draw_lines(console, lines))
    if not answer["in_place"]:
        sys.exit(FAILED)


@main.command()
@socket_option
@click.option(
    "--idle", "whom", flag_value="idle", default="idle", help="Those that wait for a job (default)."
)
@click.option(
    "--all",
    "whom",
    flag_value="all",
    help="Those that start, too, and those at work after their job.",
)
@click.option("--force", "whom", flag_value="force", help="All, at once: jobs are lost.")
@wait_options
def flush(socket: Path, whom: str, wait: bool, limit_s: float | None) -> None:
    """Replace runners by fresh ones. No job is lost, unless by --force.

    With --wait it ends when those that are to be replaced are gone.
    """
    client = ControlClient(socket)
    answer = client.post(f"/v1/flush?whom={whom}")
    names, missed = answer["runners"], not_reached(answer)
    if missed:  # now, as the waiting may take hours
        click.echo(missed, err=True)
    if wait:
        waiting.wait(waiting.until_gone(client, names), limit_s)
    subject = "1 runner is" if len(names) == 1 else f"{len(names)} runners are"
    click.echo(f"{subject} {'replaced' if wait else 'being replaced'}")
    if missed:
        sys.exit(FAILED)


@main.command()
@socket_option
@click.option("--no-wait", is_flag=True, help="Only give the order.")
@limit_option
def drain(socket: Path, no_wait: bool, limit_s: float | None) -> None:
    """Finish the jobs that run, create no more runners, and end when none is left.

    The order stands, also after a restart of the daemon, until `resume`.
    """
    client = ControlClient(socket)
    client.post("/v1/drain")
    if no_wait:
        return
    waiting.wait(waiting.until_empty(client), limit_s)
    click.echo("empty; `supervisor-cli resume` keeps runners again")


@main.command()
@socket_option
def resume(socket: Path) -> None:
    """Keep the wanted number of runners again after a drain."""
    ControlClient(socket).post("/v1/resume")


@main.command()
@socket_option
@click.argument("runner")
@click.option("--force", is_flag=True, help="Also if it runs a job, which is lost.")
@wait_options
def delete(socket: Path, runner: str, force: bool, wait: bool, limit_s: float | None) -> None:
    """Delete RUNNER; another takes its place."""
    client = ControlClient(socket)
    query = "?force" if force else ""
    names = client.delete(f"/v1/runners/{quote(runner, safe='')}{query}")["runners"]
    if wait:
        waiting.wait(waiting.until_gone(client, names), limit_s)


@main.command(hidden=True)
@socket_option
@click.argument("actor")
def crash(socket: Path, actor: str) -> None:
    """Make an actor crash; only a daemon with `control.debug: true` obeys."""
    ControlClient(socket).post(f"/v1/debug/crash/{actor}")
