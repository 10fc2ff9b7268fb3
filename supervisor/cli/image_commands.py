"""The commands that concern the image that runners start from."""

import sys
from pathlib import Path

import click

from supervisor.cli import image_words, waiting
from supervisor.cli.client import ControlClient
from supervisor.cli.commands import main
from supervisor.cli.log_commands import show_logs
from supervisor.cli.options import json_option, socket_option, wait_options
from supervisor.cli.output import FAILED, fail, show


@main.group()
def image() -> None:
    """Look at the image that runners start from, and have it built anew."""


@image.command("list")
@socket_option
@json_option
def list_images(socket: Path, as_json: bool) -> None:
    """List the images that were built, and say which one runners start from.

    Exits 0 only if there is one.
    """
    answer = ControlClient(socket).get("/v1/image")
    show(answer, as_json, lambda console: image_words.draw_images(console, answer))
    if not answer["image"]:
        sys.exit(FAILED)


@image.command("build")
@socket_option
@json_option
@wait_options
def build_image(socket: Path, as_json: bool, wait: bool, limit_s: float | None) -> None:
    """Build the image anew, though nothing that it is made of has changed.

    With --wait it ends when that is done, and exits 0 only if it is built. Until then, and when it
    fails, runners start from the one there is.
    """
    client = ControlClient(socket)
    order = client.post("/v1/image/build")
    if not wait:
        show(order, as_json, lambda _console: click.echo("a new image is being built"))
        return
    waiting.wait(waiting.until_built(client, order), limit_s)
    answer = client.get("/v1/image")
    show(answer, as_json, lambda _console: click.echo(answer["reason"]))
    if answer["error"]:
        fail(answer["error"], FAILED)


@image.command("logs")
@socket_option
@json_option
@click.argument("name", required=False)
def image_logs(socket: Path, name: str | None, as_json: bool) -> None:
    """List the logs that are kept of builds, or print that of the build NAME."""
    show_logs(ControlClient(socket), "/v1/image/logs", name, as_json, of="BUILD")
