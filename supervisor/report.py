"""The fleet's state in numbers and words, from what the actors have published."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from supervisor import places
from supervisor.config import Config
from supervisor.guest.logs import Kept
from supervisor.lifecycle import AVAILABLE, Stage
from supervisor.parts import Settings
from supervisor.roster import Entry
from supervisor.supervision import TreeNode
from supervisor.upgrades import reboot
from supervisor.upgrades.reboot import Reboot, Running

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


def status_report(
    root: TreeNode | None,
    entries: Iterable[Entry],
    settings: Settings,
    now: datetime,
    *,
    draining_since: datetime | None = None,
) -> dict[str, Any]:
    """Sum up.

    Args:
        root: of the tree.
        entries: the runners.
        settings: the configuration in force.
        now: aware; against which the end of the credential is told.
        draining_since: when the fleet was ordered to drain; None if it is to be kept.

    Returns:
        What is wanted, how many runners are in which stage, who asks GitHub and what is left of
        its limits, what is still at places that were configured before, and what is wrong, each
        with a reason; nothing is wrong where `problems` is empty. What is not as it should be and
        costs no runner is in `warnings`.
    """
    entries = list(entries)
    stages = Counter(str(entry.life.stage) for entry in entries)
    present = sum(stages[stage] for stage in (*AVAILABLE, Stage.BUSY))
    troubled = _troubled_actors(root) if root else ["the supervision tree is not up"]
    problems = [*troubled, *_failed_runners(entries)]
    if settings.error:
        problems.append(f"configuration: the last change was refused: {settings.error}")
    decision = _reboot(root, entries, settings.config, draining_since)
    github = _details_of("tokens", root)
    problems += _credential_problems(github, now)
    former = _former_places(entries, github.pop("former_places", {}), settings.config)
    problems += [f"{place['place']}: {place['reason']}" for place in former if place["reason"]]
    return {
        "name": settings.config.name,
        "path": settings.config.path,
        "wanted": settings.config.virtual_machines,
        "present": present,
        "draining_since": draining_since.isoformat() if draining_since else None,
        "stages": dict(sorted(stages.items())),
        "github": {"url": settings.config.github_url, **github},
        "former_places": former,
        "problems": problems,
        "warnings": [
            warning
            for actor in (
                "storage",
                "firewall",
                "filters",
                "upgrades",
                "image",
                "policy",
                "metrics",
                "journal",
            )
            for warning in _details_of(actor, root).get("warnings", ())
        ]
        + [decision.reason] * (decision.when != "no"),
    }


def firewall_report(root: TreeNode | None) -> dict[str, Any]:
    """Say of the firewall what its actors have published; without them it is not known to be there.

    One of them keeps this installation's own rules, the other what LXD filters at the guests'
    ports. Only what both have is in place, and a look is done when both have looked.
    """
    unknown = {"in_place": False, "checks": 0, "incarnation": ""}
    own = _published_by("firewall", root, unknown)
    lxds = _published_by("filters", root, unknown)
    report = {**own, "checks": min(own["checks"], lxds["checks"])}
    report["warnings"] = (*own.get("warnings", ()), *lxds.get("warnings", ()))
    report["unfiltered"] = lxds.get("unfiltered", ())
    if own["in_place"] and lxds["state"] != "ready":
        report |= {"in_place": False, "state": lxds["state"], "reason": lxds["reason"]}
    return report


def policy_report(root: TreeNode | None) -> dict[str, Any]:
    """Say of the policy service what its actor has published; without one it may be ill."""
    return _published_by("policy", root, {"healthy": False})


def upgrades_report(
    root: TreeNode | None,
    entries: Iterable[Entry],
    config: Config,
    draining_since: datetime | None,
) -> dict[str, Any]:
    """Say of what is kept current what its actor has published; without one nothing is known.

    Args:
        root: the tree.
        entries: the runners, which a reboot would end.
        config: in force.
        draining_since: when a drain began; None without one.
    """
    unknown = {"subjects": (), "warnings": (), "incarnation": ""}
    found = _published_by("upgrades", root, unknown)
    decision = _reboot(root, list(entries), config, draining_since)
    return {**found, "reboot": {"when": decision.when, "reason": decision.reason}}


def _reboot(
    root: TreeNode | None,
    entries: Sequence[Entry],
    config: Config,
    draining_since: datetime | None,
) -> Reboot:
    running = Running(
        runners=len(entries),
        busy=sum(entry.life.stage is Stage.BUSY for entry in entries),
        building=bool(_details_of("image", root).get("building")),
        held=draining_since is not None or not config.virtual_machines,
    )
    return reboot.decide(_details_of("upgrades", root).get("reboot_for", ""), running)


def image_report(root: TreeNode | None) -> dict[str, Any]:
    """Say of the image what its actor has published; without one nothing is known of it."""
    words = dict.fromkeys(("image", "building", "lacks", "error", "error_log", "incarnation"), "")
    return _published_by("image", root, {**words, "images": (), "orders": 0, "warnings": ()})


def _published_by(actor: str, root: TreeNode | None, unknown: dict[str, Any]) -> dict[str, Any]:
    """Give what an actor has published, over what holds while it has published nothing."""
    found = next((node for node in _nodes(root) if node.id == actor), None)
    if found is None or not found.alive:
        reason = "the daemon is not looking after it now: its actor is being started again"
        return {**unknown, "state": "down", "reason": reason}
    return {**unknown, "state": found.state, "reason": found.reason, **found.details}


def runner_report(entry: Entry) -> dict[str, Any]:
    """Describe one runner."""
    life = entry.life
    return {
        "name": entry.name,
        "stage": str(life.stage),
        "since": life.since.isoformat(timespec="milliseconds"),
        "reason": life.reason,
        "runner_id": life.runner_id,
        "generation": entry.generation,
        "job": asdict(life.job) if life.job else None,
    }


def log_report(kept: Kept) -> dict[str, Any]:
    """Describe the logs of one runner, without what they say."""
    return {
        "runner": kept.runner,
        "saved_at": kept.saved_at,
        "reason": kept.reason,
        "size": kept.size,
    }


def tree_lines(node: TreeNode | None, depth: int = 0) -> Iterator[str]:
    """Write the tree as indented lines, for the log."""
    if node is None:
        return
    facts = [node.state, f"since {node.since.isoformat(timespec='seconds')}"]
    facts += [f"restarts={node.restarts}"] if node.restarts else []
    facts += [f"mailbox={node.mailbox}"] if node.mailbox else []
    facts += [f"in {node.handling.type}"] if node.handling else []
    facts += [node.reason] if node.reason else []
    yield f"{'  ' * depth}{node.id}: {', '.join(facts)}"
    for child in node.children:
        yield from tree_lines(child, depth + 1)


def _details_of(actor: str, root: TreeNode | None) -> dict[str, Any]:
    """Give what an actor has published besides its state."""
    return next((dict(node.details) for node in _nodes(root) if node.id == actor), {})


def _nodes(node: TreeNode | None) -> Iterator[TreeNode]:
    if node:
        yield node
        for child in node.children:
            yield from _nodes(child)


def _former_places(
    entries: Iterable[Entry], reasons: Mapping[str, str], config: Config
) -> list[dict[str, Any]]:
    """Say what is left where nothing is registered any more, and why it can't be asked there."""
    stages: dict[str, Counter[str]] = {place: Counter() for place in reasons}
    for entry in entries:
        if entry.place and entry.place != places.of(config):
            stages.setdefault(entry.place, Counter())[str(entry.life.stage)] += 1
    return [
        {
            "place": places.in_words(place, config),
            "stages": dict(sorted(found.items())),
            "reason": reasons.get(place, ""),
        }
        for place, found in sorted(stages.items())
    ]


def _credential_problems(github: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """Warn of a credential that ends soon. An app's token is renewed by itself."""
    if not github.get("expires_at") or github["renewed"]:
        return
    left = datetime.fromisoformat(github["expires_at"]) - now
    if left < _EXPIRES_SOON:
        when = "has expired" if left < timedelta(0) else f"expires in {left.days} days"
        yield f"the {github['credential']} {when} ({github['expires_at']}): set another"


def _troubled_actors(node: TreeNode) -> Iterator[str]:
    is_runner = "/runners/" in node.path
    if not is_runner and not node.alive:
        yield f"{node.id}: is {node.state}: {node.reason}"
    elif node.stuck and node.handling:
        yield f"{node.id}: is stuck in {node.handling.type}"
    elif not is_runner and node.state not in _SOUND and node.id not in _OBSERVERS:
        yield f"{node.id}: {node.state}: {node.reason}"
    for child in node.children:
        yield from _troubled_actors(child)


def _failed_runners(entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        if entry.life.stage is Stage.FAILED:
            yield f"{entry.name}: {entry.life.reason}"
