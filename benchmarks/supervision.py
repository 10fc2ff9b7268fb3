"""What supervision costs over bare Pykka, as ratios within one run.

python benchmarks/supervision.py [--actors 1000] [--json]
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pykka
from loguru import logger
from table import render

from supervisor.supervision import (
    Actor,
    ChildSpec,
    Restart,
    StartChild,
    SupervisorSpec,
    System,
    handles,
    tree,
)

_LIMIT_S = 60.0
_TELLS = 50_000
_ASKS = 3_000
_ROUNDS = 5


@dataclass(frozen=True)
class Ping:
    """Costs nothing to handle."""


@dataclass(frozen=True)
class Done:
    """The last of many."""

    event: threading.Event


class Bare(pykka.ThreadingActor):
    """An actor as one writes it on Pykka alone."""

    use_daemon_thread = True

    def on_receive(self, message: Any) -> None:
        """Do next to nothing."""
        if isinstance(message, Done):
            message.event.set()


class Supervised(Actor):
    """The same, supervised."""

    @handles(Ping)
    def ping(self, _: Ping) -> None:
        """Do nothing."""

    @handles(Done)
    def done(self, message: Done) -> None:
        """Say that all before has been handled."""
        message.event.set()


@dataclass(frozen=True)
class Result:
    """One measure on both sides; `ratio` above 1 means that supervision costs more."""

    what: str
    unit: str
    bare: float
    supervised: float
    ratio: float


def _tell_us(ref: pykka.ActorRef[Any]) -> float:
    done, ping = threading.Event(), Ping()
    began = time.perf_counter()
    for _ in range(_TELLS):
        ref.tell(ping)
    ref.tell(Done(done))
    done.wait(_LIMIT_S)
    return (time.perf_counter() - began) / _TELLS * 1e6


def _ask_us(ref: pykka.ActorRef[Any]) -> float:
    ping = Ping()
    began = time.perf_counter()
    for _ in range(_ASKS):
        ref.ask(ping, timeout=_LIMIT_S)
    return (time.perf_counter() - began) / _ASKS * 1e6


def _resident_kib() -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return float(line.split()[1])
    raise RuntimeError("this system's /proc/self/status has no VmRSS")


def _in_turns(
    measure: Callable[[pykka.ActorRef[Any]], float],
    bare: pykka.ActorRef[Any],
    supervised: pykka.ActorRef[Any],
) -> tuple[float, float]:
    """Measure both several times in turns, so that a busy machine disturbs both alike."""
    both = [(measure(bare), measure(supervised)) for _ in range(_ROUNDS)]
    return statistics.median(b for b, _ in both), statistics.median(s for _, s in both)


def _many(count: int, start: Callable[[int], list[Any]]) -> tuple[float, float, list[Any]]:
    """Return milliseconds and KiB for each of so many actors, and what `start` returned."""
    gc.collect()
    memory, began = _resident_kib(), time.perf_counter()
    started = start(count)
    took_ms = (time.perf_counter() - began) * 1e3
    gc.collect()
    return took_ms / count, (_resident_kib() - memory) / count, started


def _start_supervised(system: System, root: pykka.ActorRef[Any], count: int) -> list[Any]:
    answers = []
    for n in range(count):
        spec = ChildSpec(f"child-{n}", partial(Supervised.start, system), restart=Restart.TEMPORARY)
        answers.append(root.ask(StartChild(spec), block=False))
    return [answer.get(timeout=_LIMIT_S) for answer in answers]


def measure(actors: int) -> tuple[list[Result], dict[str, float]]:
    """Run everything.

    Returns:
        The comparisons, and what has no counterpart on bare Pykka.
    """
    system = System()
    root = system.run_root(SupervisorSpec(dynamic=True))
    (one,) = _start_supervised(system, root, 1)
    bare = Bare.start()
    for ref in (bare, one):
        _tell_us(ref)  # warm up
    results = [
        _result("tell and handle", "µs", *_in_turns(_tell_us, bare, one)),
        _result("ask", "µs", *_in_turns(_ask_us, bare, one)),
    ]
    # Each in a process of its own: neither finds memory that the other has freed.
    without, with_ = _in_own_process("bare", actors), _in_own_process("supervised", actors)
    for what, unit in (("start", "ms"), ("memory", "KiB")):
        results.append(_result(f"{what}, each of {actors}", unit, without[what], with_[what]))
    return results, {"tree_ms": with_["tree_ms"], "stop_all_ms": with_["stop_all_ms"]}


def _in_own_process(side: str, actors: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--actors", str(actors), "--many", side]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_LIMIT_S)
    numbers: dict[str, float] = json.loads(done.stdout)
    return numbers


def _many_bare(count: int) -> dict[str, float]:
    ms, kib, _refs = _many(count, lambda count: [Bare.start() for _ in range(count)])
    return {"start": ms, "memory": kib}


def _many_supervised(count: int) -> dict[str, float]:
    system = System()
    root = system.run_root(SupervisorSpec(dynamic=True))
    ms, kib, _refs = _many(count, partial(_start_supervised, system, root))
    took_ms = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        tree(system)
        took_ms.append((time.perf_counter() - began) * 1e3)
    began = time.perf_counter()
    system.stop(_LIMIT_S)
    stop_ms = (time.perf_counter() - began) * 1e3
    return {
        "start": ms,
        "memory": kib,
        "tree_ms": statistics.median(took_ms),
        "stop_all_ms": stop_ms,
    }


def _result(what: str, unit: str, bare: float, supervised: float) -> Result:
    return Result(what, unit, bare, supervised, supervised / bare)


def run(*, actors: int = 1000, rounds: int = _ROUNDS) -> dict[str, Any]:
    """Measure for `python benchmarks`; `rounds` is fixed here."""
    del rounds
    results, others = measure(actors)
    rows = [
        (
            each.what,
            f"{each.bare:.3f} {each.unit}",
            f"{each.supervised:.3f} {each.unit}",
            f"{each.ratio:.2f}",
        )
        for each in results
    ]
    rows += [
        (f"tree of {actors}", "", f"{others['tree_ms']:.1f} ms", ""),
        (f"stop {actors}", "", f"{others['stop_all_ms']:.0f} ms", ""),
    ]
    table = render(("supervision", "bare Pykka", "supervised", "ratio"), rows)
    return {"ratios": [asdict(each) for each in results], **others, "table": table}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Supervision's cost over bare Pykka.")
    parser.add_argument("--actors", type=int, default=1000, help="how many to start")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--many", choices=["bare", "supervised"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logger.remove()
    if arguments.many:
        many = _many_bare if arguments.many == "bare" else _many_supervised
        print(json.dumps(many(arguments.actors)))
        return
    results, others = measure(arguments.actors)
    if arguments.json:
        print(json.dumps({"ratios": [asdict(each) for each in results], **others}))
        return
    print(f"{'':<24}{'bare':>10}{'supervised':>12}{'ratio':>8}")
    for each in results:
        print(
            f"{each.what:<24}{each.bare:>10.3f}{each.supervised:>12.3f}{each.ratio:>8.2f}"
            f"  {each.unit}"
        )
    print(f"tree of {arguments.actors}: {others['tree_ms']:.1f} ms")
    print(f"stop {arguments.actors}: {others['stop_all_ms']:.0f} ms")


if __name__ == "__main__":
    main()
