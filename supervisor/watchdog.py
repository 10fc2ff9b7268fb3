"""Whether the daemon still does its work: systemd ends one that does not, and starts another."""

from collections.abc import Iterator

from supervisor.supervision import System, TreeNode, tree

_VITAL = frozenset({"root", "root/core", "root/core/runners", "root/core/fleet"})
_LATEST_S = 60.0


def wedged(system: System) -> list[str]:
    """Name what has stopped for good, as far as can be seen without asking anybody.

    An actor that waits to be started again is not wedged: its supervisor sees to it. Nor is one
    whose message takes long, within the limit that its class or its place in the tree sets.

    Args:
        system: whose tree, and whose timers: without these nothing is found stuck, either.
    """
    found = [*_stuck(tree(system))]
    due = system.timers.next_due()
    if due is not None and system.clock.monotonic() - due > _LATEST_S:
        found.append(f"timers are more than {_LATEST_S:.0f} s late")
    return found


def _stuck(node: TreeNode | None) -> Iterator[str]:
    if node is None or not node.alive:
        return
    if node.path in _VITAL and node.stuck and node.handling:
        yield f"{node.id} is stuck in {node.handling.type}"
    for child in node.children:
        if child.path in _VITAL:
            yield from _stuck(child)
