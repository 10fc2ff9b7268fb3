"""The command line: the daemon itself, and the commands that show how it is."""

from __future__ import annotations

import json
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from supervisor import __version__
from supervisor.cli import policy_words, render, status_words, waiting
from supervisor.cli.client import AccessDenied, ControlClient, ControlError, NoAnswer, NotRunning
from supervisor.cli.options import config_option, json_option, socket_option
from supervisor.cli.output import (
    DENIED,
    FAILED,
    NOT_RUNNING,
    WRONG_USE,
    WRONG_USE_OF_STATUS,
    draw_lines,
    fail,
    show,
)
from supervisor.config_basics import LOG_LEVELS, ConfigError
from supervisor.status.health import Health

if TYPE_CHECKING:
    from supervisor.config import Config


class _Commands(click.Group):
    """Says in one line what is wrong, and takes commands that other packages bring along."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_offered()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or _load(cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            fail(str(error), WRONG_USE)
        except NotRunning as error:
            fail(str(error), NOT_RUNNING)
        except AccessDenied as error:
            fail(str(error), DENIED)
        except (ControlError, waiting.NotDone) as error:
            fail(str(error), FAILED)


class _WrongUseOfStatus(click.UsageError):
    """Is no fleet that fails, which monitoring tells by the exit code."""

    exit_code = WRONG_USE_OF_STATUS


class _StatusCommand(click.Command):
    """Says in the exit code how the fleet is, and so has another one for wrong use."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise _WrongUseOfStatus(error.format_message(), ctx) from error


def _offered() -> set[str]:
    return {entry.name for entry in entry_points(group="supervisor.commands")}


def _load(name: str) -> click.Command | None:
    for entry in entry_points(group="supervisor.commands", name=name):
        command = entry.load()
        if isinstance(command, click.Command):
            return command
    return None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="supervisor-cli")
def main() -> None:
    """Keep a fleet of ephemeral GitHub Actions runners, and look at it."""


@main.command()
@config_option
@click.option(
    "--log-level",
    type=click.Choice(LOG_LEVELS, case_sensitive=False),
    help="Instead of the configured one, until that changes or another one is ordered.",
)
def run(config_path: Path, log_level: str | None) -> None:
    """Run the daemon in the foreground.

    SIGUSR1 reconciles now, SIGHUP reads the configuration again, SIGUSR2 writes the tree to the
    log. SIGTERM and SIGINT stop the daemon and leave the runners as they are.
    """
    # Only the daemon needs these; the other commands answer sooner without.
    from supervisor import daemon
    from supervisor.observation import log

    log.configure(log_level or "INFO")
    try:
        sys.exit(daemon.run(config_path, log_level))
    except daemon.AlreadyRunning as error:
        fail(str(error), FAILED)


@main.command("check-config")
@config_option
@click.option(
    "--running",
    type=click.Path(path_type=Path, dir_okay=False),
    help="What a daemon has in use: say what of it can change only by a restart.",
)
@json_option
def check_config(config_path: Path, running: Path | None, as_json: bool) -> None:
    """Check a configuration file and say what is wrong with it."""
    # Cryptography and the clients of LXD are slow to import.
    from supervisor.config import credentials, load
    from supervisor.work import image_upkeep
    from supervisor.work import policy as policy_work
    from supervisor.work import storage as storage_work

    config = load(config_path)
    credentials.read(config)
    storage_work.check(config)
    policy_work.check(config)
    image_upkeep.check(config)
    wanted, restart = config.virtual_machines, _fixed(running, config)
    if as_json:
        found = {"path": config.path, "virtual_machines": wanted, "restart": restart}
        click.echo(json.dumps(found))
        return
    runners = "1 runner" if wanted == 1 else f"{wanted} runners"
    click.echo(f"{config_path}: is right: {runners} for {config.path}")
    if restart:
        click.echo(f"{', '.join(restart)}: takes effect only after a restart of the daemon")


def _fixed(running: Path | None, config: Config) -> list[str]:
    """Name the keys that a daemon with a running configuration can't change."""
    from supervisor.config import load

    if running is None:
        return []
    try:
        return list(load(running).needs_restart(config))
    except ConfigError:  # what the daemon has nobody knows
        return ["configuration"]


@main.command()
@socket_option
@json_option
def tree(socket: Path, as_json: bool) -> None:
    """Draw the supervision tree, with every actor's state."""
    root = ControlClient(socket).get("/v1/tree")
    show(root, as_json, lambda console: console.print(render.tree_table(root, console.width)))


@main.command(cls=_StatusCommand)
@socket_option
@json_option
def status(socket: Path, as_json: bool) -> None:
    """Say what is, what is wrong, and what to do.

    Exits 0 if all is well, 1 if something is wrong and there are runners nevertheless, 2 if none
    can be had, or nobody looks after them, such as a daemon that does not answer in time; 3 if no
    daemon runs, 4 if access is denied, 64 on wrong use.
    """
    try:
        answer = ControlClient(socket).get("/v1/status")
    except NoAnswer as error:
        fail(str(error), status_words.EXIT_CODES[Health.FAILING])
    lines = status_words.status_lines(answer)
    show(answer, as_json, lambda console: draw_lines(console, lines))
    sys.exit(status_words.EXIT_CODES[status_words.health_of(answer)])


@main.command()
@socket_option
@json_option
def runners(socket: Path, as_json: bool) -> None:
    """List the runners."""
    answer = ControlClient(socket).get("/v1/runners")
    show(
        answer, as_json, lambda console: console.print(render.runners_table(answer, console.width))
    )


@main.command()
@socket_option
@json_option
def policy(socket: Path, as_json: bool) -> None:
    """Show whether jobs can be checked against the policy, and what was decided last.

    Exits 0 only if they can.
    """
    answer = ControlClient(socket).get("/v1/policy")
    show(answer, as_json, lambda console: policy_words.draw_policy(console, answer))
    if not answer["healthy"]:
        sys.exit(FAILED)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell, for its start-up file to source."""
    from click.shell_completion import get_completion_class

    complete = get_completion_class(shell)
    if complete is None:
        fail(f"there is no completion for {shell}", FAILED)
    click.echo(complete(main, {}, "supervisor-cli", "_SUPERVISOR_CLI_COMPLETE").source())
