"""`supervisor-cli sandbox`: the whole system on this machine, without a GitHub account."""

import json
import signal
import sys
from dataclasses import asdict
from types import FrameType
from typing import NoReturn

import click

from sandbox.demo import Demo, Options, Summary
from sandbox.host import HostError, clean
from sandbox.image import ImageError
from sandbox.progress import Progress


@click.command()
@click.option("--runners", default=3, show_default=True, type=click.IntRange(1, 250))
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="How many jobs to queue; without it, one after the other for as long as it runs.",
)
@click.option("--exit-when-done", is_flag=True, help="Stop when the jobs are done; exit 0 if well.")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as the last line, as JSON.")
@click.option("--emulator", is_flag=True, help="Run on the LXD emulator, even if there is an LXD.")
@click.option("--clean", "only_clean", is_flag=True, help="Remove all that was ever set up here.")
def sandbox(
    runners: int,
    jobs: int | None,
    exit_when_done: bool,
    as_json: bool,
    emulator: bool,
    only_clean: bool,
) -> None:
    """Run a fleet against a local GitHub and show it, until Ctrl-C.

    Exits 0 if every job that was waited for succeeded and no instance or registration is left over.
    """
    signal.signal(signal.SIGTERM, _as_interrupt)
    progress = Progress()
    if exit_when_done and jobs is None:
        jobs = 2 * runners
    try:
        if only_clean:
            clean(progress)
            return
        options = Options(runners, jobs, exit_when_done=exit_when_done, emulator=emulator)
        summary = Demo(options, progress).run()
    except (HostError, ImageError) as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    _report(summary, as_json=as_json)
    sys.exit(0 if summary.well else 1)


def _as_interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _report(summary: Summary, *, as_json: bool) -> None:
    click.echo(summary.in_words(), err=as_json)
    if as_json:
        click.echo(json.dumps(asdict(summary) | {"well": summary.well}))
