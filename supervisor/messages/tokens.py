"""What the tokens actor may be told, and what it answers: all dealings with GitHub."""

from __future__ import annotations

from dataclasses import dataclass, field

from supervisor.causes import Cause
from supervisor.lifecycle import Job
from supervisor.planning import Registration
from supervisor.upgrades.application import Application


@dataclass(frozen=True)
class AnnounceGitHub:
    """Say to the fleet whether runners can be registered: answered by `GitHubChanged`."""


@dataclass(frozen=True)
class GitHubChanged:
    """Whether runners can be registered now has changed.

    Attributes:
        open: a registration would be tried.
        proven: the last one tried did not fail: as many as wanted may be asked for, not only one.
        reason: why none can be registered, for the operator; empty if they can.
        cause: the same in a word.
    """

    open: bool
    proven: bool = True
    reason: str = ""
    cause: Cause = Cause.UNKNOWN


@dataclass(frozen=True)
class RequestJitConfig:
    """Register a runner: answered by `JitConfigMade` or `JitConfigFailed` to the runner.

    Attributes:
        name: the runner's.
        labels: what jobs ask for.
        group: the runner group.
        place: where; refused if another is configured by now.
    """

    name: str
    labels: tuple[str, ...]
    group: str
    place: str


@dataclass(frozen=True)
class RegisterAhead:
    """Register a runner that will be asked for soon: the answer is kept until it is."""

    name: str
    labels: tuple[str, ...]
    group: str
    place: str


@dataclass(frozen=True)
class ForgetAhead:
    """Let go of all registrations that were made ahead and not asked for."""


@dataclass(frozen=True)
class JitConfigMade:
    """GitHub has registered the runner. The configuration is a secret: never shown."""

    runner_id: int
    encoded: str = field(repr=False)
    place: str


@dataclass(frozen=True)
class JitConfigFailed:
    """GitHub has not registered the runner.

    Attributes:
        reason: why, for people.
        cause: the same in a word.
    """

    reason: str
    cause: Cause = Cause.UNKNOWN


@dataclass(frozen=True)
class DeleteRegistration:
    """Delete a registration; a runner that waits for it hears of the outcome as `Happened`."""

    runner_id: int
    name: str
    place: str


@dataclass(frozen=True)
class ListRegistrations:
    """List what is registered: answered by `RegistrationsListed` to the fleet."""

    ticket: int


@dataclass(frozen=True)
class RegistrationsListed:
    """What GitHub has, whole for each place that was listed.

    Attributes:
        ticket: of the order.
        registrations: of all those places.
        error: why the configured place could not be listed.
        places: those that were.
        cause: the same as the error, in a word.
    """

    ticket: int
    registrations: tuple[Registration, ...] = ()
    error: str = ""
    places: frozenset[str] = frozenset()
    cause: Cause = Cause.UNKNOWN


@dataclass(frozen=True)
class AskApplication:
    """Find out which runner application GitHub offers for this machine, for `upgrades`.

    Answered by `ApplicationOffered` or `ApplicationNotOffered`.
    """


@dataclass(frozen=True)
class ApplicationOffered:
    """GitHub offers this runner application, with a checksum."""

    application: Application


@dataclass(frozen=True)
class ApplicationNotOffered:
    """GitHub offers no runner application that can be used.

    Attributes:
        reason: for the operator.
        outage: GitHub could not be asked at all, of which others tell.
    """

    reason: str
    outage: bool = False


@dataclass(frozen=True)
class InquireJob:
    """Tell the feed what GitHub knows of a job that has ended, when GitHub has time to spare.

    Attributes:
        runner: that had it.
        repository: whose it was, by the guest's word.
        run_id: its workflow run's, by the guest's word.
        place: where the runner was registered.
        has_result: its guest has told how it ended.
    """

    runner: str
    repository: str
    run_id: str
    place: str
    has_result: bool = False

    @classmethod
    def about(cls, runner: str, job: Job | None, place: str) -> InquireJob | None:
        """Make it of what is known of a runner's job; None where that is too little."""
        if job is None or not job.can_be_looked_up:
            return None
        return cls(runner, job.repository, job.run_id, place, bool(job.result))
