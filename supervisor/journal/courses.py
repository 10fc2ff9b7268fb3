"""The course of each runner's life, summed up from the records of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from supervisor.lifecycle import AVAILABLE, ENDED, Job, Stage
from supervisor.lifecycle.results import learnt
from supervisor.observation.absence import UNSEEN, Absence
from supervisor.observation.clock_step import clock_step
from supervisor.observation.feed import Kind, Record
from supervisor.text import moments

DONE, REMOVED, FAILED, GONE = "done", "removed", "failed", "gone"
_BUSY, _FAILED, _DELETED = map(str, (Stage.BUSY, Stage.FAILED, Stage.DELETED))
_WAITING = frozenset(map(str, AVAILABLE))
_ENDED = frozenset(map(str, ENDED))
_OF_JOBS = frozenset({Kind.DECISION, Kind.JOB})


@dataclass(slots=True)
class Course:
    """What one runner has come through so far. Moments are aware; None is not yet, or not known.

    It is changed in place, by one thread: to make another with each record takes much longer.

    Attributes:
        name: of the runner.
        created_at: when it was ordered.
        installed_at: when it could first take a job.
        left_at: when it last ceased to wait for one.
        started_at: when its job began, as its guest has told.
        finished_at: when that ended.
        ended_at: when nothing was left of it.
        stage: the last one.
        outcome: `done`, `removed` without a job, `failed`, or `gone` unseen; empty before its end.
        reason: why it failed or ended.
        job: what it runs or ran.
        verdict: of the policy on that: `allowed`, `refused` or `error`; empty if none is known.
        queue_s: seconds that the job waited at GitHub.
        moved_at: when it came to its stage, as far as this daemon has seen it.
    """

    name: str
    created_at: datetime | None = None
    installed_at: datetime | None = None
    left_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    ended_at: datetime | None = None
    stage: str = ""
    outcome: str = ""
    reason: str = ""
    job: Job | None = None
    verdict: str = ""
    queue_s: float | None = None
    moved_at: datetime | None = None

    @property
    def install_s(self) -> float | None:
        """Seconds from its order until it could take a job."""
        return _between(self.created_at, self.installed_at)

    @property
    def idle_s(self) -> float | None:
        """Seconds that it waited for a job, or in vain."""
        # Of one that had a job it is not known how long, where nobody has heard of its beginning.
        return _between(self.installed_at, self.started_at or (None if self.job else self.left_at))

    @property
    def is_at_work(self) -> bool:
        """Whether its job runs, as far as is known."""
        return self.stage == _BUSY and not self.ended_at

    @property
    def job_s(self) -> float | None:
        """Seconds that its job took."""
        return _between(self.started_at, self.finished_at)

    def advance(self, record: Record) -> None:
        """Take a record of this runner into account."""
        if record.kind is Kind.RUNNER:
            self._go_by_clock_of(record)
            self._come_to(record)
        elif record.kind is Kind.DECISION:
            self.verdict = record.state
        else:
            self.learn(record)

    def learn(self, record: Record) -> None:
        """Take in what GitHub tells of its job."""
        self.queue_s = record.details["queue_s"]
        self.job = self.job and learnt(self.job, record.state)

    def _go_by_clock_of(self, record: Record) -> None:
        """Have it by the time of day as that was set for the record: what has passed stays so."""
        if step := clock_step(record, self.stage, self.moved_at):
            for name in _MOMENTS:
                if moment := getattr(self, name):
                    setattr(self, name, moment + step)

    def _come_to(self, record: Record) -> None:
        """Have it be at the stage that the record tells of, with the job that it has there."""
        stage, before, at = record.state, record.before, record.at
        had_job = self.job is not None
        self.job = self._job(record.details.get("job"))
        self.stage = stage
        if self.job and not had_job and _is_end(stage, before):
            self.finished_at = at
        if stage == _BUSY and self.started_at is None:
            self.started_at = _began_at(record)
        if stage == before:
            return
        self.moved_at = None if record.details.get("adopted") else at
        if not before:
            self._take_up(record)
        elif stage in _WAITING:
            # One that was thought to be at work has had no job.
            self.installed_at = self.installed_at or at
            self.left_at = self.started_at = None
            self.verdict = ""
        elif before in _WAITING:
            self.left_at = at
        if before == _BUSY and stage not in _WAITING:
            self.finished_at = at
        if stage == _FAILED:
            self.outcome, self.reason = FAILED, record.reason
        elif stage == _DELETED:
            self.ended_at = at
            self.outcome = self.outcome or (DONE if self.job else REMOVED)
            self.reason = self.reason or record.reason

    def _take_up(self, record: Record) -> None:
        """Begin, or go on with what another daemon has seen; it says since when it is so."""
        if record.state in _WAITING:
            self.installed_at = self.installed_at or _since(record)

    def _job(self, told: Mapping[str, Any] | None) -> Job | None:
        if told is None:
            return None
        known = self.job
        return known if known and vars(known) == told else Job(**told)

    def vanish(self, at: datetime) -> None:
        """Note that it is not there any more, and nobody knows since when."""
        self.ended_at = at
        self.outcome, self.reason = self.outcome or GONE, self.reason or UNSEEN


_MOMENTS = tuple(field.name for field in fields(Course) if field.name.endswith("_at"))


class Courses:
    """Those of all runners that have not ended, as the records go by. For one thread.

    Args:
        known: those that had begun before.
    """

    def __init__(self, known: Iterable[Course] = ()) -> None:
        self._open = {course.name: course for course in known}
        self._absence = Absence()

    def open(self) -> list[Course]:
        """Give those that have not ended."""
        return list(self._open.values())

    def of(self, name: str) -> Course | None:
        """Give the course of a runner that has not ended; None if there is none."""
        return self._open.get(name)

    def take(self, record: Record) -> list[Course]:
        """Take a record into account, and return the courses that it has changed."""
        name, kind = record.subject, record.kind
        course = self._open.get(name)
        if kind is Kind.RUNNER:
            course = course or Course(name, _ordered_at(record))
        elif kind is Kind.RECONCILE:
            return self._survey(record)
        elif course is None or kind not in _OF_JOBS:
            return []
        course.advance(record)
        self._absence.heard_of(name)
        if course.ended_at:
            self._open.pop(name, None)
        else:
            self._open[name] = course
        return [course]

    def _survey(self, record: Record) -> list[Course]:
        """Give up those that a complete reconcile does not find, as an earlier one did not.

        The end of one may have come while nobody watched, or the record of it may be lost.
        """
        gone = [self._open.pop(name) for name in self._absence.gone(self._open, record)]
        for course in gone:
            course.vanish(record.at)
        return gone


def _is_end(stage: str, before: str) -> bool:
    """Tell whether a job that is first heard of now has ended now."""
    return before not in {"", *_ENDED} and stage not in {_BUSY, *_WAITING}


def _ordered_at(record: Record) -> datetime | None:
    """Say when a runner was ordered, by its first record; None if that is not known."""
    if record.before:
        return None  # the beginning was lost
    if not record.details.get("adopted"):
        return record.at
    return moments.read(str(record.details.get("made_at")))


def _began_at(record: Record) -> datetime | None:
    """Say since when a runner's job runs, by what its guest has told; None if that is not known."""
    job_s = record.details.get("job_s")
    return None if job_s is None else record.at - timedelta(seconds=job_s)


def _since(record: Record) -> datetime:
    """Say since when a runner is where its first record shows it."""
    known = moments.read(str(record.details.get("since")))
    return min(known, record.at) if known else record.at


def _between(begin: datetime | None, end: datetime | None) -> float | None:
    return max(0.0, (end - begin).total_seconds()) if begin and end else None
