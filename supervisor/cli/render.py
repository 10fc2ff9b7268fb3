"""How the daemon's answers look to people."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from supervisor.cli.tables import fitting, stage_text, table_of
from supervisor.guest.logs import one_line


def tree_table(root: Mapping[str, Any], width: int, now: datetime | None = None) -> Table:
    """Draw the supervision tree, a line an actor.

    Args:
        root: the answer of `/v1/tree`.
        width: of the terminal, in characters.
        now: against which ages are told.
    """
    now = now or datetime.now(timezone.utc)
    table = table_of("ACTOR", "KIND", "STATE", "FOR", "RESTARTS", "MAILBOX", "WHAT")
    for guide, node in _walk(root):
        table.add_row(
            Text.assemble((guide, "dim"), (node["id"], "bold")),
            Text(node["kind"], "dim"),
            stage_text(node["state"]),
            age(node["since"], now),
            Text(str(node["restarts"]), "yellow" if node["restarts"] else "dim"),
            Text(str(node["mailbox"]), "yellow" if node["mailbox"] else "dim"),
            Text("  ").join(_remarks(node, now)),
        )
    return fitting(table, width, spare=("KIND", "MAILBOX", "RESTARTS"), shorten=("ACTOR",))


def _walk(
    node: Mapping[str, Any], guide: str = "", below: str = ""
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give every node with the lines that lead to it."""
    yield guide, node
    children = node["children"]
    for position, child in enumerate(children, start=1):
        last = position == len(children)
        yield from _walk(
            child,
            below + ("└─ " if last else "├─ "),
            below + ("   " if last else "│  "),
        )


def _remarks(node: Mapping[str, Any], now: datetime) -> Iterator[Text]:
    if node["handling"] and node["stuck"]:
        handling = node["handling"]
        yield Text(f"stuck in {handling['type']} for {age(handling['since'], now)}", "bold red")
    if node["waits_until"]:
        yield Text(f"starts again in {until(node['waits_until'], now)}", "red")
    if node["abandoned"]:
        yield Text(f"{node['abandoned']} abandoned", "bold red")
    if node["unhandled"]:
        yield Text(f"{node['unhandled']} messages not understood", "yellow")
    if node["details"].get("job"):
        yield Text(job_in_words(node["details"]["job"]), "bold yellow")
    if node["reason"]:
        yield Text(node["reason"], "dim")


def runners_table(
    runners: list[Mapping[str, Any]], width: int, now: datetime | None = None
) -> Table:
    """List the runners.

    Args:
        runners: the answer of `/v1/runners`.
        width: of the terminal, in characters.
        now: against which ages are told.
    """
    now = now or datetime.now(timezone.utc)
    table = table_of("RUNNER", "STAGE", "FOR", "JOB", "REASON")
    for runner in sorted(runners, key=lambda r: str(r["name"])):
        table.add_row(
            Text(runner["name"], "bold"),
            stage_text(runner["stage"]),
            age(runner["since"], now),
            # What jobs are called is others' words, and may be long.
            Text(one_line(job_in_words(runner["job"])) if runner["job"] else ""),
            Text(one_line(runner["reason"]), "dim"),
        )
    return fitting(table, width, shorten=("JOB",))


def logs_table(
    kept: list[Mapping[str, Any]], width: int, now: datetime | None = None, of: str = "RUNNER"
) -> Table:
    """List the logs that are kept of failed guests, or of builds, as the daemon orders them.

    Args:
        kept: the answer of `/v1/logs`, or of `/v1/image/logs`.
        width: of the terminal, in characters.
        now: against which ages are told.
        of: what each is about.
    """
    now = now or datetime.now(timezone.utc)
    table = table_of(of, "SAVED", "SIZE", "REASON")
    for one in kept:
        table.add_row(
            Text(one_line(one["runner"]), "bold"),
            f"{age(one['saved_at'], now)} ago",
            f"{one['size'] / 1024:,.0f} KiB",
            Text(one_line(one["reason"]), "dim"),
        )
    return fitting(table, width)


def firewall_lines(firewall: Mapping[str, Any], now: datetime | None = None) -> Iterator[str]:
    """Say in words whether the firewall is in place, and what it has done.

    Args:
        firewall: the answer of `/v1/firewall`.
        now: against which ages are told.
    """
    now = now or datetime.now(timezone.utc)
    yield f"{'in place' if firewall['in_place'] else 'NOT in place'}: {firewall['reason']}"
    if firewall.get("table"):
        yield f"table inet {firewall['table']}, bridge {firewall['bridge']}"
    if firewall.get("in_place_since"):
        yield f"in place since {minute(firewall['in_place_since'])}"
    if firewall.get("verified_at"):
        yield f"seen in the kernel as it should be {age(firewall['verified_at'], now)} ago"
    if firewall.get("table"):
        yield f"changed by others and put back: {_times(firewall['healed'])}"
        yield f"denied: {firewall['denied']:,}, allowed: {firewall['allowed']:,}"
        yield f"on this host: {', '.join(firewall['services'])}"
        for what, count in firewall["dropped"].items():
            yield f"dropped, {what}: {_traffic(count)}"
        yield f"rejected: {_traffic(firewall['rejected'])}"
        for runner, count in sorted(firewall["rejected_of"].items()):
            yield f"  {runner}: {_traffic(count)}"
        if firewall["rejected_of_others"]["packets"]:
            yield f"  runners that are gone: {_traffic(firewall['rejected_of_others'])}"
    for name in firewall.get("unfiltered", ()):
        yield f"without LXD's filters: {name}"
    for warning in firewall.get("warnings", ()):
        yield f"warning: {warning}"


