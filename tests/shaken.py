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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from time import sleep
from typing import Any

import pytest
from fake_lxd import FakeLxd
from pykka import ActorRef

from supervisor.observation.feed import Feed
from supervisor.runners.roster import Roster
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
    (FakeLxd, "_enter"),
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
    """Draws pauses by a seed: the same ones in each thread of a test whenever that is run."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._test = ""
        self._here = threading.local()

    def begin(self, test: str) -> None:
        """Draw for another test from now on."""
        self._test = test

    def pause(self) -> None:
        """Sleep as long as is drawn: mostly a moment, at times long."""
        here = self._here
        if getattr(here, "test", None) != self._test:
            here.test, here.left_s = self._test, MOST_S
            name = threading.current_thread().name
            here.draws = random.Random(f"{self._seed} {self._test} {name}")  # noqa: S311
        if here.left_s > 0:
            pause_s = LONGEST_S * here.draws.random() ** 3
            here.left_s -= pause_s
            sleep(pause_s)

    def hold_up(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Give the method between two pauses."""

        @wraps(method)
        def held_up(*args: Any, **kwargs: Any) -> Any:
            self.pause()
            try:
                return method(*args, **kwargs)
            finally:
                self.pause()

        return held_up


@contextmanager
def shaken(shaking: Shaking) -> Iterator[None]:
    """Hold up whatever threads let each other see."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for owner, name in SEEN_BY_OTHERS:
                held_up = shaking.hold_up(getattr(owner, name))
                is_static = isinstance(owner.__dict__[name], staticmethod)
                patch.setattr(owner, name, staticmethod(held_up) if is_static else held_up)
            yield
    finally:
        sys.setswitchinterval(interval_s)


class _EachTest:
    """Tells which test is run."""

    def __init__(self, shaking: Shaking) -> None:
        self._shaking = shaking

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._shaking.begin(item.nodeid)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shaken", metavar="SEED", help="hold up threads at random, by a seed")


def pytest_configure(config: pytest.Config) -> None:
    seed = config.getoption("--shaken")
    if seed is not None:
        shaking = Shaking(seed)
        config.pluginmanager.register(_EachTest(shaking), "shaken-tests")
        shake = shaken(shaking)
        shake.__enter__()
        config.add_cleanup(lambda: shake.__exit__(None, None, None))
