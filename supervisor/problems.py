"""What is wrong, in words for people: of actors, runners, the configuration and GitHub."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from supervisor import health
from supervisor.lifecycle import Stage
from supervisor.roles import KEEPERS, OBSERVERS, is_runner
from supervisor.roster import Entry
from supervisor.supervision import TreeNode

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
    """Name the actors in trouble, but for observers: theirs costs no runner, and is warned of."""
    if root is None:
        return [Trouble("root", "the supervision tree is not up")]
    return [
        Trouble(node.id, words)
        for node in root.walk()
        if node.id not in OBSERVERS and (words := _trouble(node))
    ]


def warnings(root: TreeNode | None) -> list[str]:
    """Give what actors warn of, observers last; and what is wrong with these, if they don't say."""
    nodes = list(root.walk()) if root else []
    observers = [node for node in nodes if node.id in OBSERVERS]
    silent = [node for node in observers if node.stuck or not _warnings(node)]
    return [
        *(words for node in nodes if node not in observers for words in _warnings(node)),
        *(words for node in observers for words in _warnings(node)),
        *filter(None, map(_trouble, silent)),
    ]


def _warnings(node: TreeNode) -> Sequence[str]:
    found: Sequence[str] = node.details.get("warnings", ())
    return found


def _trouble(node: TreeNode) -> str:
    """Say what is wrong with an actor; of a runner's, only that it hangs: its stage says more."""
    if node.stuck and node.handling:
        return f"{node.id}: is stuck in {node.handling.type}"
    if is_runner(node.path):
        return ""
    if not node.alive:
        return f"{node.id}: is {node.state}: {node.reason}"
    return "" if node.state in _SOUND else f"{node.id}: {node.state}: {node.reason}"


def hanging_keepers(root: TreeNode | None) -> list[str]:
    """Name those of the actors that keep the fleet that hang.

    One that waits to be started again does not: its supervisor sees to it. Nor does one whose
    message takes long, within the limit that its class or its place in the tree sets.
    """
    return [
        f"{node.id} is stuck in {node.handling.type}"
        for node in (root.walk() if root else ())
        if node.id in KEEPERS and node.stuck and node.handling
    ]


def is_kept(root: TreeNode | None) -> bool:
    """Tell whether somebody looks after the fleet: what keeps it has not ended, and does not hang.

    A fleet's actor that is being started again is as good as there.
    """
    if root is None or not root.alive:
        return False
    core = next((node for node in root.children if node.id == "core"), None)
    return (core is None or core.alive) and not hanging_keepers(root)


def of_shortage(since: datetime | None, reason: str, now: datetime) -> Iterator[str]:
    """Say that there have been too few runners for too long.

    Args:
        since: when they began to be too few; None if they are not.
        reason: what the fleet says of it.
        now: aware.
    """
    if since and health.is_short(since, now):
        minutes = int((now - since).total_seconds() // 60)
        yield f"fleet: fewer runners than wanted for {minutes} min: {reason}"


def of_runners(entries: Iterable[Entry]) -> Iterator[str]:
    """Name the runners that have failed, and are not gone yet."""
    for entry in entries:
        if entry.life.stage is Stage.FAILED:
            yield f"{entry.name}: {entry.life.reason}"


def of_configuration(refusal: str) -> Iterator[str]:
    """Say that the last change was refused.

    Args:
        refusal: why; empty if it was not.
    """
    if refusal:
        yield f"configuration: the last change was refused: {refusal}"


def of_former_places(places: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Name the places of before that can't be asked, each with why."""
    for place in places:
        if place["reason"]:
            yield f"{place['place']}: {place['reason']}"


def of_credential(github: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """Warn of a credential that ends soon. An app's token is renewed by itself."""
    if not github.get("expires_at") or github["renewed"]:
        return
    left = datetime.fromisoformat(github["expires_at"]) - now
    if left < _EXPIRES_SOON:
        when = "has expired" if left < timedelta(0) else f"expires in {left.days} days"
        yield f"the {github['credential']} {when} ({github['expires_at']}): set another"
