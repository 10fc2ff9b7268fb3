"""Says what is being done, and how long it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click


class Progress:
    """Writes a line a step, to standard error: standard output is for the summary."""

    def __init__(self) -> None:
        self._unfinished = ""

    def __call__(self, step: str, took_s: float | None = None) -> None:
        """Say what begins (no `took_s`), or how long it took."""
        if took_s is None:
            self._begin(step)
        elif self._unfinished == step:
            click.echo(f" {took_s:.1f} s", err=True)
            self._unfinished = ""
        else:
            self.say(f"{step}: {took_s:.1f} s")

    def say(self, text: str) -> None:
        """Say something at once."""
        self._break()
        click.echo(f"  {text}", err=True)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Say what begins, and then how long it took."""
        self(what)
        began = time.monotonic()
        yield
        self(what, time.monotonic() - began)

    def _begin(self, step: str) -> None:
        self._break()
        click.echo(f"  {step} ...", err=True, nl=False)
        self._unfinished = step

    def _break(self) -> None:
        if self._unfinished:
            click.echo(err=True)
        self._unfinished = ""
