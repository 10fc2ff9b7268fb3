"""What lies behind a reason, in one word of few: for programs, as sentences are for people.

A cause stands beside the reason from where that arises, up to what is published. Its values are
seen outside, in `status`, in events and by the charm: they are not changed, only added to.
"""

from dataclasses import dataclass
from enum import Enum


class Cause(str, Enum):
    """Why something is as it should not be."""

    UNKNOWN = ""  # nothing is wrong, or nobody has said what

    # GitHub
    GITHUB_UNAVAILABLE = "github-unavailable"  # it can't be reached, fails, or can't be read
    GITHUB_REFUSED = "github-refused"  # it does not do it as asked
    PROXY_FAILED = "proxy-failed"  # the way there leads through a proxy, and to nobody
    CREDENTIAL_REJECTED = "credential-rejected"  # wrong, expired or revoked
    CREDENTIAL_EXPIRING = "credential-expiring"  # soon rejected, or by now
    CREDENTIAL_UNREADABLE = "credential-unreadable"  # its file, or what is in it
    PERMISSION_MISSING = "permission-missing"  # the credential may not do it, or not see it
    RATE_LIMITED = "rate-limited"  # one of GitHub's limits is used up

    # LXD and this host
    LXD_UNAVAILABLE = "lxd-unavailable"  # it can't be reached, or doesn't answer in time
    LXD_FAILED = "lxd-failed"  # it refuses, or has not done it
    LXD_INCOMPLETE = "lxd-incomplete"  # it lacks what `prepare-lxd` makes
    IMAGE_MISSING = "image-missing"  # nobody has the image that is to be started from
    NO_SPACE = "no-space"  # a disk or a pool is full
    NFTABLES_MISSING = "nftables-missing"  # its program is not installed

    # The daemon and its settings
    CONFIGURATION_REFUSED = "configuration-refused"  # the last change of it is wrong
    CONFIGURATION_IN_PART = "configuration-in-part"  # it is in force, but not all have been told
    RESTART_REQUIRED = "restart-required"  # what was set waits for a restart of the daemon
    ACTOR_STUCK = (
        "actor-stuck"  # an actor is in one message, or in none of those that wait, too long
    )
    ACTOR_DOWN = "actor-down"  # it has ended, and is started again

    # Runners
    RUNNERS_FAILING = "runners-failing"  # several in a row, so that the breaker is open
    TIMED_OUT = "timed-out"  # a stage took longer than its limit
    STOPPED = "stopped"  # the instance or the runner application ended by itself
    VANISHED = "vanished"  # GitHub does not know it any more
    OFFLINE = "offline"  # GitHub has not shown it online for too long
    JOB_UNCHECKED = "job-unchecked"  # its job runs without the policy having let it
    REMOVAL_FAILED = "removal-failed"  # LXD does not delete the instance

    __str__ = str.__str__


OF_GITHUB = frozenset(
    {
        Cause.GITHUB_UNAVAILABLE,
        Cause.GITHUB_REFUSED,
        Cause.PROXY_FAILED,
        Cause.CREDENTIAL_REJECTED,
        Cause.CREDENTIAL_UNREADABLE,
        Cause.PERMISSION_MISSING,
        Cause.RATE_LIMITED,
    }
)
"""Of what GitHub is asked for in vain."""

OF_LXD = frozenset(
    {
        Cause.LXD_UNAVAILABLE,
        Cause.LXD_FAILED,
        Cause.LXD_INCOMPLETE,
        Cause.IMAGE_MISSING,
        Cause.NO_SPACE,
    }
)
"""Of what LXD is asked for in vain."""


OF_ALL_RUNNERS = OF_GITHUB | OF_LXD - {Cause.LXD_FAILED}
"""What all runners meet alike, and what is to be mended before any of them can be made."""


class CausedError(Exception):
    """An error that knows its cause: by its kind, or as it was told.

    Args:
        message: for people.
        cause: if it is another than what all of its kind have.
    """

    cause: Cause = Cause.UNKNOWN

    def __init__(self, message: str = "", cause: Cause | None = None) -> None:
        super().__init__(message)
        if cause is not None:
            self.cause = cause


@dataclass(frozen=True)
class Fault:
    """Why something is as it should not be; false where nothing is wrong.

    Attributes:
        reason: for people; empty where nothing is wrong.
        cause: the same in a word.
    """

    reason: str = ""
    cause: Cause = Cause.UNKNOWN

    def __bool__(self) -> bool:
        """Tell whether something is wrong."""
        return bool(self.reason)


def cause_of(error: BaseException) -> Cause:
    """Give the cause of an error; unknown for one that knows none."""
    return error.cause if isinstance(error, CausedError) else Cause.UNKNOWN
