"""What comes of an event: the life as it goes on, and what is to be done."""

from dataclasses import dataclass
from enum import Enum

from supervisor.lifecycle.life import Life


class Effect(Enum):
    """What the runner's actor shall do next.

    Those that concern the instance (create, start, record, save, remove) are done one after
    another, so that a removal never overtakes a creation that is under way.
    """

    REGISTER = "ask GitHub for a just-in-time configuration"
    CREATE = "create the instance"
    START = "start the instance"
    RECORD = "write stage and job into the instance's configuration, take the secrets out"
    INSPECT = "look into the guest for a job that has begun"
    UNREGISTER = "delete the registration on GitHub"
    SAVE_LOGS = "keep what the guest has logged"
    REMOVE = "delete the instance"
    END = "end: nothing is left to do"


@dataclass(frozen=True)
class Step:
    """The outcome of one event: the new life, and what to do, in order."""

    life: Life
    effects: tuple[Effect, ...] = ()
