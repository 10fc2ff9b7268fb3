"""A fleet that is real towards GitHub: its LXD is in memory, its clock is moved by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from fake_actors import APPLICATION, IMAGE, guarded, image_of
from fake_world import World

from supervisor.actors.fleet import FleetActor
from supervisor.actors.tokens import TokensActor
from supervisor.lifecycle import GuestReady
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.runner import Happened
from supervisor.messages.signals import SignalsListening
from supervisor.messages.storage import StorageChanged
from supervisor.messages.upgrades import ApplicationChanged
from supervisor.supervision import INFINITY, ChildSpec, Strategy, Supervisor, SupervisorSpec


class GitHubFleet:
    """The actors tokens, runners and fleet, as the daemon runs them."""

    def __init__(self, world: World) -> None:
        self.world = world
        system, parts = world.system, world.parts
        runners = SupervisorSpec(dynamic=True, intensity=1000, period=1)
        world.run(
            ChildSpec("tokens", partial(TokensActor.start, system, parts)),
            ChildSpec("runners", partial(Supervisor.start, system, runners), shutdown=INFINITY),
            ChildSpec("fleet", partial(FleetActor.start, system, parts, "runners")),
            strategy=Strategy.REST_FOR_ONE,
        )
        world.tell("fleet", SignalsListening("http://127.0.0.1:8642"))
        world.tell("fleet", StorageChanged(pool="default"))
        world.tell("fleet", guarded(parts.settings.config))
        world.tell("fleet", ApplicationChanged(APPLICATION))
        world.tell("fleet", image_of(IMAGE))
        world.is_guarded = True

    def fill(self, count: int) -> None:
        """Wait until so many guests have reported."""
        self.pass_until(lambda: sum(self.world.stages().values()) == count)
        self.pass_until(lambda: self._ready() == count)

    def report_ready(self) -> None:
        """Let all guests that boot report that they are ready."""
        for entry in self.world.parts.roster.all():
            if entry.life.stage == "booting":
                self.world.system.directory.tell(entry.name, Happened(GuestReady()))

    def _ready(self) -> int:
        self.report_ready()
        stages = self.world.stages()
        return stages["ready"] + stages["idle"]

    def want(self, count: int) -> None:
        """Change the wanted number, as a reload does."""
        self.world.reconfigure(virtual_machines=count)
        for name in ("tokens", "fleet"):
            self.world.tell(name, ConfigChanged(self.world.parts.settings.config))

    def pass_until(self, holds: Callable[[], object], step: float = 0.05) -> None:
        """Let time pass until something holds."""
        self.world.pass_until(holds, step)

    def let_pass(self, seconds: float, step: float = 5.0) -> None:
        """Let so much time pass, in steps that leave the actors time to act."""
        for _ in range(round(seconds / step)):
            self.world.clock.advance(step)
            time.sleep(0.003)
