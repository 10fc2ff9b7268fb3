"""What each state of an actor says of it: one table for all who judge actors or show them."""

from collections.abc import Mapping
from enum import Enum


class Soundness(Enum):
    """Whether an actor in some state does what it is for."""

    SOUND = "sound"
    """It does."""
    TRANSIENT = "transient"
    """It is on its way there, or was told to rest: no problem by itself."""
    FAILING = "failing"
    """It does not, and that is a problem."""


STATES: Mapping[str, Soundness] = {
    "ready": Soundness.SOUND,
    "listening": Soundness.SOUND,
    "keeping": Soundness.SOUND,
    "recording": Soundness.SOUND,
    "running": Soundness.SOUND,
    "starting": Soundness.TRANSIENT,
    "waiting": Soundness.TRANSIENT,
    "connecting": Soundness.TRANSIENT,
    "building": Soundness.TRANSIENT,
    "upgrading": Soundness.TRANSIENT,
    "draining": Soundness.TRANSIENT,
    "unknown": Soundness.TRANSIENT,
    "stopping": Soundness.TRANSIENT,
    "restarting": Soundness.TRANSIENT,
    "limited": Soundness.FAILING,
    "degraded": Soundness.FAILING,
    "reconnecting": Soundness.FAILING,
    "failing": Soundness.FAILING,
    "down": Soundness.FAILING,
}
"""Of each word that an actor publishes, or that its supervisor gives one that does not live.

The stages of runners, which their actors publish too, are `lifecycle.Stage`.
"""


def is_failing(state: str) -> bool:
    """Tell whether a living actor in that state does not do what it is for.

    Args:
        state: any word; one that nobody knows is taken for the worst.
    """
    return STATES.get(state, Soundness.FAILING) is Soundness.FAILING
