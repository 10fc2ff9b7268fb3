"""The fleet's state in numbers and words, from what the actors have published."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from supervisor import health, places, problems
from supervisor.config import Config
from supervisor.guest.logs import Kept
from supervisor.last_failure import Failure
from supervisor.lifecycle import AVAILABLE, Stage
from supervisor.parts import Settings
from supervisor.remedies import remedy_of
from supervisor.roster import Entry
from supervisor.supervision import TreeNode
from supervisor.upgrades import reboot
from supervisor.upgrades.reboot import Reboot, Running


def status_report(
    root: TreeNode | None,
    entries: Iterable[Entry],
    settings: Settings,
    now: datetime,
    *,
    draining_since: datetime | None = None,
    last_failure: Failure | None = None,
) -> dict[str, Any]:
    """Sum up.

    Args:
        root: of the tree.
        entries: the runners.
        settings: the configuration in force.
        now: aware; against which the end of the credential is told.
        draining_since: when the fleet was ordered to drain; None if it is to be kept.
        last_failure: the runner that failed last, as far as is known.

    Returns:
        How the fleet is in a word (`health`), what is wanted, how many runners are in which stage,
        what each needs and whether it is there, who asks GitHub and what is left of its limits,
        what is still at places that were configured before, and what is wrong, each with a reason
        and, at the same place of `remedies`, with what to do; nothing is wrong where `problems` is
        empty. What is not as it should be and costs no runner is in `warnings`.
    """
    entries = list(entries)
    stages = Counter(str(entry.life.stage) for entry in entries)
    present = sum(stages[stage] for stage in (*AVAILABLE, Stage.BUSY))
    troubled = problems.of_actors(root)
    root = without_runners(root)  # all that is looked up from here on is always there
    fleet = _fleet(root)
    short_since = fleet.pop("short_since")
    is_short = health.is_short(short_since, now)
    found = [one.words for one in troubled]
    if short_since and is_short and not any(one.actor == "fleet" for one in troubled):
        found.append(problems.of_shortage(now - short_since, fleet["reason"]))
    found += problems.of_runners(entries)
    if settings.error:
        found.append(f"configuration: the last change was refused: {settings.error}")
    decision = _reboot(root, entries, settings.config, draining_since)
    github = _details_of("tokens", root)
    found += problems.of_credential(github, now)
    former = _former_places(entries, github.pop("former_places", {}), settings.config)
    found += [f"{place['place']}: {place['reason']}" for place in former if place["reason"]]
    facts = health.Facts(
        wanted=0 if draining_since else settings.config.virtual_machines,
        present=present,
        short=is_short,
        blocked=any(one.actor in health.NEEDED for one in troubled),
        kept=problems.is_kept(root),
        problems=found,
    )
    return {
        "health": str(health.judge(facts)),
        "name": settings.config.name,
        "path": settings.config.path,
        "wanted": settings.config.virtual_machines,
        "present": present,
        "draining_since": draining_since.isoformat() if draining_since else None,
        "stages": dict(sorted(stages.items())),
        "fleet": fleet,
        "short_since": short_since.isoformat() if short_since else None,
        "parts": parts_report(root),
        "upgrades": _in_short(_published_by("upgrades", root, {})),
        "last_failure": _failure(last_failure),
        "github": {"url": settings.config.github_url, **github},
        "former_places": former,
        "problems": found,
        "remedies": [remedy_of(problem) for problem in found],
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


def parts_report(root: TreeNode | None) -> dict[str, dict[str, Any]]:
    """Say of each thing that a new runner needs whether it is there, and how it is."""
    firewall, image, policy = firewall_report(root), image_report(root), policy_report(root)
    github, signals, storage = (
        _published_by(actor, root, {}) for actor in ("tokens", "signals", "storage")
    )
    return {
        part: {"in_place": bool(is_there), "state": told["state"], "reason": told["reason"]}
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


def without_runners(node: TreeNode | None) -> TreeNode | None:
    """Give the tree with only those actors that are always there."""
    if node is None:
        return None
    kept = () if node.path.endswith("/core/runners") else node.children
    return replace(node, children=tuple(filter(None, map(without_runners, kept))))


def _details_of(actor: str, root: TreeNode | None) -> dict[str, Any]:
    """Give what an actor has published besides its state."""
    return next((dict(node.details) for node in _nodes(root) if node.id == actor), {})


def _fleet(root: TreeNode | None) -> dict[str, Any]:
    """Give what the fleet's actor says of itself, and since when it is short of runners."""
    told = _published_by("fleet", root, {"short_since": None})
    node = next((node for node in _nodes(root) if node.id == "fleet"), None)
    return {
        **_in_short(told),
        "since": node.since.isoformat(timespec="seconds") if node else None,
        "short_since": _moment(told["short_since"]),
    }


def _in_short(told: Mapping[str, Any]) -> dict[str, Any]:
    return {"state": told["state"], "reason": told["reason"]}


def _failure(failure: Failure | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    return {**asdict(failure), "at": failure.at.isoformat(timespec="seconds")}


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


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
