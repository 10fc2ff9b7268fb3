"""The lines of `supervisor-cli` that a text names, and whether the command would take them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from supervisor.cli import main

_BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_LINE = re.compile(r"\bsupervisor-cli\s([a-z][^|&#)]*)")


def command_lines(text: str) -> Iterator[str]:
    """Find what stands after `supervisor-cli` in a text's code: in its blocks and in its lines."""
    blocks = [block.replace("\\\n", " ") for block in _BLOCK.findall(text)]
    lines = [line for block in blocks for line in block.splitlines()]
    for code in (*lines, *_SPAN.findall(_BLOCK.sub("", text))):
        yield from (" ".join(found.split()) for found in _LINE.findall(code))


def refusal(line: str) -> str:
    """Say why the command would not take a line; nothing if it would."""
    command: click.Command | None = main
    words = line.split()
    # As the parent, for a command remembers which options for help it was first asked with.
    with click.Context(main, **main.context_settings) as context:
        while isinstance(command, click.Group) and words:
            command = command.get_command(context, words.pop(0))
        if command is None:
            return f"there is no such command: {line}"
        if not isinstance(command, click.Group):
            try:
                command.make_context(command.name, words, parent=context).close()
            except click.ClickException as error:
                return error.format_message()
    return ""
