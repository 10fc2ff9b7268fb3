from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import shaken
from fake_actors import Inbox
from fake_world import World, make_world
from shaken import Shaking
from waiting import eventually

from supervisor.supervision import ChildSpec

__all__ = ["make_world"]

MakeWorld = Callable[..., World]
TESTS = Path(shaken.__file__).parent


class Slept:
    """The pauses that were made meanwhile, by their threads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.by_thread: dict[str, list[float]] = {}
        self._sleep = shaken.sleep
        monkeypatch.setattr(shaken, "sleep", self._note)

    def _note(self, seconds: float) -> None:
        self._sleep(seconds)
        self.by_thread.setdefault(threading.current_thread().name, []).append(seconds)


def run(world: World) -> list[Any]:
    """Have an actor receive a hundred numbers; give what it received."""
    got: list[Any] = []
    with shaken.shaken(Shaking("a seed")):
        world.run(ChildSpec("inbox", lambda: Inbox.start(world.system, got)))
        for number in range(100):
            world.tell("inbox", number)
        eventually(lambda: len(got) == 100)
    return got


def test_what_threads_let_each_other_see_takes_longer_when_shaken(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept = Slept(monkeypatch)
    began = time.monotonic()
    run(make_world())
    took_s = time.monotonic() - began
    # Before and after each: those that were told here, and those that were taken there.
    for thread in (threading.current_thread().name, "root/inbox"):
        pauses = slept.by_thread[thread]
        assert len(pauses) >= 200
        assert sum(pauses) <= took_s
        assert sum(pauses) > 0.2


def test_each_thread_does_all_in_the_same_order_when_shaken(make_world: MakeWorld) -> None:
    assert run(make_world()) == list(range(100))


def drawn(monkeypatch: pytest.MonkeyPatch, seed: str, test: str) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(shaken, "sleep", pauses.append)
    shaking = Shaking(seed)
    shaking.begin(test)
    for _ in range(1000):
        shaking.pause()
    return pauses


def test_the_pauses_are_by_the_seed_and_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    first = drawn(monkeypatch, "1", "a")
    assert first == drawn(monkeypatch, "1", "a")
    assert first[0] not in {drawn(monkeypatch, "2", "a")[0], drawn(monkeypatch, "1", "b")[0]}


def test_the_pauses_of_a_thread_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = drawn(monkeypatch, "1", "a")
    assert len(pauses) < 1000
    assert sum(pauses) <= shaken.MOST_S + shaken.LONGEST_S


def test_nothing_is_held_up_after_it(make_world: MakeWorld) -> None:
    plain = [getattr(owner, name) for owner, name in shaken.SEEN_BY_OTHERS]
    run(make_world())
    assert [getattr(owner, name) for owner, name in shaken.SEEN_BY_OTHERS] == plain


@pytest.mark.parametrize("options", [(), ("--shaken", "1")])
def test_the_option_shakes_a_whole_run(options: tuple[str, ...], tmp_path: Path) -> None:
    test = tmp_path / "test_it.py"
    test.write_text(
        "from supervisor.supervision.mailbox import Mailbox\n"
        "def test_it():\n"
        f"    assert hasattr(Mailbox.get, '__wrapped__') is {bool(options)}\n"
    )
    places = os.pathsep.join((str(TESTS), str(TESTS.parent)))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "shaken", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [*command, "--rootdir", str(tmp_path), *options, str(test)],
        env={**os.environ, "PYTHONPATH": places},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
