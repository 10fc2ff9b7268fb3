"""The commands that show what is kept current, and have it looked at."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from supervisor.cli import upgrade_words, waiting
from supervisor.cli.client import ControlClient
from supervisor.cli.commands import main
from supervisor.cli.options import json_option, socket_option, wait_options
from supervisor.cli.output import FAILED, fail, show
from supervisor.text.printable import one_line


@main.command()
@socket_option
@click.option(
    "--offline",
    is_flag=True,
    help="Ask no daemon: say from this host's kernel and packages alone whether to reboot it.",
)
@json_option
def upgrades(socket: Path, offline: bool, as_json: bool) -> None:
    """Show what is kept current: what is installed, the latest there is, and what failed.

    Exits 0 only if there is one of each that can be used, and the host has what it needs. With
    --offline, which is for a host on which no runner is yet, it exits 0.
    """
    if offline:
        _show_reboot(as_json)
        return
    answer = ControlClient(socket).get("/v1/upgrades")
    show(
        answer,
        as_json,
        lambda console: upgrade_words.draw_upgrades(console, answer),
    )
    _fail_if_failing(answer)


def _show_reboot(as_json: bool) -> None:
    """Say whether this host is to be rebooted, as long as no daemon keeps runners here."""
    from supervisor.gateways.host_packages import HostPackages
    from supervisor.upgrades import reboot

    nothing = reboot.Running(runners=0, busy=0, building=False, held=True)
    decision = reboot.decide(reboot.needed_for(HostPackages().kernel()), nothing)
    answer = {"reboot": asdict(decision)}
    click.echo(json.dumps(answer, indent=2) if as_json else one_line(decision.reason))


@main.command()
@socket_option
@click.option("--now", is_flag=True, help="Look for newer ones and get them, now.")
@wait_options
def upgrade(socket: Path, now: bool, wait: bool, limit_s: float | None) -> None:
    """Say what would be upgraded; with --now look for newer versions, and get them.

    The daemon does so by itself, too. With --wait it ends when that is done, and exits 0 only if
    all is up to date then.
    """
    if wait and not now:
        raise click.UsageError("--wait: nothing is ordered to wait for; add --now")
    client = ControlClient(socket)
    if now:
        order = client.post("/v1/upgrades")
        if not wait:
            return
        waiting.wait(waiting.until_upgraded(client, order), limit_s)
    answer = client.get("/v1/upgrades")
    for line in upgrade_words.upgrade_lines(answer):
        click.echo(line)
    _fail_if_failing(answer)
    errors = [f"{one['what']}: {one['error']}" for one in answer["subjects"] if one["error"]]
    if wait and errors:
        fail(one_line("; ".join(errors)), FAILED)


def _fail_if_failing(answer: Any) -> None:
    if answer["state"] in {"failing", "down"}:
        fail(one_line(answer["reason"]), FAILED)
