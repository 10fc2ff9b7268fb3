"""The commands. Exit codes: 0 done, 1 failed, 2 wrong use, 3 no daemon, 4 access denied."""

import json
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote

import click
from rich.console import Console

from supervisor import __version__, sizes
from supervisor.cli import render, status_words, waiting
from supervisor.cli.client import AccessDenied, ControlClient, ControlError, NoAnswer, NotRunning
from supervisor.config import DEFAULT_PATH, DEFAULT_SOCKET, Config, ConfigError, load
from supervisor.config.values import LOG_LEVELS
from supervisor.guest.logs import one_line, printable
from supervisor.health import Health

FAILED, WRONG_USE, NOT_RUNNING, DENIED = 1, 2, 3, 4
_ANY_WIDTH = 1_000_000

F = TypeVar("F", bound=Callable[..., Any])

_config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_PATH,
    show_default=True,
    help="The configuration file.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _socket_option(command: F) -> F:
    return click.option(
        "--socket",
        # Whether it can be used is for the connection to say, with its own exit codes.
        type=click.Path(path_type=Path, readable=False),
        default=DEFAULT_SOCKET,
        show_default=True,
        envvar="SUPERVISOR_SOCKET",
        show_envvar=True,
        help="The daemon's control socket.",
    )(command)


_limit_option = click.option(
    "--timeout",
    "limit_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Wait no longer than this; what is left is said, and the exit code is 1.",
)


def _wait_options(command: F) -> F:
    wait = click.option("--wait", is_flag=True, help="Wait until it is done, and say how it goes.")
    return wait(_limit_option(command))


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
            _fail(str(error), WRONG_USE)
        except NotRunning as error:
            _fail(str(error), NOT_RUNNING)
        except AccessDenied as error:
            _fail(str(error), DENIED)
        except (ControlError, waiting.NotDone) as error:
            _fail(str(error), FAILED)


def _offered() -> set[str]:
    return {entry.name for entry in entry_points(group="supervisor.commands")}


def _load(name: str) -> click.Command | None:
    for entry in entry_points(group="supervisor.commands", name=name):
        command = entry.load()
        if isinstance(command, click.Command):
            return command
    return None


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="supervisor-cli")
def main() -> None:
    """Keep a fleet of ephemeral GitHub Actions runners, and look at it."""


@main.command()
@_config_option
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
    from supervisor import daemon, log  # noqa: PLC0415

    log.configure(log_level or "INFO")
    try:
        sys.exit(daemon.run(config_path, log_level))
    except daemon.AlreadyRunning as error:
        _fail(str(error), FAILED)


@main.command("check-config")
@_config_option
@click.option(
    "--running",
    type=click.Path(path_type=Path, dir_okay=False),
    help="What a daemon has in use: say what of it can change only by a restart.",
)
@_json_option
def check_config(config_path: Path, running: Path | None, as_json: bool) -> None:
    """Check a configuration file and say what is wrong with it."""
    # Cryptography and the clients of LXD are slow to import.
    from supervisor import credentials  # noqa: PLC0415
    from supervisor.work import image_upkeep  # noqa: PLC0415
    from supervisor.work import policy as policy_work  # noqa: PLC0415
    from supervisor.work import storage as storage_work  # noqa: PLC0415

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
    if running is None:
        return []
    try:
        return list(load(running).needs_restart(config))
    except ConfigError:  # what the daemon has nobody knows
        return ["configuration"]


@main.command("prepare-storage")
@_config_option
def prepare_storage(config_path: Path) -> None:
    """Make, mount, enlarge or remove storage pools of the daemon's own, as root.

    A daemon that is not root has systemd run this when there is something to do.
    """
    from supervisor import log  # noqa: PLC0415
    from supervisor.work import storage as storage_work  # noqa: PLC0415

    log.configure(identifier="github-runner-supervisor-storage")
    config = load(config_path)
    storage_work.check(config)
    found = storage_work.work_of(config).prepare()
    if isinstance(found, storage_work.PoolFailed):
        _fail(found.reason, FAILED)
    for warning in found.warnings:
        click.echo(warning, err=True)
    used, total = (sizes.in_words(one) for one in found.space)
    click.echo(f"storage pool {found.pool} is ready: {used} of {total} are used")


