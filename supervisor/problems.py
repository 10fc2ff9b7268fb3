"""What is wrong, in words for people: of actors, runners and the credential."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from supervisor.lifecycle import Stage
from supervisor.roster import Entry
from supervisor.supervision import TreeNode

_KEEPERS = frozenset({"root", "core", "runners", "fleet"})
_EXPIRES_SOON = timedelta(days=7)
_SOUND = frozenset(
    {
        "ready",
        "listening",
        "keeping",
        "waiting",
        "connecting",
        "running",
        "draining",
        "upgrading",
        "building",
        "recording",
    }
)
_OBSERVERS = frozenset({"journal"})
"""What they can't do costs no runner: it is warned of."""


@dataclass(frozen=True)
class Trouble:
    """An actor that is not as it should be.

    Attributes:
        actor: its id.
        words: what is wrong with it.
    """

    actor: str
    words: str


def of_actors(root: TreeNode | None) -> list[Trouble]:
    """Name the actors in trouble. Of runners' own, only those that hang: their stages say more."""
    if root is None:
        return [Trouble("root", "the supervision tree is not up")]
    return [Trouble(node.id, words) for node in _nodes(root) if (words := _trouble(node))]


def _trouble(node: TreeNode) -> str:
    is_runner = "/runners/" in node.path
    if not is_runner and not node.alive:
        return f"{node.id}: is {node.state}: {node.reason}"
    if node.stuck and node.handling:
        return f"{node.id}: is stuck in {node.handling.type}"
    if not is_runner and node.state not in _SOUND and node.id not in _OBSERVERS:
        return f"{node.id}: {node.state}: {node.reason}"
    return ""


def hanging_keepers(root: TreeNode | None) -> list[str]:
    """Name those of the actors that keep the fleet that hang.

    One that waits to be started again does not: its supervisor sees to it. Nor does one whose
    message takes long, within the limit that its class or its place in the tree sets.
    """
    return [
        f"{node.id} is stuck in {node.handling.type}"
        for node in (_nodes(root) if root else ())
        if node.id in _KEEPERS and node.stuck and node.handling
    ]


def is_kept(root: TreeNode | None) -> bool:
    """Tell whether somebody looks after the fleet: what keeps it has not ended, and does not hang.

    A fleet's actor that is being started again is as good as there.
    """
    if root is None or not root.alive:
        return False
    core = next((node for node in root.children if node.id == "core"), None)
    return (core is None or core.alive) and not hanging_keepers(root)


def of_shortage(lasts: timedelta, reason: str) -> str:
    """Say that there have been too few runners for too long.

    Args:
        lasts: how long.
        reason: what the fleet says of it.
    """
    minutes = int(lasts.total_seconds() // 60)
    return f"fleet: fewer runners than wanted for {minutes} min: {reason}"


def of_runners(entries: Iterable[Entry]) -> Iterator[str]:
    """Name the runners that have failed, and are not gone yet."""
    for entry in entries:
        if entry.life.stage is Stage.FAILED:
            yield f"{entry.name}: {entry.life.reason}"


def of_credential(github: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """Warn of a credential that ends soon. An app's token is renewed by itself."""
    if not github.get("expires_at") or github["renewed"]:
        return
    left = datetime.fromisoformat(github["expires_at"]) - now
    if left < _EXPIRES_SOON:
        when = "has expired" if left < timedelta(0) else f"expires in {left.days} days"
        yield f"the {github['credential']} {when} ({github['expires_at']}): set another"


def _nodes(root: TreeNode) -> Iterator[TreeNode]:
    yield root
    for child in root.children:
        yield from _nodes(child)
