"""What hangs on which actor: one table for all who judge the tree by its actors' names."""

from collections.abc import Mapping
from dataclasses import dataclass

RUNNERS = "runners"
"""The id of the supervisor whose children are runners' actors."""
_BELOW_RUNNERS = f"/{RUNNERS}/"


@dataclass(frozen=True)
class Role:
    """What an actor is for.

    One that is none of these helps: runners are made and kept without it, but fall short of what is
    promised, so what is wrong with it is a problem.

    Attributes:
        needed: without it no runner is made.
        keeper: while it hangs nobody looks after the fleet.
        observer: it only shows or records: what it can't do costs no runner, and is warned of.
    """

    needed: bool = False
    keeper: bool = False
    observer: bool = False


_NEEDED = Role(needed=True)
_KEEPER = Role(needed=True, keeper=True)
_OBSERVER = Role(observer=True)

ROLES: Mapping[str, Role] = {
    "root": _KEEPER,
    "control": Role(),
    "metrics": _OBSERVER,
    "journal": _OBSERVER,
    "core": _KEEPER,
    "tokens": _NEEDED,
    RUNNERS: _KEEPER,
    "signals": _NEEDED,
    "storage": _NEEDED,
    "firewall": _NEEDED,
    "upgrades": _NEEDED,
    "image": _NEEDED,
    "policy": _NEEDED,
    "fleet": _KEEPER,
    "events": Role(),
    "filters": Role(),
}
"""Of each actor that is always there, by its id."""

NEEDED = frozenset(actor for actor, role in ROLES.items() if role.needed)
KEEPERS = frozenset(actor for actor, role in ROLES.items() if role.keeper)
OBSERVERS = frozenset(actor for actor, role in ROLES.items() if role.observer)


def is_runner(path: str) -> bool:
    """Tell whether an actor is a runner's, and not one of those that are always there.

    Args:
        path: where it stands in the tree.
    """
    return _BELOW_RUNNERS in path
