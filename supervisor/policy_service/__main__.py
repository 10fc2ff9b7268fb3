"""The service's entry point: `python -m supervisor.policy_service`."""

import os
import sys
from ipaddress import ip_address
from typing import Any

import click

from supervisor.policy_service import settings
from supervisor.policy_service.server import Service

_LAST_PORT = 65535


def _address(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    host, _, port = value.rpartition(":")
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        raise click.BadParameter("must be ADDRESS:PORT") from None
    if address.is_unspecified or address.is_multicast:
        raise click.BadParameter("must be one address of this host, not one of all or of many")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= _LAST_PORT:
        raise click.BadParameter(f"must end in a port from 1 to {_LAST_PORT}")
    return value


@click.command()
@click.option("--settings-fd", type=click.IntRange(min=3), required=True)
@click.option("--bind", callback=_address, metavar="ADDRESS:PORT")
@click.option("--listen-fd", type=click.IntRange(min=3), help="A socket that listens, instead.")
@click.option("--workers", type=click.IntRange(1, 32), default=2, show_default=True)
@click.option("--threads", type=click.IntRange(1, 512), default=64, show_default=True)
@click.option(
    "--check-seconds", "check_s", type=click.FloatRange(0.1, 25), default=20, show_default=True
)
@click.option("--parent", type=int, default=os.getppid, help="Ends without that process.")
def main(settings_fd: int, bind: str | None, listen_fd: int | None, **options: Any) -> None:
    """Serve the policy until a signal ends it, or the process that has started it is gone.

    The settings are JSON, read from a file descriptor that was inherited.
    """
    if (bind is None) == (listen_fd is None):
        raise click.UsageError("give one of --bind and --listen-fd")
    where = bind or f"fd://{listen_fd}"
    try:
        Service(settings.read(settings_fd), bind=where, **options).run()
    except settings.SettingsError as error:
        sys.exit(f"policy service: {error}")
    except OSError as error:
        sys.exit(f"policy service: {error.filename or where}: {error.strerror}")


if __name__ == "__main__":
    main()