@main.command()
@_socket_option
@_json_option
def tree(socket: Path, as_json: bool) -> None:
    """Draw the supervision tree, with every actor's state."""
    root = ControlClient(socket).get("/v1/tree")
    _show(root, as_json, lambda console: console.print(render.tree_table(root, console.width)))


@main.command()
@_socket_option
@_json_option
def status(socket: Path, as_json: bool) -> None:
    """Say what is, what is wrong, and what to do.

    Exits 0 if all is well, 1 if something is wrong and there are runners nevertheless, 2 if none
    can be had, or nobody looks after them, such as a daemon that does not answer in time.
    """
    try:
        answer = ControlClient(socket).get("/v1/status")
    except NoAnswer as error:
        _fail(str(error), status_words.EXIT_CODES[Health.FAILING])
    lines = "\n".join(status_words.status_lines(answer))
    _show(answer, as_json, lambda _console: click.echo(lines))
    sys.exit(status_words.EXIT_CODES[status_words.health_of(answer)])


@main.command()
@_socket_option
@_json_option
def runners(socket: Path, as_json: bool) -> None:
    """List the runners."""
    answer = ControlClient(socket).get("/v1/runners")
    _show(
        answer, as_json, lambda console: console.print(render.runners_table(answer, console.width))
    )


def _show_logs(
    client: ControlClient, path: str, name: str | None, as_json: bool, *, of: str
) -> None:
    if name is None:
        kept = client.get(path)
        _show(
            kept,
            as_json,
            lambda console: console.print(render.logs_table(kept, console.width, of=of)),
        )
        return
    answer = client.get(f"{path}/{quote(name, safe='')}")
    # The file is printable as the daemon has written it; this one may be another's.
    _show(answer, as_json, lambda _console: click.echo(printable(answer["text"]), nl=False))


@main.command()
@_socket_option
@_wait_options
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
@_socket_option
@_json_option
@_limit_option
def firewall(socket: Path, as_json: bool, limit_s: float | None) -> None:
    """Look at what the kernel has of the firewall, now, and say whether it is in place.

    Exits 0 only if it is.
    """
    client = ControlClient(socket)
    order = client.post("/v1/firewall")
    waiting.wait(waiting.until_checked(client, order), limit_s)
    answer = client.get("/v1/firewall")
    lines = "\n".join(render.firewall_lines(answer))
    _show(answer, as_json, lambda _console: click.echo(lines))
    if not answer["in_place"]:
        sys.exit(FAILED)


@main.command()
@_socket_option
@_json_option
def policy(socket: Path, as_json: bool) -> None:
    """Show whether jobs can be checked against the policy, and what was decided last.

    Exits 0 only if they can.
    """
    answer = ControlClient(socket).get("/v1/policy")
    _show(answer, as_json, lambda console: render.draw_policy(console, answer))
    if not answer["healthy"]:
        sys.exit(FAILED)


@main.command()
@_socket_option
@click.option(
    "--offline",
    is_flag=True,
    help="Ask no daemon: say from this host's kernel and packages alone whether to reboot it.",
)
@_json_option
def upgrades(socket: Path, offline: bool, as_json: bool) -> None:
    """Show what is kept current: what is installed, the latest there is, and what failed.

    Exits 0 only if there is one of each that can be used, and the host has what it needs. With
    --offline, which is for a host on which no runner is yet, it exits 0.
    """
    if offline:
        _show_reboot(as_json)
        return
    answer = ControlClient(socket).get("/v1/upgrades")
    _show(
        answer,
        as_json,
        lambda console: render.draw_upgrades(console, answer),
    )
    _fail_if_failing(answer)


def _show_reboot(as_json: bool) -> None:
    """Say whether this host is to be rebooted, as long as no daemon keeps runners here."""
    from supervisor.gateways.host_packages import HostPackages  # noqa: PLC0415
    from supervisor.upgrades import reboot  # noqa: PLC0415

    nothing = reboot.Running(runners=0, busy=0, building=False, held=True)
    decision = reboot.decide(reboot.needed_for(HostPackages().kernel()), nothing)
    answer = {"reboot": {"when": decision.when, "reason": decision.reason}}
    click.echo(json.dumps(answer, indent=2) if as_json else one_line(decision.reason))


@main.command()
@_socket_option
@click.option("--now", is_flag=True, help="Look for newer ones and get them, now.")
@_wait_options
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
    for line in render.upgrade_lines(answer):
        click.echo(line)
    _fail_if_failing(answer)
    errors = [f"{one['what']}: {one['error']}" for one in answer["subjects"] if one["error"]]
    if wait and errors:
        _fail(one_line("; ".join(errors)), FAILED)


