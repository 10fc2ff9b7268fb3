"""`make bench`: run the benchmarks and print what they found.

Each compares two things within one run, because the machine is never the same twice.
"""

from __future__ import annotations

import importlib
import json
import signal
import sys
import time
from typing import Any

import click
import machine
from loguru import logger

_BENCHMARKS = (
    *("fill", "replacement", "idle", "scale", "observation"),
    *("signals", "supervision", "firewall", "image", "top"),
)


@click.command(name="python benchmarks")
@click.option("--only", multiple=True, type=click.Choice(_BENCHMARKS), help="May be repeated.")
@click.option("--rounds", type=click.IntRange(1), help="How often each comparison is made.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def main(only: tuple[str, ...], rounds: int | None, as_json: bool) -> None:
    """Measure this supervisor on this machine; real LXD takes root."""
    signal.signal(signal.SIGTERM, _end)
    # The daemon runs in processes of its own; what is logged here is the benchmark's own clients.
    logger.remove()
    found: dict[str, Any] = {"machine": machine.facts()}
    click.echo(f"machine: {json.dumps(found['machine'])}", err=as_json)
    for name in only or _BENCHMARKS:
        began, load = time.monotonic(), machine.load()
        options = {} if rounds is None else {"rounds": rounds}
        result = importlib.import_module(name).run(**options)
        took_s = round(time.monotonic() - began, 1)
        found[name] = {**result, "took_s": took_s, "load_average": [load, machine.load()]}
        heading = f"{name}: {result.get('lxd', '')} {took_s} s, load {load} to {machine.load()}"
        click.echo(f"\n{heading}\n\n{result['table']}", err=as_json)
    if as_json:
        click.echo(json.dumps(found))


def _end(number: int, _frame: object) -> None:
    """End as by SIGINT, with all that was started; once, as that takes a while."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
