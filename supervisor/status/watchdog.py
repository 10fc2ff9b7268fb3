"""Whether the daemon still does its work: systemd ends one that does not, and starts another."""

from pykka import ActorDeadError, ActorRef, Timeout

from supervisor.status import problems
from supervisor.supervision import CountChildren, Supervisor, System, tree

_ANSWER_LIMIT_S = 1.0
_LATEST_S = 60.0


def wedged(system: System, root: ActorRef[Supervisor]) -> list[str]:
    """Name what has stopped for good; nothing if all is well.

    The root is asked, the others are looked at: a core or a fleet that is being started again could
    not answer, and is not wedged.

    Args:
        system: whose tree, and whose timers: without these nothing is found to be stuck, either.
        root: of the tree.
    """
    found = problems.hanging_keepers(tree(system))
    due = system.timers.next_due()
    if due is not None and system.clock.monotonic() - due > _LATEST_S:
        found.append(f"timers are more than {_LATEST_S:.0f} s late")
    try:
        root.ask(CountChildren(), timeout=_ANSWER_LIMIT_S)
    except (ActorDeadError, Timeout) as error:
        found.append(f"the root does not answer: {error}")
    return found
