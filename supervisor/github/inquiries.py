"""About which jobs GitHub is to be asked, and when: nobody waits for it, so it is never urgent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from supervisor.github.run_jobs import RunJob
from supervisor.github.scope import Scope, ScopeKind, is_within

ROOM = 1000
PACE_S = 5.0
"""So far apart are two questions at least: what nobody waits for is to cost next to nothing."""
AGAIN_S = 20.0
_LATER_S = (AGAIN_S, 3 * AGAIN_S, 9 * AGAIN_S, 27 * AGAIN_S)
"""After each question in vain the next one comes so much later.

Of a host that has lost its power GitHub ends the jobs minutes later. In all this is less than the
quarter of an hour for which ends that nobody saw are waited for.
"""
CLOSED_S = 3600.0
_MOST_CLOSED = 1000
_LACKING = 3
"""A run that GitHub does not know may have been deleted, or made up by a guest.

Where it knows none of so many in a row, it is the repository that it does not show.
"""
_LONGEST_RUN_ID = 18


@dataclass(frozen=True)
class Inquiry:
    """What a runner's job was is to be asked.

    Attributes:
        runner: its name.
        repository: whose job it has had.
        run_id: GitHub's number of the workflow run.
        place: where the runner was registered.
        has_result: its guest has told how it ended: that GitHub shows its end matters less then.
        not_before: monotonic, seconds.
        asked: how many questions have not shown its end.
        seen: what GitHub has shown of it so far.
    """

    runner: str
    repository: Scope
    run_id: int
    place: str
    has_result: bool = False
    not_before: float = 0.0
    asked: int = 0
    seen: RunJob | None = None

    @cached_property
    def key(self) -> tuple[str, int]:
        """Which run: one answer serves all who have had a job of it."""
        return _repository_key(self.repository), self.run_id

    @property
    def is_over(self) -> bool:
        """Whether nothing is to be asked any more: its end is known, or is not to be had."""
        has_ended = self.seen is not None and self.seen.conclusion != ""
        return has_ended or self.asked > (1 if self.has_result else len(_LATER_S))

    def after(self, job: RunJob | None, now: float) -> "Inquiry":
        """Give it as it is after a question, with what that has shown of the job, if anything."""
        later_s = _LATER_S[min(self.asked, len(_LATER_S) - 1)]
        return replace(self, seen=job or self.seen, asked=self.asked + 1, not_before=now + later_s)


@dataclass(frozen=True)
class Inquiries:
    """What is to be asked, and what is not asked for a while.

    Attributes:
        waiting: what is to be asked, in the order in which it came.
        closed: repositories whose jobs can't be seen, and until when (monotonic, seconds).
        lacking: runs that GitHub does not know, by repository, since it has last known one there.
        quiet_until: nothing is asked before (monotonic, seconds).
        is_turn_of_unheard: whether the next question is about one of whose end its guest has not
            told, if there is any; else it is about the newest of all.
        over: what is not asked any more, with what GitHub has shown of the job: to be told.
    """

    waiting: tuple[Inquiry, ...] = ()
    closed: Mapping[str, float] = field(default_factory=dict)
    lacking: Mapping[str, frozenset[int]] = field(default_factory=dict)
    quiet_until: float = 0.0
    is_turn_of_unheard: bool = False
    over: tuple[tuple[Inquiry, RunJob], ...] = ()

    def add(self, inquiry: Inquiry, now: float) -> "Inquiries":
        """Take one in, unless there is no room or its repository is not asked now.

        It replaces one about the same runner, which was thought to have ended before it had.
        """
        others = tuple(one for one in self.waiting if one.runner != inquiry.runner)
        if len(others) >= ROOM or self.is_closed(inquiry.repository, now):
            return self
        return replace(self, waiting=(*others, inquiry))

    def is_closed(self, repository: Scope, now: float) -> bool:
        """Tell whether a repository is not asked now."""
        return self.closed.get(_repository_key(repository), 0.0) > now

    def due(self, now: float) -> tuple[Inquiry, ...]:
        """Give those that one question answers, and that may be asked now; none if none may.

        They are those of the run that was heard of last: it tells how it is now, when it matters.
        But every other question is about the one that was asked about least, and is the oldest,
        of those whose end GitHub alone can tell: new ones, however many, are not to starve them.
        """
        ready = [one for one in self.waiting if one.not_before <= now]
        if now < self.quiet_until or not ready:
            return ()
        unheard = [one for one in ready if not one.has_result]
        if self.is_turn_of_unheard and unheard:
            first = min(unheard, key=lambda one: one.asked)
        else:
            first = ready[-1]
        return tuple(one for one in ready if one.key == first.key)

    def next_at(self) -> float | None:
        """Say when there is something to be asked (monotonic, seconds); None for never."""
        soonest = min((one.not_before for one in self.waiting), default=None)
        return None if soonest is None else max(soonest, self.quiet_until)

    def answered(self, now: float) -> "Inquiries":
        """Have the next question wait, as one has just come to its end."""
        return replace(
            self, quiet_until=now + PACE_S, is_turn_of_unheard=not self.is_turn_of_unheard
        )

    def learn(
        self, asked: tuple[Inquiry, ...], found: Mapping[str, RunJob] | None, now: float
    ) -> "Inquiries":
        """Take in what a question has shown; those whose end it has not are asked about later.

        Args:
            asked: whom it was about.
            found: their jobs, by the names of their runners; of all or some of them, or none. None
                if there was no answer.
            now: monotonic, seconds.
        """
        known = {one.key[0] for one in asked} if found is not None else set()
        found = found or {}
        after = {one.runner: one.after(found.get(one.runner), now) for one in asked}
        # They keep their places: they are no newer than they were.
        waiting = tuple(after.get(one.runner, one) for one in self.waiting)
        lacking = {name: runs for name, runs in self.lacking.items() if name not in known}
        learnt = replace(self, waiting=waiting, lacking=lacking)
        return learnt.only(lambda one: not one.is_over)

    def only(self, stays: Callable[[Inquiry], bool]) -> "Inquiries":
        """Ask about no others any more."""
        gone = tuple((one, one.seen) for one in self.waiting if one.seen and not stays(one))
        waiting = tuple(one for one in self.waiting if stays(one))
        return replace(self, waiting=waiting, over=(*self.over, *gone))

    def lack(self, inquiry: Inquiry, now: float) -> "Inquiries":
        """Ask about a run no more that GitHub does not know; nor, after several, its repository."""
        name, run_id = inquiry.key
        runs = self.lacking.get(name, frozenset()) | {run_id}
        others = {each: more for each, more in self.lacking.items() if each != name}
        if len(runs) >= _LACKING:
            return replace(self, lacking=others).close(inquiry.repository, now)
        if len(others) >= _MOST_CLOSED:
            del others[next(iter(others))]
        lacking = replace(self, lacking={**others, name: runs})
        return lacking.only(lambda one: one.key != inquiry.key)

    def close(self, repository: Scope, now: float) -> "Inquiries":
        """Ask a repository nothing for a while, as its jobs can't be seen."""
        key = _repository_key(repository)
        closed = {name: until for name, until in self.closed.items() if until > now}
        if len(closed) >= _MOST_CLOSED:
            del closed[min(closed, key=lambda name: closed[name])]
        closed[key] = now + CLOSED_S
        return replace(self, closed=closed).only(lambda one: one.key[0] != key)


def inquiry_of(
    runner: str, repository: str, run_id: str, place: str, scope: Scope, *, has_result: bool = False
) -> Inquiry | None:
    """Make the inquiry about a runner's job; None if what its guest says of it can't be so.

    Args:
        runner: its name.
        repository: as the guest has named it.
        run_id: of the workflow run, as the guest has named it.
        place: where the runner was registered.
        scope: whose runners: they have jobs of no others.
        has_result: its guest has told how it ended.
    """
    try:
        named = Scope.parse(repository)
    except ValueError:
        return None
    whose = None if scope.kind is ScopeKind.ENTERPRISE else scope.name
    is_number = run_id.isascii() and run_id.isdigit() and len(run_id) <= _LONGEST_RUN_ID
    if named.kind is not ScopeKind.REPOSITORY or not is_within(repository, whose) or not is_number:
        return None
    return Inquiry(runner, named, int(run_id), place, has_result)


def _repository_key(repository: Scope) -> str:
    return repository.name.casefold()
