"""How a command shows an answer, and how it ends.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 no daemon, 4 access denied. `status`,
whose 1 and 2 say how the fleet is, has 64 for wrong use.
"""

import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.text import Text

FAILED, WRONG_USE, NOT_RUNNING, DENIED = 1, 2, 3, 4
WRONG_USE_OF_STATUS = os.EX_USAGE
_ANY_WIDTH = 1_000_000


def fail(message: str, code: int) -> NoReturn:
    """End the command with a line that says why."""
    click.echo(message, err=True)
    sys.exit(code)


def show(answer: Any, as_json: bool, draw: Callable[[Console], None]) -> None:
    """Show an answer: as JSON for programs, or as it is drawn for people."""
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


def draw_lines(console: Console, lines: Iterable[str], style: str = "") -> None:
    """Print lines: on a screen folded at words, with what follows set in; whole in a pipe."""
    for line in lines:
        for part in _folded(line, console.width):
            console.print(Text(part, style), soft_wrap=True)


def _folded(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    margin = line[: len(line) - len(line.lstrip(" "))]
    # A word without room, such as an address, stays whole: cut in two, nobody could copy it.
    return textwrap.wrap(
        line,
        width,
        subsequent_indent=f"{margin}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
