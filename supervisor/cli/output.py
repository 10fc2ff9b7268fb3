"""How a command shows an answer, and how it ends.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 no daemon, 4 access denied. `status`,
whose 1 and 2 say how the fleet is, has 64 for wrong use.
"""

import json
import os
import sys
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


def draw_lines(console: Console, lines: Iterable[str]) -> None:
    """Print lines whole: a terminal folds them, a pipe does not."""
    for line in lines:
        console.print(Text(line), soft_wrap=True)
