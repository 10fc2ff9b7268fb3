"""The course of each runner's life, summed up from the records of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from supervisor import moments
from supervisor.feed import Kind, Record
from supervisor.journal.absence import Absence
from supervisor.journal.clock_step import clock_step
from supervisor.lifecycle import AVAILABLE, ENDED, Job, Stage

DONE, REMOVED, FAILED, GONE = "done", "removed", "failed", "gone"
_UNSEEN = "its end was not seen"
_BUSY, _FAILED, _DELETED = map(str, (Stage.BUSY, Stage.FAILED, Stage.DELETED))
_WAITING = frozenset(map(str, AVAILABLE))
_ENDED = frozenset(map(str, ENDED))


class Course(NamedTuple):
    """What one runner has come through so far. Moments are aware; None is not yet, or not known.

    A tuple, as it is made anew with each record.

    Attributes:
        name: of the runner.
        created_at: when it was ordered.
        installed_at: when it could first take a job.
        left_at: when it last ceased to wait for one.
        started_at: when its job began.
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

    def advance(self, record: Record) -> Course:
        """Take a record of this runner into account."""
        if record.kind is Kind.RUNNER:
            known = self._by_clock_of(record)
            # One copy for all that changes: it is what this costs, at each record.
            return known._replace(**known._changes(record))  # noqa: SLF001
        if record.kind is Kind.DECISION:
            return self._replace(verdict=record.state)
        return self._replace(queue_s=record.details["queue_s"])

    def _by_clock_of(self, record: Record) -> Course:
        """Give it by the time of day as that was set for the record: what has passed stays so."""
        step = clock_step(record, self.stage, self.moved_at)
        if not step:
            return self
        moments = ((name, getattr(self, name)) for name in _MOMENTS)
        return self._replace(**{name: moment + step for name, moment in moments if moment})

    def _changes(self, record: Record) -> dict[str, Any]:
        """Say what becomes of it with a record of its stage."""
        stage, before, at = record.state, record.before, record.at
        changes: dict[str, Any] = {"stage": stage, "job": self._job(record.details.get("job"))}
        if changes["job"] and not self.job and _is_end(stage, before):
            changes["finished_at"] = at
        if stage == before:
            return changes
        changes["moved_at"] = None if record.details.get("adopted") else at
        if not before:
            changes |= self._taken_up(record)
        elif stage in _WAITING:
            # One that was thought to be at work has had no job.
            changes |= {"installed_at": self.installed_at or at}
            changes |= {"left_at": None, "started_at": None, "verdict": ""}
        elif before in _WAITING:
            changes["left_at"] = at
        if stage == _BUSY and before:
            changes["installed_at"] = self.installed_at or at
            changes["started_at"] = self.started_at or at
        elif before == _BUSY and self.started_at and stage not in _WAITING:
            changes["finished_at"] = at
        if stage == _FAILED:
            changes |= {"outcome": FAILED, "reason": record.reason}
        if stage == _DELETED:
            outcome = self.outcome or (DONE if changes["job"] else REMOVED)
            changes |= {"ended_at": at, "outcome": outcome, "reason": self.reason or record.reason}
        return changes

    def _taken_up(self, record: Record) -> dict[str, Any]:
        """Begin, or go on with what another daemon has seen; it says since when it is so."""
        if record.state == _BUSY:
            return {"started_at": self.started_at or _since(record)}
        if record.state in _WAITING:
            return {"installed_at": self.installed_at or _since(record)}
        return {}

    def _job(self, told: Mapping[str, Any] | None) -> Job | None:
        if told is None:
            return None
        known = self.job
        return known if known and vars(known) == told else Job(**told)

    def vanish(self, at: datetime) -> Course:
        """Note that it is not there any more, and nobody knows since when."""
        outcome, reason = self.outcome or GONE, self.reason or _UNSEEN
        return self._replace(ended_at=at, outcome=outcome, reason=reason)


_MOMENTS = tuple(name for name in Course._fields if name.endswith("_at"))


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
        course = self._next(record)
        if course is None:
            return self._survey(record) if record.kind is Kind.RECONCILE else []
        self._absence.heard_of(course.name)
        if course.ended_at:
            self._open.pop(course.name, None)
        else:
            self._open[course.name] = course
        return [course]

    def _next(self, record: Record) -> Course | None:
        known = self._open.get(record.subject)
        if record.kind is Kind.RUNNER:
            return (known or Course(record.subject, _ordered_at(record))).advance(record)
        if record.kind in {Kind.DECISION, Kind.JOB} and known:
            return known.advance(record)
        return None

    def _survey(self, record: Record) -> list[Course]:
        """Give up those that a complete reconcile does not find, as an earlier one did not.

        The end of one may have come while nobody watched, or the record of it may be lost.
        """
        gone = self._absence.gone(self._open, record)
        return [self._open.pop(name).vanish(record.at) for name in gone]


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


def _since(record: Record) -> datetime:
    """Say since when a runner is where its first record shows it."""
    known = moments.read(str(record.details.get("since")))
    return min(known, record.at) if known else record.at


def _between(begin: datetime | None, end: datetime | None) -> float | None:
    return max(0.0, (end - begin).total_seconds()) if begin and end else None
