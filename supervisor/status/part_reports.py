"""What is told of each part that a runner needs, from what the actors have published."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from supervisor.causes import Cause
from supervisor.config import Config
from supervisor.lifecycle import Stage
from supervisor.runners.roster import Entry
from supervisor.status.document import InShort, PartStatus
from supervisor.supervision import TreeNode
from supervisor.upgrades import reboot
from supervisor.upgrades.reboot import Need, Reboot, Running


def parts_report(root: TreeNode | None) -> dict[str, PartStatus]:
    """Say of each thing that a new runner needs whether it is there, and how it is."""
    firewall, image, policy = firewall_report(root), image_report(root), policy_report(root)
    github, signals, storage = (
        published_by(actor, root, {}) for actor in ("tokens", "signals", "storage")
    )
    return {
        part: {"in_place": bool(is_there), **in_short(told)}
        for part, told, is_there in (
            ("firewall", firewall, firewall["in_place"]),
            ("github", github, github["state"] == "ready"),
            ("image", image, image["image"]),
            ("policy", policy, policy["healthy"]),
            ("signals", signals, signals["state"] == "listening"),
            ("storage", storage, storage["state"] == "ready"),
        )
    }


def firewall_report(root: TreeNode | None) -> dict[str, Any]:
    """Say of the firewall what its actors have published; without them it is not known to be there.

    One of them keeps this installation's own rules, the other what LXD filters at the guests'
    ports. Only what both have is in place, and a look is done when both have looked.
    """
    unknown = {"in_place": False, "checks": 0, "incarnation": ""}
    own = published_by("firewall", root, unknown)
    lxds = published_by("filters", root, unknown)
    report = {**own, "checks": min(own["checks"], lxds["checks"])}
    report["warnings"] = (*own.get("warnings", ()), *lxds.get("warnings", ()))
    report["unfiltered"] = lxds.get("unfiltered", ())
    if own["in_place"] and lxds["state"] != "ready":
        report |= {"in_place": False, **{key: lxds[key] for key in ("state", "reason", "cause")}}
    return report


def policy_report(root: TreeNode | None) -> dict[str, Any]:
    """Say of the policy service what its actor has published; without one it may be ill."""
    return published_by("policy", root, {"healthy": False})


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
    found = published_by("upgrades", root, unknown)
    decision = reboot_decision(root, list(entries), config, draining_since)
    return {**found, "reboot": asdict(decision)}


def reboot_decision(
    root: TreeNode | None,
    entries: Sequence[Entry],
    config: Config,
    draining_since: datetime | None,
) -> Reboot:
    """Say whether the host should be restarted, and when; as `upgrades_report`."""
    running = Running(
        runners=len(entries),
        busy=sum(entry.life.stage is Stage.BUSY for entry in entries),
        building=bool(details_of("image", root).get("building")),
        held=draining_since is not None or not config.virtual_machines,
    )
    needed = details_of("upgrades", root).get("reboot_for")
    return reboot.decide(Need(**needed) if needed else None, running)


def image_report(root: TreeNode | None) -> dict[str, Any]:
    """Say of the image what its actor has published; without one nothing is known of it."""
    words = dict.fromkeys(("image", "building", "lacks", "error", "error_log", "incarnation"), "")
    return published_by("image", root, {**words, "images": (), "orders": 0, "warnings": ()})


def published_by(actor: str, root: TreeNode | None, unknown: dict[str, Any]) -> dict[str, Any]:
    """Give what an actor has published, over what holds while it has published nothing."""
    found = node_of(actor, root)
    if found is None or not found.alive:
        reason = "the daemon is not looking after it now: its actor is being started again"
        return {**unknown, "state": "down", "reason": reason, "cause": str(Cause.ACTOR_DOWN)}
    known = {"cause": "", **unknown, "state": found.state, "reason": found.reason}
    return {**known, **found.details}


def in_short(told: Mapping[str, Any]) -> InShort:
    """Give of what an actor has published how it is, without the details."""
    return {"state": told["state"], "reason": told["reason"], "cause": told["cause"]}


def details_of(actor: str, root: TreeNode | None) -> dict[str, Any]:
    """Give what an actor has published besides its state."""
    node = node_of(actor, root)
    return dict(node.details) if node else {}


def node_of(actor: str, root: TreeNode | None) -> TreeNode | None:
    """Find an actor that is always there, by its id."""
    return next((node for node in (root.walk() if root else ()) if node.id == actor), None)
