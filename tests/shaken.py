"""Make the schedule of threads hostile: `pytest --shaken SEED`.

Whatever one thread lets another one see (a message, a publication, a report) is held up a little,
before and after. Nothing changes but the time that things take: what an actor or a worker does, it
does in the same order. So a test that fails only when shaken reads something that it has not waited
for, or has found a race in what it tests.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest
from pykka import ActorRef

from supervisor.feed import Feed
from supervisor.roster import Roster
from supervisor.supervision.cell import Cell
from supervisor.supervision.mailbox import Mailbox
from supervisor.supervision.reply import Reply
from supervisor.workers import Workers

LONGEST_S = 0.03
MOST_S = 3.0
"""As long as one thread pauses in one test altogether: those of a thousand messages end, too."""

SWITCH_INTERVAL_S = 0.0005
"""A tenth of Python's own."""

SEEN_BY_OTHERS: tuple[tuple[type, str], ...] = (
    (ActorRef, "tell"),
    (Cell, "publish"),
    (Cell, "end"),
    (Feed, "tell"),
    (Mailbox, "get"),
    (Reply, "set"),
    (Roster, "put"),
    (Roster, "drop"),
    (Workers, "submit"),
    (Workers, "_tell"),
)
"""The methods by which one thread shows another what it has done, or takes what another gave."""


class Shaking:
    """Pauses by a seed, the same ones in each thread of a test whenever that is run."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._test = ""
        self._threads = threading.local()

    def begin(self, test: str) -> None:
        """Draw the pauses of another test from now on."""
        self._test = test

    def pause(self) -> None:
        """Sleep as long as the draw says: mostly a moment, at times long."""
        draws = self._draws()
        if self._threads.left_s > 0:
            pause_s = LONGEST_S * draws.random() ** 3
            self._threads.left_s -= pause_s
            time.sleep(pause_s)

    def _draws(self) -> random.Random:
        mine = self._threads
        if getattr(mine, "test", None) != self._test:
            mine.test, mine.left_s = self._test, MOST_S
            name = threading.current_thread().name
            mine.draws = random.Random(f"{self._seed} {self._test} {name}")  # noqa: S311
        draws: random.Random = mine.draws
        return draws


def held_up(method: Callable[..., Any], pause: Callable[[], None]) -> Callable[..., Any]:
    """Wrap a method between two pauses."""

    @wraps(method)
    def slow(*args: Any, **kwargs: Any) -> Any:
        pause()
        try:
            return method(*args, **kwargs)
        finally:
            pause()

    return slow


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shaken", metavar="SEED", help="hold up threads at random, by a seed")


def pytest_configure(config: pytest.Config) -> None:
    seed = config.getoption("--shaken")
    if seed is None:
        return
    shaking = Shaking(seed)
    for owner, name in SEEN_BY_OTHERS:
        kept = owner.__dict__[name]
        plain = kept.__func__ if isinstance(kept, staticmethod) else kept
        slow = held_up(plain, shaking.pause)
        setattr(owner, name, staticmethod(slow) if isinstance(kept, staticmethod) else slow)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    config.pluginmanager.register(_Tests(shaking), "shaken-tests")


class _Tests:
    def __init__(self, shaking: Shaking) -> None:
        self._shaking = shaking

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._shaking.begin(item.nodeid)
