"""Says what is being done, and how long it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click


class Progress:
    """Writes a line a step, to standard error: standard output is for the summary."""

    def say(self, text: str) -> None:
        """Say something at once."""
        click.echo(text, err=True)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Say what begins, and then how long it took."""
        click.echo(f"  {what} ... ", err=True, nl=False)
        began = time.monotonic()
        try:
            yield
        except BaseException:
            click.echo("failed", err=True)
            raise
        click.echo(f"{time.monotonic() - began:.1f} s", err=True)
