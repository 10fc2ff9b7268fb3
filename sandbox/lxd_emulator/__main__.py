"""Run the emulator as a process: `python -m sandbox.lxd_emulator --socket PATH`."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click

from sandbox.lxd_emulator.guests import GuestBehaviour
from sandbox.lxd_emulator.machines import Timing
from sandbox.lxd_emulator.server import Server, Settings


@click.command(name="python -m sandbox.lxd_emulator")
@click.option("--socket", type=click.Path(path_type=Path), required=True, help="Where to listen.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file that keeps the state over the process's end. It will hold secrets.",
)
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="ALIAS[=virtual-machine]",
    help="An image that is there from the beginning; may be repeated.",
)
@click.option("--bare", is_flag=True, help="Begin without pool, bridge and their profile.")
@click.option("--instant", is_flag=True, help="LXD and guests take no time; for scale.")
@click.option("--boot", default=0.3, show_default=True, help="Seconds a guest boots.")
def main(
    socket: Path,
    state: Path | None,
    images: tuple[str, ...],
    bare: bool,
    instant: bool,
    boot: float,
) -> None:
    """Serve an emulated LXD until SIGTERM or SIGINT."""
    settings = Settings(
        socket=socket,
        state_file=state,
        images=dict(_image(text) for text in images),
        furnished=not bare,
        timing=Timing.none() if instant else Timing(),
        guest=GuestBehaviour(boot_s=0, poweroff_s=0, linger_s=0)
        if instant
        else GuestBehaviour(boot_s=boot),
    )
    try:
        asyncio.run(_serve(settings))
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


async def _serve(settings: Settings) -> None:
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    server = Server(settings)
    try:
        await server.start()
        click.echo(f"LXD emulator at {settings.socket}")
        await ending.wait()
    finally:
        await server.stop()


def _image(text: str) -> tuple[str, str]:
    alias, _, kind = text.partition("=")
    return alias, kind or "container"


if __name__ == "__main__":
    main()