def _fail_if_failing(answer: Any) -> None:
    if answer["state"] in {"failing", "down"}:
        _fail(one_line(answer["reason"]), FAILED)


@main.group()
def image() -> None:
    """Look at the image that runners start from, and have it built anew."""


@image.command("list")
@_socket_option
@_json_option
def list_images(socket: Path, as_json: bool) -> None:
    """List the images that were built, and say which one runners start from.

    Exits 0 only if there is one.
    """
    answer = ControlClient(socket).get("/v1/image")
    _show(answer, as_json, lambda console: render.draw_images(console, answer))
    if not answer["image"]:
        sys.exit(FAILED)


@image.command("build")
@_socket_option
@_json_option
@_wait_options
def build_image(socket: Path, as_json: bool, wait: bool, limit_s: float | None) -> None:
    """Build the image anew, though nothing that it is made of has changed.

    With --wait it ends when that is done, and exits 0 only if it is built. Until then, and when it
    fails, runners start from the one there is.
    """
    client = ControlClient(socket)
    order = client.post("/v1/image/build")
    if not wait:
        _show(order, as_json, lambda _console: click.echo("a new image is being built"))
        return
    waiting.wait(waiting.until_built(client, order), limit_s)
    answer = client.get("/v1/image")
    _show(answer, as_json, lambda _console: click.echo(answer["reason"]))
    if answer["error"]:
        _fail(answer["error"], FAILED)


@image.command("logs")
@_socket_option
@_json_option
@click.argument("name", required=False)
def image_logs(socket: Path, name: str | None, as_json: bool) -> None:
    """List the logs that are kept of builds, or print that of the build NAME."""
    _show_logs(ControlClient(socket), "/v1/image/logs", name, as_json, of="BUILD")


@main.command()
@_socket_option
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
@_wait_options
def flush(socket: Path, whom: str, wait: bool, limit_s: float | None) -> None:
    """Replace runners by fresh ones. No job is lost, unless by --force.

    With --wait it ends when those that are to be replaced are gone.
    """
    client = ControlClient(socket)
    names = client.post(f"/v1/flush?whom={whom}")["runners"]
    if wait:
        waiting.wait(waiting.until_gone(client, names), limit_s)
    subject = "1 runner is" if len(names) == 1 else f"{len(names)} runners are"
    click.echo(f"{subject} {'replaced' if wait else 'being replaced'}")


@main.command()
@_socket_option
@click.option("--no-wait", is_flag=True, help="Only give the order.")
@_limit_option
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
@_socket_option
def resume(socket: Path) -> None:
    """Keep the wanted number of runners again after a drain."""
    ControlClient(socket).post("/v1/resume")


@main.command()
@_socket_option
@click.argument("runner")
@click.option("--force", is_flag=True, help="Also if it runs a job, which is lost.")
@_wait_options
def delete(socket: Path, runner: str, force: bool, wait: bool, limit_s: float | None) -> None:
    """Delete RUNNER; another takes its place."""
    client = ControlClient(socket)
    query = "?force" if force else ""
    names = client.delete(f"/v1/runners/{quote(runner, safe='')}{query}")["runners"]
    if wait:
        waiting.wait(waiting.until_gone(client, names), limit_s)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell, for its start-up file to source."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415

    complete = get_completion_class(shell)
    if complete is None:
        _fail(f"there is no completion for {shell}", FAILED)
    click.echo(complete(main, {}, "supervisor-cli", "_SUPERVISOR_CLI_COMPLETE").source())


@main.command(hidden=True)
@_socket_option
@click.argument("actor")
def crash(socket: Path, actor: str) -> None:
    """Make an actor crash; only a daemon with `control.debug: true` obeys."""
    ControlClient(socket).post(f"/v1/debug/crash/{actor}")


def _show(answer: Any, as_json: bool, draw: Callable[[Console], None]) -> None:
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    console = Console()
    if console.is_terminal:
        draw(console)
        return
    piped = Console(width=_ANY_WIDTH)  # nothing is folded or cut where there is no screen
    with piped.capture() as drawn:
        draw(piped)
    for line in drawn.get().split("\n")[:-1]:
        click.echo(line.rstrip())
