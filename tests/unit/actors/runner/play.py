"""One runner on a play of its own, and what the fleet hears of it."""

from __future__ import annotations

from functools import partial
from typing import Any

from fake_actors import APPLICATION, Inbox
from fake_world import World
from waiting import eventually

from supervisor import lifecycle
from supervisor.actors.runner import Birth, Order
from supervisor.lifecycle import Life, Seen, Stage
from supervisor.messages.fleet import RunnerChanged
from supervisor.messages.runner import Happened
from supervisor.runners.blueprints import blueprint_of
from supervisor.runners.marks import Marks
from supervisor.runners.roster import Entry, digest
from supervisor.supervision import (
    INFINITY,
    ChildSpec,
    Restart,
    StartChild,
    Supervisor,
    SupervisorSpec,
)

NAME = "fleet-aaaaaaaa"


class Play:
    """One runner, and what the fleet hears of it."""

    def __init__(self, world: World, origin: Order | Marks | None = None) -> None:
        self.world = world
        self.heard: list[Any] = []
        system = world.system
        runners = SupervisorSpec(dynamic=True, intensity=1000, period=1)
        world.run(
            ChildSpec("fleet", lambda: Inbox.start(system, self.heard)),
            world.tokens(),
            ChildSpec("runners", partial(Supervisor.start, system, runners), shutdown=INFINITY),
        )
        blueprint = blueprint_of(world.parts.settings.config)
        origin = origin or Order(blueprint, "http://127.0.0.1:8642", APPLICATION)
        life = Life(Stage.REQUESTED, world.clock.now())
        digest_ = origin.signal_digest if isinstance(origin, Marks) else ""
        world.parts.roster.put(Entry(NAME, blueprint.generation, life, digest_))
        birth = Birth(system, world.parts, NAME, origin)
        spec = ChildSpec(NAME, birth, restart=Restart.TRANSIENT, shutdown=2)
        world.tell("runners", StartChild(spec))

    @property
    def stages(self) -> list[str]:
        lives = [m.life.stage.value for m in self.heard if isinstance(m, RunnerChanged)]
        return [stage for i, stage in enumerate(lives) if not i or lives[i - 1] != stage]

    def happens(self, *events: lifecycle.Event) -> None:
        for event in events:
            self.world.tell(NAME, Happened(event))

    def comes_to(self, stage: str) -> None:
        eventually(lambda: self.stages[-1:] == [stage])

    def ends(self) -> None:
        self.comes_to("deleted")
        eventually(lambda: not self.world.system.directory.alive(NAME))
        assert self.world.parts.roster.get(NAME) is None

    def rests(self) -> None:
        """Wait until the actor has done with its messages, and so has set its alarms."""
        eventually(lambda: self.world.waiting(NAME) == 0)

    def life(self) -> Life:
        entry = self.world.parts.roster.get(NAME)
        assert entry is not None
        return entry.life


def found(stage: str = "", *, running: bool = True, runner_id: int | None = 7) -> Marks:
    return Marks(Seen(running, stage, runner_id), "g", digest("token"))