def draw_policy(console: Console, policy: Mapping[str, Any], now: datetime | None = None) -> None:
    """Say whether jobs can be checked, and show the last decisions.

    Args:
        console: where.
        policy: the answer of `/v1/policy`.
        now: against which ages are told.
    """
    now = now or datetime.now(timezone.utc)
    _draw_lines(console, policy_lines(policy))
    if policy.get("decisions"):
        console.print(_decisions_table(policy["decisions"], console.width, now))


def policy_lines(policy: Mapping[str, Any]) -> Iterator[str]:
    """Say in words whether jobs can be checked.

    Args:
        policy: the answer of `/v1/policy`.
    """
    yield f"{'healthy' if policy['healthy'] else 'NOT healthy'}: {policy['reason']}"
    if policy.get("mode"):
        version = f", version {policy['version']}" if policy["version"] else ""
        yield f"mode {policy['mode']}{version}"
    if policy.get("healthy_since"):
        yield f"healthy since {minute(policy['healthy_since'])}"
    if policy.get("workers") is not None:
        yield f"workers: {policy['workers']}"
    if policy.get("counts"):
        counts = ", ".join(f"{count:,} {verdict}" for verdict, count in policy["counts"].items())
        yield f"decisions since {minute(policy['counted_since'])}: {counts}"
    if guests := policy.get("guests"):
        yield f"guests on their own: {guests.get('refused', 0):,} refused"
        if guests.get("contradicted"):
            yield f"jobs that say they were refused, and were allowed: {guests['contradicted']:,}"
    for warning in policy.get("warnings", ()):
        yield f"warning: {warning}"


def _decisions_table(decisions: list[Mapping[str, Any]], width: int, now: datetime) -> Table:
    """List decisions, the latest first."""
    table = table_of("DECIDED", "RUNNER", "REPOSITORY", "EVENT", "VERDICT", "TOOK", "REASON")
    for one in reversed(decisions):
        colour = {"allowed": "green", "refused": "red"}.get(one["verdict"], "yellow")
        # Repositories and reasons are others' words.
        table.add_row(
            f"{age(one['time'], now)} ago",
            Text(one_line(one["runner"]), "bold"),
            Text(one_line(one["repository"])),
            Text(one_line(one["event"])),
            Text(one_line(one["verdict"]) + _by(one), colour),
            "" if one["duration_ms"] is None else f"{one['duration_ms']:,} ms",
            Text(one_line(one["reason"]), "dim"),
        )
    return fitting(table, width, shorten=("REPOSITORY", "EVENT", "RUNNER"))


def draw_images(console: Console, image: Mapping[str, Any], now: datetime | None = None) -> None:
    """Say what runners start from, and list the images that were built.

    Args:
        console: where.
        image: the answer of `/v1/image`.
        now: against which ages are told.
    """
    now = now or datetime.now(timezone.utc)
    _draw_lines(console, image_lines(image))
    if image["images"]:
        console.print(_images_table(image["images"], console.width, now))


def _draw_lines(console: Console, lines: Iterable[str]) -> None:
    """Print lines whole: a terminal folds them, a pipe does not."""
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def image_lines(image: Mapping[str, Any]) -> Iterator[str]:
    """Say in words what runners start from.

    Args:
        image: the answer of `/v1/image`.
    """
    yield f"{image['state']}: {image['reason']}"
    if image.get("next_look"):
        yield f"looked at next at {minute(image['next_look'])}"
    for warning in image["warnings"]:
        yield f"warning: {warning}"


def _images_table(images: list[Mapping[str, Any]], width: int, now: datetime) -> Table:
    """List images, the newest first."""
    table = table_of("IMAGE", "BUILT", "SIZE", "STATE", "APPLICATION", "ALIASES")
    for one in images:
        state = "used" if one["used"] else "kept" if one["verified"] else "unverified"
        table.add_row(
            Text(one["fingerprint"][:12], "bold"),
            f"{age(one['built_at'], now)} ago",
            f"{one['size'] / 1024**2:,.0f} MiB",
            stage_text(state),
            Text(one_line(one["application_version"] or one["application"][:12])),
            Text(one_line(", ".join(one["aliases"])), "dim"),
        )
    return fitting(table, width, shorten=("APPLICATION",))


def _by(decision: Mapping[str, Any]) -> str:
    return " (guest)" if decision.get("by") == "guest" else ""


def _traffic(count: Mapping[str, int]) -> str:
    return f"{count['packets']:,} packets, {count['bytes']:,} bytes"


def _times(count: int) -> str:
    return "never" if not count else "once" if count == 1 else f"{count:,} times"


def job_in_words(job: Mapping[str, str]) -> str:
    """Name a job: repository, workflow, name, as far as they are known."""
    return " ".join(filter(None, (job["repository"], job["workflow"], job["name"])))


def age(since: str, now: datetime) -> str:
    """Say how long ago something was: `3s`, `5m`, `2h`, `4d`."""
    return _span((now - _moment(since)).total_seconds())


def until(when: str, now: datetime) -> str:
    """Say how long something still takes."""
    return _span((_moment(when) - now).total_seconds())


def minute(text: str) -> str:
    """Write a moment to the minute."""
    return f"{_moment(text):%Y-%m-%d %H:%M} UTC"


def _moment(text: str) -> datetime:
    # Python 3.10 does not read the Z that stands for UTC.
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _span(seconds: float) -> str:
    seconds = max(0.0, seconds)
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)}{unit}"
    return f"{seconds:.0f}s"
