"""What is wrong, in words for people: of actors, runners, the configuration and GitHub."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from supervisor.causes import Cause, Fault
from supervisor.lifecycle import Stage
from supervisor.roles import KEEPERS, OBSERVERS, is_runner
from supervisor.runners.roster import Entry
from supervisor.status import health
from supervisor.status.states import is_failing
from supervisor.supervision import TreeNode

_EXPIRES_SOON = timedelta(days=7)

RUNNER, CONFIGURATION, CREDENTIAL, FORMER_PLACE = "runner", "configuration", "credential", "place"
"""What a problem is of that is no actor's."""


@dataclass(frozen=True)
class Problem:
    """Something that is not as it should be.

    Attributes:
        of: the id of an actor, or one of the four things that are none.
        words: what is wrong with it, for people.
        cause: the same in a word.
        runner: the name of that runner, if it is one.
    """

    of: str
    words: str
    cause: Cause = Cause.UNKNOWN
    runner: str = ""


def of_actors(root: TreeNode | None) -> list[Problem]:
    """Name the actors in trouble, but for observers: theirs costs no runner, and is warned of."""
    if root is None:
        return [Problem("root", "the supervision tree is not up", Cause.ACTOR_DOWN)]
    found = (_trouble(node) for node in root.walk() if node.id not in OBSERVERS)
    return [problem for problem in found if problem]


def warnings(root: TreeNode | None) -> list[str]:
    """Give what actors warn of, observers last; and what is wrong with these, if they don't say."""
    nodes = list(root.walk()) if root else []
    observers = [node for node in nodes if node.id in OBSERVERS]
    silent = [node for node in observers if node.stuck or not _warnings(node)]
    return [
        *(words for node in nodes if node not in observers for words in _warnings(node)),
        *(words for node in observers for words in _warnings(node)),
        *(problem.words for problem in map(_trouble, silent) if problem),
    ]


def _warnings(node: TreeNode) -> Sequence[str]:
    found: Sequence[str] = node.details.get("warnings", ())
    return found


def _trouble(node: TreeNode) -> Problem | None:
    """Say what is wrong with an actor; of a runner's, only that it hangs: its stage says more."""
    if node.stuck and node.handling:
        words = f"{node.id}: is stuck in {node.handling.type}"
        return Problem(node.id, words, Cause.ACTOR_STUCK)
    if is_runner(node.path):
        return None
    if not node.alive:
        return Problem(node.id, f"{node.id}: is {node.state}: {node.reason}", Cause.ACTOR_DOWN)
    if not is_failing(node.state):
        return None
    return Problem(node.id, f"{node.id}: {node.state}: {node.reason}", _cause(node))


def _cause(node: TreeNode | None) -> Cause:
    """Give the cause of an actor's state, as it has published it."""
    return Cause(node.details.get("cause", Cause.UNKNOWN)) if node else Cause.UNKNOWN


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


def of_shortage(since: datetime | None, fleet: Fault, now: datetime) -> Iterator[Problem]:
    """Say that there have been too few runners for too long.

    Args:
        since: when they began to be too few; None if they are not.
        fleet: what that says of it.
        now: aware.
    """
    if since and health.is_short(since, now):
        minutes = int((now - since).total_seconds() // 60)
        words = f"fleet: fewer runners than wanted for {minutes} min: {fleet.reason}"
        yield Problem("fleet", words, fleet.cause)


def of_runners(entries: Iterable[Entry]) -> Iterator[Problem]:
    """Name the runners that have failed, and are not gone yet."""
    for entry in entries:
        life, name = entry.life, entry.name
        if life.stage is Stage.FAILED:
            yield Problem(RUNNER, f"{name}: {life.reason}", life.cause, name)


def of_configuration(refusal: Fault) -> Iterator[Problem]:
    """Say that the last change was refused, or taken in part only.

    Args:
        refusal: why, if it was.
    """
    if refusal.cause is Cause.CONFIGURATION_IN_PART:
        fault = refusal.reason
        words = (
            f"configuration: the last change was taken in part only ({fault}); the log says more"
        )
        yield Problem(CONFIGURATION, words, refusal.cause)
    elif refusal:
        words = f"configuration: the last change was refused: {refusal.reason}"
        yield Problem(CONFIGURATION, words, refusal.cause)


def of_former_places(places: Iterable[Mapping[str, Any]]) -> Iterator[Problem]:
    """Name the places of before that can't be asked, each with why."""
    for place in places:
        if place["reason"]:
            yield Problem(FORMER_PLACE, f"{place['place']}: {place['reason']}")


def of_credential(github: Mapping[str, Any], now: datetime) -> Iterator[Problem]:
    """Warn of a credential that ends soon. An app's token is renewed by itself."""
    if not github.get("expires_at") or github["renewed"]:
        return
    left = datetime.fromisoformat(github["expires_at"]) - now
    if left < _EXPIRES_SOON:
        when = "has expired" if left < timedelta(0) else f"expires in {left.days} days"
        words = f"the {github['credential']} {when} ({github['expires_at']}): set another"
        yield Problem(CREDENTIAL, words, Cause.CREDENTIAL_EXPIRING)
