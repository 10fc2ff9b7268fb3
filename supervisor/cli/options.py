"""The options that several commands have, and a kind of argument."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from supervisor.config_basics import DEFAULT_PATH, DEFAULT_SOCKET

F = TypeVar("F", bound=Callable[..., Any])

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_PATH,
    show_default=True,
    help="The configuration file.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class OptionalArgument(click.Argument):
    """May be left out: usage has its name in brackets, but what is said of its value has not."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Name it in an error."""
        return super().get_error_hint(ctx).replace("[", "").replace("]", "")


def socket_option(command: F) -> F:
    """Say where the daemon's control socket is."""
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


limit_option = click.option(
    "--timeout",
    "limit_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Wait no longer than this; what is left is said, and the exit code is 1.",
)


def wait_options(command: F) -> F:
    """Say whether to wait for the end of what is ordered, and for how long."""
    wait = click.option("--wait", is_flag=True, help="Wait until it is done, and say how it goes.")
    return wait(limit_option(command))
