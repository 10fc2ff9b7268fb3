"""The fleet's state in numbers and words, from what the actors have published."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from supervisor.causes import Cause, Fault
from supervisor.config import Config
from supervisor.github import places
from supervisor.guest.logs import Kept
from supervisor.lifecycle import PRESENT
from supervisor.observation.last_failure import Failure
from supervisor.parts import Parts, Settings
from supervisor.roles import NEEDED, is_runner
from supervisor.runners.roster import Entry
from supervisor.status import health, problems
from supervisor.status.document import FleetStatus, FormerPlaceStatus, InShort, Status
from supervisor.status.part_reports import (
    details_of,
    in_short,
    node_of,
    parts_report,
    published_by,
    reboot_decision,
)
from supervisor.status.remedies import remedy_of
from supervisor.supervision import Clock, TreeNode, offset


def current_status(root: TreeNode | None, parts: Parts, clock: Clock) -> Status:
    """Sum up how a daemon is now.

    Args:
        root: of its tree.
        parts: the daemon's.
        clock: its.
    """
    return status_report(
        root,
        parts.roster.all(),
        parts.settings,
        clock.now(),
        set_by=offset(clock),
        draining_since=parts.drain.since,
        last_failure=parts.last_failure.known,
        journal=parts.journal_writer.fault,
        tracing=parts.tracing.warning,
    )


def status_report(
    root: TreeNode | None,
    entries: Iterable[Entry],
    settings: Settings,
    now: datetime,
    *,
    set_by: timedelta = timedelta(0),
    draining_since: datetime | None = None,
    last_failure: Failure | None = None,
    journal: str = "",
    tracing: str = "",
) -> Status:
    """Sum up.

    Args:
        root: of the tree.
        entries: the runners.
        settings: the configuration in force.
        now: aware; against which the end of the credential is told.
        set_by: offset of the time of day from the clock that moments of lives are of.
        draining_since: when the fleet was ordered to drain; None if it is to be kept.
        last_failure: the runner that failed last, as far as is known.
        journal: why the journal can't be written; empty while it can.
        tracing: why no traces are sent; empty if nothing is wrong with them.

    Returns:
        How the fleet is in a word (`health`), what is wanted, how many runners are in which stage,
        what each needs and whether it is there, who asks GitHub and what is left of its limits,
        what is still at places that were configured before, and what is wrong, each with a reason
        and, at the same place of `causes` and `remedies`, with the cause in a word and with what to
        do; nothing is wrong where `problems` is empty. What is not as it should be and costs no
        runner is in `warnings`.
    """
    entries, config = list(entries), settings.config
    troubled = problems.of_actors(root)
    root = without_runners(root)  # all that is looked up from here on is always there
    github = details_of("tokens", root)
    former = _former_places(entries, github.pop("former_places", {}), config)
    short_since = _moment(details_of("fleet", root).get("short_since"), set_by)
    fleet = _fleet(root)
    told_of_fleet = any(one.of == "fleet" for one in troubled)
    found = [
        *troubled,
        *problems.of_shortage(None if told_of_fleet else short_since, _fault(fleet), now),
        *problems.of_runners(entries),
        *problems.of_configuration(settings.fault),
        *problems.of_credential(github, now),
        *problems.of_former_places(former),
    ]
    words = [problem.words for problem in found]
    facts = health.Facts(
        wanted=0 if draining_since else config.virtual_machines,
        present=present(entries),
        short=health.is_short(short_since, now),
        blocked=any(one.of in NEEDED for one in troubled),
        kept=problems.is_kept(root),
        problems=words,
    )
    decision = reboot_decision(root, entries, config, draining_since)
    return {
        "health": str(health.judge(facts)),
        "name": config.name,
        "path": config.path,
        "wanted": config.virtual_machines,
        "present": facts.present,
        "draining_since": draining_since.isoformat() if draining_since else None,
        "stages": dict(sorted(Counter(str(entry.life.stage) for entry in entries).items())),
        "fleet": fleet,
        "short_since": short_since.isoformat(timespec="seconds") if short_since else None,
        "parts": parts_report(root),
        "upgrades": in_short(published_by("upgrades", root, {})),
        "last_failure": _failure(last_failure),
        "github": {"url": config.github_url, **github},
        "former_places": former,
        "problems": words,
        "causes": [str(problem.cause) for problem in found],
        "remedies": [remedy_of(problem) for problem in found],
        "warnings": [
            *_warnings(root, journal),
            *filter(None, [tracing, decision.reason if decision.when != "no" else ""]),
        ],
    }


def _warnings(root: TreeNode | None, journal: str) -> list[str]:
    """Give what actors warn of, and what the journal's writer does while its actor can't say it."""
    found, fault = problems.warnings(root), f"journal: {journal}"
    return [*found, fault] if journal and fault not in found else found


def present(entries: Iterable[Entry]) -> int:
    """Count the runners that can take a job, or run one."""
    return sum(entry.life.stage in PRESENT for entry in entries)


def runner_report(entry: Entry, offset: timedelta = timedelta(0)) -> dict[str, Any]:
    """Describe one runner.

    Args:
        entry: what is known of it.
        offset: of the time of day from the clock that its moments are of.
    """
    life = entry.life.moved(offset)
    return {
        "name": entry.name,
        "stage": str(life.stage),
        "since": life.since.isoformat(timespec="milliseconds"),
        "reason": life.reason,
        "cause": str(life.cause),
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


def tree_lines(root: TreeNode | None) -> Iterator[str]:
    """Write a line for each actor of the tree, for the log."""
    return map(_line_of, root.walk()) if root else iter(())


def _line_of(node: TreeNode) -> str:
    facts = [node.state, f"since {node.since.isoformat(timespec='seconds')}"]
    facts += [f"restarts={node.restarts}"] if node.restarts else []
    facts += [f"mailbox={node.mailbox}"] if node.mailbox else []
    facts += [f"in {node.handling.type}"] if node.handling else []
    facts += [node.reason] if node.reason else []
    return f"{node.path}: {', '.join(facts)}"


def without_runners(node: TreeNode | None) -> TreeNode | None:
    """Give the tree with only those actors that are always there."""
    if node is None:
        return None
    kept = (child for child in node.children if not is_runner(child.path))
    return replace(node, children=tuple(filter(None, map(without_runners, kept))))


def _fleet(root: TreeNode | None) -> FleetStatus:
    """Give what the fleet's actor says of itself, and since when."""
    node = node_of("fleet", root)
    return {
        **in_short(published_by("fleet", root, {})),
        "since": node.since.isoformat(timespec="seconds") if node else None,
    }


def _fault(told: InShort) -> Fault:
    return Fault(told["reason"], Cause(told["cause"]))


def _failure(failure: Failure | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    return {**asdict(failure), "at": failure.at.isoformat(timespec="seconds")}


def _moment(text: str | None, set_by: timedelta) -> datetime | None:
    return datetime.fromisoformat(text) + set_by if text else None


def _former_places(
    entries: Iterable[Entry], reasons: Mapping[str, str], config: Config
) -> list[FormerPlaceStatus]:
    """Say what is left where nothing is registered any more, and why it can't be asked there."""
    stages: dict[str, Counter[str]] = {place: Counter() for place in reasons}
    current = places.of(config)
    for entry in entries:
        if entry.place and entry.place != current:
            stages.setdefault(entry.place, Counter())[str(entry.life.stage)] += 1
    return [
        {
            "place": places.in_words(place, config),
            "stages": dict(sorted(found.items())),
            "reason": reasons.get(place, ""),
        }
        for place, found in sorted(stages.items())
    ]
