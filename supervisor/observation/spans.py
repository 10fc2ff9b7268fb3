"""What a runner's life is in a trace: a span for it all, and one within for each of its stages.

The numbers of traces and spans are made of names and times alone, so a daemon that takes a runner
over goes on with the trace that another one has begun.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from supervisor.lifecycle import Stage
from supervisor.lifecycle.results import WORDS
from supervisor.observation.absence import UNSEEN, Absence
from supervisor.observation.clock_step import clock_step
from supervisor.observation.feed import Kind, Record
from supervisor.text import moments

Value = str | int | bool

ROOT = "runner"
_NAMES = {
    Stage.REQUESTED: "register",
    Stage.CREATING: "create",
    Stage.BOOTING: "boot",
    Stage.BUSY: "job",
    Stage.RETIRING: "retire",
    Stage.FINISHED: "delete",
    Stage.FAILED: "delete",
}
"""How a stage's span is called, where that is not the stage's own name."""

_RESULT = "github.job.result"
_OTHER_ERROR = "_OTHER"  # the semantic conventions' word
_UNHEARD = "supervisor.beginning_unheard"
_OF_JOBS = ("cicd.pipeline.", "vcs.", "github.")
"""How the names of those attributes begin that are of a job, and not of its runner."""

_MOST_OPEN = 20_000  # twice as many as a fleet can have


@dataclass(frozen=True)
class Span:
    """One span of a trace, from its beginning to its end.

    Attributes:
        name: what it is of: `runner`, or what is done in a stage.
        trace_id: of 128 bits, the same for all of one runner.
        span_id: of 64 bits.
        parent_id: that of the span it is within; 0 for none.
        began_at: when; aware.
        ended_at: not before that.
        attributes: by the names of OpenTelemetry's semantic conventions, where they have one.
        error: why it failed; empty if it did not.
    """

    name: str
    trace_id: int
    span_id: int
    parent_id: int
    began_at: datetime
    ended_at: datetime
    attributes: Mapping[str, Value] = field(default_factory=dict)
    error: str = ""


@dataclass
class _Open:
    """A runner that is not gone yet."""

    began_at: datetime
    attributes: dict[str, Value]
    stage: str = ""
    moved_at: datetime | None = None
    error: str = ""
    job: Span | None = None  # it is over, and how it ended is not known yet


class Spans:
    """Makes spans of what the feed tells of runners. Not safe for threads."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        self._absence = Absence()

    def hear(self, record: Record) -> list[Span]:
        """Take a record in, and give the spans that have ended with it."""
        if record.kind is Kind.RECONCILE:
            return self._survey(record)
        if record.kind is not Kind.RUNNER:
            return []
        name, lasted = record.subject, timedelta(seconds=record.lasted_s)
        began_at = record.at - lasted
        runner = self._open.setdefault(name, _Open(began_at, {"cicd.worker.name": name}))
        if len(self._open) > _MOST_OPEN:
            del self._open[next(iter(self._open))]
        self._absence.heard_of(name)
        runner.began_at += clock_step(record, runner.stage, runner.moved_at)
        made_at = moments.read(str(record.details.get("made_at")))  # of one that was taken over
        runner.began_at = min(runner.began_at, began_at, made_at or began_at)
        if record.before != record.state:
            runner.stage = record.state
            # One that was taken over has been there for longer than it is known.
            runner.moved_at = None if record.details.get("adopted") else record.at
        runner.attributes |= _attributes(record)
        ended: list[Span | None] = []
        if record.before not in {"", record.state}:
            span: Span | None = _of_stage(record, began_at)
            if record.before == Stage.BUSY:
                span, runner.job = runner.job, span
            ended.append(span)
        is_gone = record.state == Stage.DELETED
        if is_gone or _RESULT in runner.attributes:
            ended.append(_with_result(runner))
        if record.state == Stage.FAILED:
            runner.error = record.reason or "failed"
            runner.attributes |= _error_type(record)
        if is_gone:
            del self._open[name]
            ended.append(_of_runner(name, runner, record.at))
        return [span for span in ended if span]

    def _survey(self, record: Record) -> list[Span]:
        """End those of whose end nobody has told, as reconciles do not find them."""
        ended: list[Span | None] = []
        for name in self._absence.gone(self._open, record):
            runner = self._open.pop(name)
            if not runner.error:
                runner.error = UNSEEN
                runner.attributes["error.type"] = _OTHER_ERROR
            ended += [_with_result(runner), _of_runner(name, runner, record.at)]
        return [span for span in ended if span]


def trace_id_of(runner: str) -> int:
    """Give the number of a runner's trace."""
    return _number(128, runner)


def _of_stage(record: Record, began_at: datetime) -> Span:
    stage = record.before
    has_failed = record.state == Stage.FAILED
    unheard = {}
    if stage == Stage.BUSY:
        job_s = record.details.get("job_s")
        if job_s is None:
            unheard = {_UNHEARD: True}
        else:
            began_at = record.at - timedelta(seconds=job_s)
    return Span(
        name=_NAMES.get(Stage(stage), stage),
        trace_id=trace_id_of(record.subject),
        span_id=_number(64, record.subject, stage, began_at.isoformat()),
        parent_id=_root_of(record.subject),
        began_at=began_at,
        ended_at=record.at,
        attributes={
            "cicd.worker.name": record.subject,
            "supervisor.stage": stage,
            "supervisor.next": record.reason,
            **unheard,
            **(_error_type(record) if has_failed else {}),
        },
        error=(record.reason or "failed") if has_failed else "",
    )


def _with_result(runner: _Open) -> Span | None:
    """Give the job's span, if it is over, with all that is known of the job."""
    span, runner.job = runner.job, None
    if span is None:
        return None
    known = {key: value for key, value in runner.attributes.items() if key.startswith(_OF_JOBS)}
    return replace(span, attributes={**span.attributes, **known})


def _of_runner(name: str, runner: _Open, now: datetime) -> Span:
    return Span(
        name=ROOT,
        trace_id=trace_id_of(name),
        span_id=_root_of(name),
        parent_id=0,
        began_at=runner.began_at,
        ended_at=max(runner.began_at, now),
        attributes=runner.attributes,
        error=runner.error,
    )


def _attributes(record: Record) -> dict[str, Value]:
    """Give what a record says beyond its stage; what it does not know is left out."""
    details = record.details
    job: Mapping[str, Any] = details.get("job") or {}
    words = WORDS.get(job.get("result", ""))
    owner, _, repository = job.get("repository", "").partition("/")
    found = {
        "cicd.worker.id": str(details.get("runner_id") or ""),
        "supervisor.generation": details.get("generation"),
        "supervisor.adopted": details.get("adopted") or None,
        "supervisor.failed_in": details.get("failed_in"),
        "vcs.owner.name": owner,
        "vcs.repository.name": repository,
        "cicd.pipeline.name": job.get("workflow"),
        "cicd.pipeline.run.id": job.get("run_id"),
        "cicd.pipeline.task.name": job.get("name"),
        "cicd.pipeline.task.run.result": words.convention if words else None,
        "github.event_name": job.get("event"),
        _RESULT: job.get("result"),
    }
    return {key: value for key, value in found.items() if value}


def _error_type(record: Record) -> dict[str, Value]:
    """Say in a word why a runner has failed."""
    return {"error.type": record.details.get("cause") or _OTHER_ERROR}


def _root_of(runner: str) -> int:
    return _number(64, runner, ROOT)


def _number(bits: int, *parts: str) -> int:
    """Make a number that is never 0, which stands for none."""
    digest = sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[: bits // 8], "big") or 1
