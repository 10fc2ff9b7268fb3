"""How the journal looks to people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from supervisor.cli.render import job_in_words
from supervisor.cli.tables import fitting, table_of
from supervisor.cli.times import second
from supervisor.text.durations import span
from supervisor.text.printable import one_line

_DURATIONS = {
    "install_s": "install: from the order until it could take a job",
    "idle_s": "idle: from then until its job",
    "job_s": "job",
    "queue_s": "queue: from GitHub's queue to the runner",
}


def event_line(event: Mapping[str, Any]) -> str:
    """Tell an event in one line: time, who, what it was and is, how long that took, why.

    What is in it may be others' words: they come through as printable characters of one line.
    """
    before, state = event["before"], event["state"]
    change = f"{before} → {state}" if before not in {"", state} else state
    lasted = f"({span(event['lasted_s'])})" if event["lasted_s"] else ""
    parts = (second(event["at"]), event["subject"], change, lasted, *_what(event))
    return "  ".join(one_line(part) for part in parts if part)


def _what(event: Mapping[str, Any]) -> Iterator[str]:
    details = event["details"]
    job = details.get("job")
    if job:
        yield job_in_words(job)
        if job["result"]:
            yield job["result"]
    if event["kind"] == "reconcile":
        failed = details.get("failed", details.get("crashed"))  # as daemons before this one said it
        yield (
            f"{details['idle']} idle, {details['active']} busy of {details['wanted']} wanted, "
            f"{failed} failed, in {details['duration_s']:.1f}s"
        )
    if event["kind"] == "decision":
        yield f"{details['repository']} {details['event']}"
    if event["kind"] == "job":
        yield f"{details['repository']}, was queued for {span(details['queue_s'])}"
    yield event["reason"]


def draw_history(console: Console, answer: Mapping[str, Any]) -> None:
    """Draw jobs, runners and percentiles.

    Args:
        console: where.
        answer: of `/v1/history`.
    """
    for name, title in (("jobs", _jobs), ("runners", _runners)):
        if answer[name]:
            console.print(title(answer[name], console.width))
        else:
            console.print(f"no {name} yet")
        console.print()
    console.print(_percentiles(answer["percentiles"], console.width))


def _jobs(jobs: list[Mapping[str, Any]], width: int) -> Any:
    table = table_of("STARTED (UTC)", "QUEUED", "TOOK", "WAITED", "RESULT", "RUNNER", "JOB")
    for job in jobs:
        words = (job["repository"], job["workflow"], job["name"], job["event"])
        table.add_row(
            _moment(job["started_at"]),
            span(job["queue_s"]),
            span(job["job_s"]),
            span(job["idle_s"]),
            one_line(job["result"]) or ("runs" if job["runs"] else "-"),
            job["runner"],
            Text(one_line(" ".join(filter(None, words)))),
        )
    return fitting(table, width, spare=("WAITED", "QUEUED", "RUNNER"), shorten=("RESULT",))


def _runners(runners: list[Mapping[str, Any]], width: int) -> Any:
    table = table_of("RUNNER", "CREATED (UTC)", "INSTALL", "IDLE", "JOB", "OUTCOME", "REASON")
    for runner in runners:
        table.add_row(
            Text(runner["name"], "bold"),
            _moment(runner["created_at"]),
            span(runner["install_s"]),
            span(runner["idle_s"]),
            span(runner["job_s"]),
            runner["outcome"] or "is there",
            Text(one_line(runner["reason"]), "dim"),
        )
    return fitting(table, width, spare=("IDLE", "INSTALL"), shorten=("OUTCOME",))


def _percentiles(found: Mapping[str, Mapping[str, Any]], width: int) -> Any:
    table = table_of("HALF", "9 OF 10", "99 OF 100", "OF", "TOOK AT MOST")
    for key, title in _DURATIONS.items():
        one = found[key]
        shares = (span(one[share]) for share in ("p50", "p90", "p99"))
        table.add_row(*shares, str(one["count"]), Text(title))
    return fitting(table, width)


def _moment(text: str | None) -> str:
    return second(text).removesuffix(" UTC") if text else "-"
