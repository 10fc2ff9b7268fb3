"""Looks at both sides all the time, from outside, and keeps what should not be."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from supervisor.gateways.lxd import Lxd, LxdError
from supervisor.runners import marks, naming
from tests.e2e.chaos.verdicts import Made, Names, Registered, Sample, too_many

if TYPE_CHECKING:
    from typing_extensions import Self

    from tests.e2e.chaos.scene import Scene

_PAUSE_S = 0.4


class Watcher:
    """A thread that takes samples while it is entered.

    Attributes:
        samples: how many there were; a LXD that is dead or hangs gives none.
        violations: what was wrong, each once.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._lxd = Lxd(scene.world.lxd.endpoint)
        self._names = Names()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self.samples = 0
        self.violations: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self._thread.join()

    def look(self) -> list[str]:
        """Return what has been wrong so far."""
        scene = self._scene
        code = scene.world.daemon.exit_code()
        if code is not None and scene.daemon_is_wanted:
            self._note(f"the daemon has ended by itself with {code}")
        return self.violations

    def _run(self) -> None:
        while not self._done.wait(_PAUSE_S):
            sample = self._sample()
            if sample is None:
                continue
            self.samples += 1
            wrong = [too_many(sample, self._scene.settings), *self._names.used_again(sample)]
            for violation in filter(None, wrong):
                self._note(violation)

    def _note(self, violation: str) -> None:
        if violation not in self.violations:
            self.violations.append(violation)
            self._scene.write(f"WRONG: {violation}")

    def _sample(self) -> Sample | None:
        before = self._registered()
        at_s = time.monotonic()
        try:
            listed = self._lxd.instances()
        except LxdError:
            return None
        installation = self._scene.world.installation
        instances = {
            one.name: Made(one.created_at, marks.read(one.status, one.config).generation)
            for one in listed
            if marks.are_of(installation, one.config)
        }
        return Sample(at_s, instances, before, self._registered())

    def _registered(self) -> dict[str, Registered]:
        world = self._scene.world
        return {
            runner.name: Registered(runner.id, runner.busy)
            for runner in world.github.runners()
            if naming.belongs_to(world.installation, runner.name)
        }
