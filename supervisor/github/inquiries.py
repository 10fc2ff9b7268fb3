"""About which jobs GitHub is to be asked, and when: nobody waits for it, so it is never urgent."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from supervisor.github.scope import Scope, ScopeKind, is_within

ROOM = 1000
PACE_S = 5.0
"""So far apart are two questions at least: what nobody waits for is to cost next to nothing."""
AGAIN_S = 20.0
CLOSED_S = 3600.0
_MOST_CLOSED = 1000
_LONGEST_RUN_ID = 18


@dataclass(frozen=True)
class Inquiry:
    """What a runner's job was is to be asked.

    Attributes:
        runner: its name.
        repository: whose job it has had.
        run_id: GitHub's number of the workflow run.
        place: where the runner was registered.
        not_before: monotonic, seconds.
        is_second: it has been asked before, in vain.
    """

    runner: str
    repository: Scope
    run_id: int
    place: str
    not_before: float = 0.0
    is_second: bool = False

    @cached_property
    def key(self) -> tuple[str, int]:
        """Which run: one answer serves all who have had a job of it."""
        return _repository_key(self.repository), self.run_id


@dataclass(frozen=True)
class Inquiries:
    """What is to be asked, and what is not asked for a while.

    Attributes:
        waiting: what is to be asked, in the order in which it came.
        closed: repositories whose jobs can't be seen, and until when (monotonic, seconds).
        quiet_until: nothing is asked before (monotonic, seconds).
    """

    waiting: tuple[Inquiry, ...] = ()
    closed: Mapping[str, float] = field(default_factory=dict)
    quiet_until: float = 0.0

    def add(self, inquiry: Inquiry, now: float) -> "Inquiries":
        """Take one in, unless there is no room or its repository is not asked now."""
        if len(self.waiting) >= ROOM or self.is_closed(inquiry.repository, now):
            return self
        return replace(self, waiting=(*self.waiting, inquiry))

    def is_closed(self, repository: Scope, now: float) -> bool:
        """Tell whether a repository is not asked now."""
        return self.closed.get(_repository_key(repository), 0.0) > now

    def due(self, now: float) -> tuple[Inquiry, ...]:
        """Give those that one question answers, and that may be asked now; none if none may.

        They are those of the run that was heard of last: it tells how it is now, when it matters.
        """
        if now < self.quiet_until:
            return ()
        newest = next((one for one in reversed(self.waiting) if one.not_before <= now), None)
        if newest is None:
            return ()
        same = (one for one in self.waiting if one.key == newest.key)
        return tuple(one for one in same if one.not_before <= now)

    def next_at(self) -> float | None:
        """Say when there is something to be asked (monotonic, seconds); None for never."""
        soonest = min((one.not_before for one in self.waiting), default=None)
        return None if soonest is None else max(soonest, self.quiet_until)

    def answered(self, now: float) -> "Inquiries":
        """Have the next question wait, as one has just come to its end."""
        return replace(self, quiet_until=now + PACE_S)

    def without(self, asked: tuple[Inquiry, ...]) -> "Inquiries":
        """Take some out."""
        # Most of the many that may wait are told from them by their run, which is quick.
        runs, gone = {one.key for one in asked}, frozenset(asked)
        left = tuple(one for one in self.waiting if one.key not in runs or one not in gone)
        return replace(self, waiting=left)

    def again(self, asked: tuple[Inquiry, ...], now: float) -> "Inquiries":
        """Have those be asked once more that were asked in vain for the first time."""
        if not asked:
            return self
        later = {
            one: replace(one, not_before=now + AGAIN_S, is_second=True)
            for one in asked
            if not one.is_second
        }
        left = self.without(tuple(one for one in asked if one.is_second))
        # They keep their places: they are no newer than they were.
        return replace(left, waiting=tuple(later.get(one, one) for one in left.waiting))

    def close(self, repository: Scope, now: float) -> "Inquiries":
        """Ask a repository nothing for a while, as its jobs can't be seen."""
        key = _repository_key(repository)
        closed = {name: until for name, until in self.closed.items() if until > now}
        if len(closed) >= _MOST_CLOSED:
            del closed[min(closed, key=lambda name: closed[name])]
        return replace(
            self,
            waiting=tuple(one for one in self.waiting if one.key[0] != key),
            closed={**closed, key: now + CLOSED_S},
        )


def inquiry_of(
    runner: str, repository: str, run_id: str, place: str, scope: Scope
) -> Inquiry | None:
    """Make the inquiry about a runner's job; None if what its guest says of it can't be so.

    Args:
        runner: its name.
        repository: as the guest has named it.
        run_id: of the workflow run, as the guest has named it.
        place: where the runner was registered.
        scope: whose runners: they have jobs of no others.
    """
    try:
        named = Scope.parse(repository)
    except ValueError:
        return None
    whose = None if scope.kind is ScopeKind.ENTERPRISE else scope.name
    is_number = run_id.isascii() and run_id.isdigit() and len(run_id) <= _LONGEST_RUN_ID
    if named.kind is not ScopeKind.REPOSITORY or not is_within(repository, whose) or not is_number:
        return None
    return Inquiry(runner, named, int(run_id), place)


def _repository_key(repository: Scope) -> str:
    return repository.name.casefold()
