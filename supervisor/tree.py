"""The tree: which actors there are, in which order, and what the crash of one means to others."""

from collections.abc import Callable
from functools import partial
from typing import Any

from pykka import ActorRef

from supervisor.actors.control import ControlActor
from supervisor.actors.events import EventsActor
from supervisor.actors.filters import FiltersActor
from supervisor.actors.firewall import FirewallActor
from supervisor.actors.fleet import FleetActor
from supervisor.actors.image import ImageActor
from supervisor.actors.journal import JournalActor
from supervisor.actors.metrics import MetricsActor
from supervisor.actors.policy import PolicyActor
from supervisor.actors.signals import SignalsActor
from supervisor.actors.storage import StorageActor
from supervisor.actors.tokens import TokensActor
from supervisor.actors.upgrades import UpgradesActor
from supervisor.parts import Parts
from supervisor.roles import RUNNERS
from supervisor.supervision import (
    INFINITY,
    Backoff,
    ChildSpec,
    Strategy,
    Supervisor,
    SupervisorSpec,
    System,
)

_BACKOFF = Backoff(minimum=0.2, maximum=30, factor=2, jitter=0.2, reset_after=60)


def root_spec(system: System, parts: Parts) -> SupervisorSpec:
    """Describe the tree: the core, which keeps the fleet, and beside it what shows it.

    The control socket, the page of metrics and the journal need nobody, and are most wanted when
    others fail. Nobody needs them either: however often they fail, or if they never start, the core
    goes on.
    """
    core = core_spec(system, parts)
    return SupervisorSpec(
        strategy=Strategy.ONE_FOR_ONE,
        intensity=3,
        period=60,
        backoff=_BACKOFF,
        children=[
            _beside("journal", partial(JournalActor.start, system, parts)),
            _beside("control", partial(ControlActor.start, system, parts)),
            _beside("metrics", partial(MetricsActor.start, system, parts)),
            ChildSpec("core", partial(Supervisor.start, system, core), shutdown=INFINITY),
        ],
    )


def _beside(id_: str, start: Callable[[], ActorRef[Any]]) -> ChildSpec:
    """Describe an actor that can't end the tree, and keeps the core waiting for a moment only."""
    return ChildSpec(id_, start, escalates=False, start_limit=5, shutdown=2)


def core_spec(system: System, parts: Parts) -> SupervisorSpec:
    """Describe the core: a later child needs the earlier ones, so it restarts with them."""
    runners = SupervisorSpec(
        strategy=Strategy.ONE_FOR_ONE, dynamic=True, intensity=50, period=10, backoff=_BACKOFF
    )
    return SupervisorSpec(
        strategy=Strategy.REST_FOR_ONE,
        intensity=10,
        period=60,
        backoff=_BACKOFF,
        children=[
            ChildSpec("tokens", partial(TokensActor.start, system, parts), shutdown=1),
            ChildSpec(RUNNERS, partial(Supervisor.start, system, runners), shutdown=INFINITY),
            ChildSpec("signals", partial(SignalsActor.start, system, parts), shutdown=2),
            ChildSpec("storage", partial(StorageActor.start, system, parts), shutdown=1),
            ChildSpec("firewall", partial(FirewallActor.start, system, parts), shutdown=1),
            ChildSpec("upgrades", partial(UpgradesActor.start, system, parts), shutdown=1),
            ChildSpec("image", partial(ImageActor.start, system, parts), shutdown=1),
            ChildSpec("policy", partial(PolicyActor.start, system, parts), shutdown=1),
            ChildSpec("fleet", partial(FleetActor.start, system, parts, RUNNERS), shutdown=1),
            ChildSpec("events", partial(EventsActor.start, system, parts), shutdown=1),
            ChildSpec("filters", partial(FiltersActor.start, system, parts), shutdown=1),
        ],
    )
