"""Whether GitHub can be asked, and what is done where it can't.

A part of the tokens actor, in its thread.
"""

from collections.abc import Callable

from loguru import logger

from supervisor.actors.github_line import Line
from supervisor.github.budget import Priority
from supervisor.github.errors import Cancelled, GitHubError, RateLimited
from supervisor.github.gate import Gate
from supervisor.messages.tokens import GitHubChanged
from supervisor.messages.upgrades import GitHubReachable
from supervisor.supervision import Clock, Directory, TellAfter, Timer

_LOOK_AT_CREDENTIAL_S = 5.0


class RetryDue:
    """After a failure, it is time to try again."""


class CredentialLookDue:
    """The credential is no good: has it been changed? `look_at_credential` is to be called."""


class GitHubGate:
    """Holds the gate to the configured place, and tells the fleet whether it is open.

    Args:
        directory: knows the fleet.
        clock: tells the time.
        tell_after: has a `RetryDue`, or a `CredentialLookDue`, told later.
        tell_self: has it told at once.
    """

    def __init__(
        self,
        directory: Directory,
        clock: Clock,
        tell_after: TellAfter,
        tell_self: Callable[[object], object],
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._tell_after = tell_after
        self._tell_self = tell_self
        self._told: GitHubChanged | None = None
        self._retry: Timer | None = None
        self._watching = False
        self.state = Gate()

    def announce(self) -> None:
        """Tell the fleet how it stands, whatever it was told before."""
        self._told = None
        self.tell_fleet()

    def tell_fleet(self) -> None:
        """Tell the fleet how it stands, if that has changed."""
        gate = self.state
        change = GitHubChanged(
            gate.lets_register(self._now()), gate.proven, gate.reason, gate.cause
        )
        if change == self._told or not self._directory.tell("fleet", change):
            return
        if change.open and self._told is not None and not self._told.open:
            # It may have been asked for in vain meanwhile.
            self._directory.tell("upgrades", GitHubReachable())
        self._told = change

    def refusal(self) -> Cancelled | None:
        """Say why no registration is tried now; None if one is."""
        return None if self.state.is_open(self._now()) else self._answer()

    def refusal_of_all(self, line: Line) -> Cancelled | None:
        """Say why nothing at all is asked on a line until the next try is due; None if it is."""
        if self.state.everything and line.credential_may_have_changed():
            self.state = self.state.retry_now()
        return self._answer() if self.state.is_shut(self._now()) else None

    def open(self) -> None:
        """Note that what was tried has succeeded."""
        self.state = Gate()
        self.tell_fleet()

    def move(self) -> None:
        """Forget what was at another place."""
        self._cancel_retry()
        self.open()

    def fail(self, line: Line, error: GitHubError, *, everything: bool) -> bool:
        """Close it after a failure on a line, and end what waits there to be registered.

        Returns:
            Whether that is news: not if it is closed already, for the same trouble.
        """
        now = self._now()
        if not self.state.is_news(now, everything=everything):
            return False
        logger.warning("{}", error)
        hold = line.hold(Priority.REGISTER) if isinstance(error, RateLimited) else None
        until = hold.until if hold else None
        self.state = self.state.fail(error, now, everything=everything, until=until)
        self._cancel_retry()
        self._retry = self._tell_after(self.state.until - now, RetryDue())
        self.tell_fleet()  # first, or it would ask for others in the place of those that fail
        closed = Cancelled(error.answer, error.cause)
        line.fail_all({Priority.REGISTER, Priority.REGISTER_AHEAD}, closed)
        self._watch_credential()
        return True

    def retry_now(self) -> bool:
        """Have it tried at once, as something may have mended it; tell whether that is needed."""
        if not self.state.reason:
            return False
        self.state = self.state.retry_now()
        self._cancel_retry()
        self._tell_self(RetryDue())
        return True

    def look_at_credential(self, line: Line) -> bool:
        """Have it tried again if a line's credential may be another by now; tell whether it is."""
        self._watching = False
        is_tried = False
        if line.credential_may_have_changed():
            logger.info("the credential has changed: GitHub is asked again")
            is_tried = self.retry_now()
        self._watch_credential()
        return is_tried

    def _watch_credential(self) -> None:
        if self.state.reason and not self._watching:
            self._watching = True
            self._tell_after(_LOOK_AT_CREDENTIAL_S, CredentialLookDue())

    def _cancel_retry(self) -> None:
        if self._retry:
            self._retry.cancel()

    def _answer(self) -> Cancelled:
        return Cancelled(self.state.answer, self.state.cause)

    def _now(self) -> float:
        return self._clock.monotonic()
