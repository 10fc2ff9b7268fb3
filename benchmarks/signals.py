"""How long a guest's signal takes to its runner's actor, with nothing else to do and under floods.

The service with its actors is a process of its own, as is each flooder; the signals that are
measured come from here. All of them share this machine's processors.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timezone
from functools import partial
from itertools import count
from typing import Any

from loguru import logger
from table import percentile, render

from supervisor.actors.signals import SignalsActor
from supervisor.config import parse
from supervisor.lifecycle import Life, Stage
from supervisor.messages.runner import Happened
from supervisor.parts import make_parts, outside_of
from supervisor.runners.roster import Entry, digest
from supervisor.supervision import Actor, ChildSpec, SupervisorSpec, System, handles

_HOST = "127.0.0.1"
_RUNNERS = 500
_PAUSE_S = 0.01
_TOKEN = "right"  # noqa: S105 - of runners that do not exist
_FLOODED = "flooded"
_UP_LIMIT_S = 15.0

# Who floods: from which address, with which token. The host's own address has no share and rate.
_FLOODS = {
    "quiet": (),
    "two guests flood, with and without a token": (("127.0.0.2", _TOKEN), ("127.0.0.3", "wrong")),
    "the same from this host, without bounds": ((_HOST, _TOKEN), (_HOST, "wrong")),
}


class _Runner(Actor):
    """Notes when it hears of something."""

    def __init__(self, system: System, heard: list[float]) -> None:
        super().__init__(system)
        self._heard = heard

    @handles(Happened)
    def _happened(self, _message: Happened) -> None:
        self._heard.append(time.monotonic())


def run(*, signals: int = 100, rounds: int = 3) -> dict[str, Any]:
    """Measure.

    Args:
        signals: how many are given in each round, each of another runner.
        rounds: how often each flood comes, in turns.
    """
    taken: dict[str, list[float]] = {flood: [] for flood in _FLOODS}
    requests: dict[str, list[int]] = {flood: [] for flood in _FLOODS}
    for _ in range(rounds):
        for flood, flooders in _FLOODS.items():
            latencies, answered = _measure(signals, flooders)
            taken[flood] += latencies
            requests[flood].append(answered)
    quiet = taken["quiet"]
    found = {
        flood: {
            "p50_ms": percentile(times, 0.5),
            "p95_ms": percentile(times, 0.95),
            "max_ms": max(times),
            "ratio_p50": percentile(times, 0.5) / percentile(quiet, 0.5),
            "ratio_p95": percentile(times, 0.95) / percentile(quiet, 0.95),
            "flooders_answered_per_s": sum(requests[flood]) / rounds,
        }
        for flood, times in taken.items()
    }
    rows = [
        (
            flood,
            *(f"{each[f'{what}_ms']:.1f}" for what in ("p50", "p95", "max")),
            f"{each['ratio_p50']:.1f}, {each['ratio_p95']:.1f}",
            f"{each['flooders_answered_per_s']:.0f}",
        )
        for flood, each in found.items()
    ]
    heading = ("guest to actor, ms", "p50", "p95", "most", "ratio to quiet", "floods answered, /s")
    return {"signals": signals * rounds, "floods": found, "table": render(heading, rows)}


def _measure(signals: int, flooders: tuple[tuple[str, str], ...]) -> tuple[list[float], int]:
    """Return milliseconds from each signal's start to its actor, and the floods' answers a second.

    Raises:
        RuntimeError: a signal was refused, or did not arrive.
    """
    port = _free_port()
    with ExitStack() as stack:
        service = stack.enter_context(_process("serve", str(port)))
        _wait_until_it_answers(port)
        floods = [
            stack.enter_context(_process("flood", str(port), *flooder)) for flooder in flooders
        ]
        time.sleep(0.5 if floods else 0)
        sent, began = [], time.monotonic()
        for number in range(signals):
            sent.append(time.monotonic())
            status = _signal(port, f"r{number}", _TOKEN, _HOST)
            if status != http.HTTPStatus.NO_CONTENT:
                raise RuntimeError(f"a signal was answered with {status}")
            time.sleep(_PAUSE_S)
        took_s = time.monotonic() - began
        answered = sum(int(_end(flood)) / (took_s + 0.5) for flood in floods)
        heard = json.loads(_end(service))
    if len(heard) != signals:
        raise RuntimeError(f"{len(heard)} of {signals} signals arrived")
    return [(at - then) * 1e3 for then, at in zip(sent, heard, strict=True)], round(answered)


@contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, __file__, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _end(process: subprocess.Popen[str]) -> str:
    """Have a process end, and return what it found."""
    return process.communicate(timeout=_UP_LIMIT_S)[0]


def _signal(port: int, name: str, token: str, source: str) -> int:
    connection = http.client.HTTPConnection(_HOST, port, timeout=5, source_address=(source, 0))
    headers = {"Authorization": f"Bearer {token}"}
    try:
        connection.request("POST", f"/v1/runners/{name}/signals", b"signal=ready", headers)
        return connection.getresponse().status
    finally:
        connection.close()


def _wait_until_it_answers(port: int) -> None:
    deadline = time.monotonic() + _UP_LIMIT_S
    while True:
        try:
            _signal(port, "nobody", "", _HOST)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _serve(port: str) -> None:
    """Be the service, until the input is closed; then write when the signals were heard."""
    settings = {
        "name": "bench",
        "path": "acme",
        "token": "secret",
        "signals": {"address": _HOST, "port": int(port)},
    }
    config = parse(settings, "benchmark")
    parts = make_parts(config, outside_of(config))  # LXD is not asked, as the address is given
    heard: list[float] = []
    system = System()
    now = datetime.now(timezone.utc)
    children = []
    for name, heard_by in [*((f"r{n}", heard) for n in range(_RUNNERS)), (_FLOODED, [])]:
        parts.roster.put(Entry(name, "", Life(Stage.BOOTING, now), digest(_TOKEN)))
        children.append(ChildSpec(name, partial(_Runner.start, system, heard_by)))
    children.append(ChildSpec("signals", partial(SignalsActor.start, system, parts)))
    system.run_root(SupervisorSpec(children=tuple(children)))
    sys.stdin.read()
    print(json.dumps(heard))
    sys.stdout.flush()
    system.stop(1)


def _flood(port: str, source: str, token: str) -> None:
    """Send as fast as it goes, until the input is closed; then write how many were answered."""
    answered = 0
    for number in count():
        with suppress(OSError, http.client.HTTPException):
            _signal(int(port), _FLOODED, token, source)
            answered += 1
        if number % 16 == 0 and select.select([sys.stdin], [], [], 0)[0]:
            break
    print(answered)


if __name__ == "__main__":
    logger.remove()
    {"serve": _serve, "flood": _flood}[sys.argv[1]](*sys.argv[2:])
