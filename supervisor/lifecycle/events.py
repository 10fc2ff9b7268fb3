"""What can happen in a runner's life."""

from dataclasses import dataclass

from supervisor.causes import Cause
from supervisor.lifecycle.life import Job, Stage


@dataclass(frozen=True)
class Registered:
    """GitHub gave the just-in-time configuration."""

    runner_id: int


@dataclass(frozen=True)
class RegistrationFound:
    """GitHub's list shows the number of a runner that was taken over without one."""

    runner_id: int


@dataclass(frozen=True)
class InstanceCreated:
    """LXD has the instance."""


@dataclass(frozen=True)
class InstanceStarted:
    """LXD has started the instance."""


@dataclass(frozen=True)
class GuestReady:
    """The guest is about to run the runner application."""


@dataclass(frozen=True)
class JobStarted:
    """The runner has taken its job."""

    job: Job


@dataclass(frozen=True)
class JobRefused:
    """The policy has not let the runner's job run; the runner application is about to end.

    Attributes:
        reason: the policy's, or why it could not be asked, in the guest's words.
    """

    reason: str


@dataclass(frozen=True)
class JobUnchecked:
    """The runner has been at work for longer than a verdict takes, and there is none in favour."""


@dataclass(frozen=True)
class NoJobBegun:
    """A look into the guest shows that no job had begun by then."""


@dataclass(frozen=True)
class JobFinished:
    """The runner's job has ended."""


@dataclass(frozen=True)
class GuestFinished:
    """The runner application has ended; the guest powers off.

    Attributes:
        exit_code: the application's.
        result: of its job, in the application's words; empty if it had none, or did not say.
    """

    exit_code: str = ""
    result: str = ""


@dataclass(frozen=True)
class Confirmed:
    """GitHub lists the runner as online."""

    busy: bool


@dataclass(frozen=True)
class RegistrationVanished:
    """GitHub does not know the runner any more, as two listings showed."""


@dataclass(frozen=True)
class WentOffline:
    """GitHub has not shown the runner online for too long."""

    reason: str


@dataclass(frozen=True)
class InstanceStopped:
    """The instance has stopped; LXD deletes it, as it is ephemeral."""


@dataclass(frozen=True)
class FoundStopped:
    """A look at LXD shows the instance stopped: nobody else may be about to delete it."""


@dataclass(frozen=True)
class InstanceGone:
    """LXD has no such instance."""


@dataclass(frozen=True)
class RemovalFailed:
    """LXD could not delete the instance."""

    reason: str


@dataclass(frozen=True)
class Unregistered:
    """GitHub has let the runner go, or never knew it."""


@dataclass(frozen=True)
class UnregistrationRefused:
    """GitHub keeps the runner: it is busy, or GitHub can't be asked.

    Attributes:
        busy: it runs a job.
        reason: why GitHub can't be asked.
        for_good: nobody can ask there any more: it is registered where nothing is configured now,
            and no credential that we have is good there.
    """

    busy: bool
    reason: str = ""
    for_good: bool = False


@dataclass(frozen=True)
class Failed:
    """The runner can't come to be, or its guest says that it can't go on."""

    reason: str
    cause: Cause = Cause.UNKNOWN


@dataclass(frozen=True)
class StartFailed:
    """LXD has not started the instance, or has not said so in time.

    Attributes:
        reason: why.
        certain: it does not run. Otherwise LXD may have started it, or be about to.
        cause: the same as the reason, in a word.
    """

    reason: str
    certain: bool = True
    cause: Cause = Cause.UNKNOWN


@dataclass(frozen=True)
class JobLost:
    """GitHub has shown for a while that the runner is not at work: its signals were lost.

    Attributes:
        registered: it is registered still, and so waits for a job.
    """

    registered: bool


@dataclass(frozen=True)
class LimitPassed:
    """The limit that was armed for `stage` has passed."""

    stage: Stage


@dataclass(frozen=True)
class DeletionOrdered:
    """The runner shall go. Only a forced order ends a busy one.

    Attributes:
        reason: why.
        force: at once, its job is lost.
        stands: nobody gives the order again. Where GitHub's number of its registration is not
            known yet, it stands until that is, or until the runner has a job.
    """

    reason: str
    force: bool = False
    stands: bool = False


Event = (
    Registered
    | InstanceCreated
    | InstanceStarted
    | GuestReady
    | JobStarted
    | JobRefused
    | JobUnchecked
    | NoJobBegun
    | JobFinished
    | GuestFinished
    | Confirmed
    | RegistrationFound
    | RegistrationVanished
    | WentOffline
    | InstanceStopped
    | FoundStopped
    | InstanceGone
    | RemovalFailed
    | Unregistered
    | UnregistrationRefused
    | Failed
    | StartFailed
    | JobLost
    | LimitPassed
    | DeletionOrdered
)
