"""What is known of one runner: its stage, since when and why, and how long a stage may last."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum

from supervisor.causes import Cause
from supervisor.throttling.waits import doubled


class Stage(str, Enum):
    """Where a runner is in its life."""

    REQUESTED = "requested"  # waits for its just-in-time configuration
    CREATING = "creating"  # waits for LXD to create and start the instance
    BOOTING = "booting"  # waits for the guest's ready signal
    READY = "ready"  # the guest is ready; GitHub has not confirmed it yet
    IDLE = "idle"  # GitHub lists it as online
    BUSY = "busy"  # runs its job
    RETIRING = "retiring"  # ordered away; waits for GitHub to let it go
    FINISHED = "finished"  # waits for the instance to be gone
    FAILED = "failed"  # waits for what is left of it to be removed
    DELETED = "deleted"  # nothing is left

    __str__ = str.__str__


STARTING = frozenset({Stage.REQUESTED, Stage.CREATING})
COMING = STARTING | {Stage.BOOTING}
AVAILABLE = frozenset({Stage.READY, Stage.IDLE})
UNUSED = AVAILABLE | {Stage.BOOTING}  # there is a guest, and no job is known of
PRESENT = AVAILABLE | {Stage.BUSY}
ONLINE = frozenset({Stage.IDLE, Stage.BUSY})  # GitHub has been seen to list it
GOING = frozenset({Stage.RETIRING, Stage.FINISHED})
ENDED = frozenset({Stage.FINISHED, Stage.FAILED, Stage.DELETED})
ENDING = ENDED | {Stage.RETIRING}


@dataclass(frozen=True)
class Job:
    """What a runner runs, and how that ended, as the guest reported it. Any field may be empty."""

    repository: str = ""
    workflow: str = ""
    run_id: str = ""
    event: str = ""
    name: str = ""
    result: str = ""

    def is_told(self) -> bool:
        """Tell whether more is known of it than that there is one, and how it ended."""
        return replace(self, result="") != Job()

    @property
    def can_be_looked_up(self) -> bool:
        """Whether enough is known of it to ask GitHub about it."""
        return bool(self.repository and self.run_id)

    def __str__(self) -> str:
        return " ".join(part for part in (self.repository, self.workflow, self.name) if part)


@dataclass(frozen=True)
class Limits:
    """How long a stage may last before the runner has failed."""

    requested: timedelta = timedelta(minutes=10)
    creating: timedelta = timedelta(minutes=10)
    booting: timedelta = timedelta(minutes=10)
    busy: timedelta = timedelta(days=5)
    retiring: timedelta = timedelta(minutes=2)
    finished: timedelta = timedelta(minutes=2)
    removal_retry: timedelta = timedelta(seconds=15)

    GRACE = timedelta(seconds=30)
    LONGEST_RETRY = timedelta(minutes=10)

    def of(self, stage: Stage) -> timedelta | None:
        """Say how long `stage` may last; None for those that may last for ever."""
        return {
            Stage.REQUESTED: self.requested,
            Stage.CREATING: self.creating,
            Stage.BOOTING: self.booting,
            Stage.BUSY: self.busy,
            Stage.RETIRING: self.retiring,
            Stage.FINISHED: self.finished,
            Stage.FAILED: self.removal_retry,
        }.get(stage)

    def left(self, life: "Life", now: datetime) -> timedelta | None:
        """Say how long a runner may stay at its stage from now on; None for ever.

        One that was taken over at the end of its time has a little more: what it has said meanwhile
        nobody has heard, and GitHub's list may tell.
        """
        limit = self.of(life.stage)
        if limit is None:
            return None
        if life.stage is Stage.FAILED:
            # Each try may hold a thread of those that look after all runners.
            return doubled(limit, max(1, life.removal_failures), self.LONGEST_RETRY)
        return max(limit - (now - life.since), min(limit, self.GRACE))


@dataclass(frozen=True)
class Life:
    """All that is known of one runner. Its moments are of a clock that nobody sets meanwhile.

    Attributes:
        stage: where it is.
        since: when it came there (aware, UTC).
        reason: why it is there, for people.
        cause: the same in a word, where it is there because something went wrong.
        runner_id: GitHub's number of its registration, None before it has one.
        job: what it runs or ran.
        removal_failures: how often the removal of its instance has failed.
        ended_for: why it has ended, without what is waited for since, or has failed; empty if the
            reason says no more.
        retired_from: the stage to go back to, if GitHub does not let a retiring runner go.
        refusals: how often in a row GitHub could not be asked to let it go.
        retire_after: no other try before then (aware, UTC).
        ordered_away: why it goes as soon as its number is known; empty if no such order stands.
        ready_at: when it could first take a job (aware, UTC).
        job_began_at: when its guest told that its job begins (aware, UTC). None if it has not: that
            it is at work GitHub tells too, but not since when.
        failed_in: the stage that it did not come through; None for one that did its job, was
            ordered away, or has not failed.
        unwatched_since: since it was taken over, its guest and GitHub have said nothing: a job may
            have begun while nobody listened. None if nothing can have been missed.
    """

    stage: Stage
    since: datetime
    reason: str = ""
    runner_id: int | None = None
    job: Job | None = None
    removal_failures: int = 0
    ended_for: str = ""
    retired_from: Stage = Stage.READY
    refusals: int = 0
    retire_after: datetime | None = None
    ordered_away: str = ""
    ready_at: datetime | None = None
    job_began_at: datetime | None = None
    failed_in: Stage | None = None
    unwatched_since: datetime | None = None
    cause: Cause = Cause.UNKNOWN

    def moved(self, by: timedelta) -> "Life":
        """Give it with its beginnings by a clock that is ahead by so much."""
        return replace(
            self,
            since=self.since + by,
            ready_at=self.ready_at and self.ready_at + by,
            job_began_at=self.job_began_at and self.job_began_at + by,
        )


@dataclass(frozen=True)
class Seen:
    """What a listing or a look at LXD shows of an instance that is to be taken over.

    Attributes:
        running: it may run a job.
        stage: the last one that was recorded.
        since: when it came to that stage, or its job began as its guest has told (aware, UTC).
        created_at: when it was ordered (aware, UTC).
        runner_id: GitHub's number of its registration.
        job: what it runs, if that was recorded.
        holds_secrets: its configuration still has what the guest was given.
        started: LXD has started it at some time.
        stop_noticed: it has stopped under LXD's eyes, as when its guest powers off. One that went
            down with the host, or while LXD was down, has not.
    """

    running: bool
    stage: str = ""
    runner_id: int | None = None
    job: Job | None = field(default=None)
    holds_secrets: bool = False
    since: datetime | None = None
    created_at: datetime | None = None
    started: bool = True
    stop_noticed: bool = False

    def moved(self, by: timedelta) -> "Seen":
        """Give it with its moments by a clock that is ahead by so much."""
        since, created_at = self.since and self.since + by, self.created_at and self.created_at + by
        return replace(self, since=since, created_at=created_at)
