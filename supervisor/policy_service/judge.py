"""Judges jobs: within a limit of time, and never in favour of one where anything is unclear."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from http import HTTPStatus
from queue import Empty, SimpleQueue
from threading import BoundedSemaphore, Thread
from time import monotonic
from typing import TypeVar

from supervisor.github.errors import GitHubError, NotFound
from supervisor.github.scope import is_within
from supervisor.policy.limits import ALLOWED, ERROR, REFUSED
from supervisor.policy_service.asking import Errand, GitHub, ping
from supervisor.policy_service.checks import Failed, Passed, Verdict
from supervisor.policy_service.decisions import UNLOGGED, Decision, DecisionLog
from supervisor.policy_service.inspection import inspect
from supervisor.policy_service.questions import Question
from supervisor.policy_service.state import State

T = TypeVar("T")

_PING_S = 5.0
_CUT_LATER_S = 0.5
"""After the limit of a check, so that it is the limit that is told of, and not what it has cut."""
_AT_ONCE = 100
_LONGEST_REASON = 2000
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refused:
    """The answer to a job that must not run, or of which it is not known whether it may.

    Attributes:
        status: 403 where the job or its repository is at fault, 500 where it could not be checked.
        reason: for the job's log, where a line of somebody else's making could be an order.
    """

    status: HTTPStatus
    reason: str

    def __post_init__(self) -> None:
        line = "".join(letter if letter.isprintable() else " " for letter in self.reason)
        object.__setattr__(self, "reason", line[:_LONGEST_REASON])


class Judge:
    """Judges jobs. For any thread.

    Args:
        github: whom facts are asked of.
        state: holds the policy.
        log: takes the decisions.
        check_s: seconds that one check may take.
        scope: the owner or the repository whose jobs alone may run; None for any.
    """

    def __init__(
        self,
        github: GitHub,
        state: State,
        log: DecisionLog,
        check_s: float,
        scope: str | None,
    ) -> None:
        self._github = github
        self._state = state
        self._log = log
        self._check_s = check_s
        self._scope = scope
        self._slots = BoundedSemaphore(_AT_ONCE)

    def judge(self, runner: str, event: str, asked_as: str, question: Question) -> Passed | Refused:
        """Decide whether a job may run, and log it. A decision that can't be logged is a no.

        Args:
            runner: who asks.
            event: the policy document's.
            asked_as: the event in the request's path.
            question: what is asked.
        """
        began, now = monotonic(), datetime.now(timezone.utc)
        cut = began + self._check_s + _CUT_LATER_S
        errand = Errand(self._github, question.repository_name, cut)

        def check() -> Verdict:
            if not is_within(question.repository_name, self._scope):
                return Failed(f"these runners serve {self._scope}, and no other's jobs")
            policy = self._state.policy()
            return errand.lead(inspect(event, question, policy, self._github.cache))

        answer = self._answer(check, self._check_s)
        decision = Decision(
            time=now,
            runner=runner,
            repository=question.repository_name,
            event=asked_as,
            verdict=_word(answer),
            reason="" if isinstance(answer, Passed) else answer.reason,
            duration_ms=round((monotonic() - began) * 1000),
            github_calls=errand.calls,
        )
        unlogged = self._write(decision)
        if unlogged and isinstance(answer, Passed):
            return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, unlogged)
        return answer

    def refuse(self, runner: str, asked_as: str, refused: Refused) -> None:
        """Log what is refused without a check."""
        now = datetime.now(timezone.utc)
        self._write(Decision(now, runner, "", asked_as, _word(refused), refused.reason, 0, 0))

    def ping(self) -> str:
        """Say why GitHub can't be asked; empty if it can."""
        deadline = monotonic() + _PING_S

        def check() -> Verdict:
            ping(self._github, deadline)
            return Passed()

        answer = self._answer(check, _PING_S)
        return "" if isinstance(answer, Passed) else answer.reason

    def unable(self) -> str:
        """Say why no job could be let run, whatever GitHub says; empty if one could."""
        return self._state.trouble() or self._log.trouble()

    def _answer(self, check: Callable[[], Verdict], limit_s: float) -> Passed | Refused:
        try:
            verdict = within(limit_s, check, self._slots)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no yes
            return _trouble(error, limit_s)
        if type(verdict) is Passed:
            return verdict
        if isinstance(verdict, Failed):
            return Refused(HTTPStatus.FORBIDDEN, verdict.reason)
        return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "the check has come to no verdict")

    def _write(self, decision: Decision) -> str:
        """Log a decision; say why that is not possible."""
        try:
            self._log.write(decision)
        except OSError as error:
            _log.error("can't write the log of decisions: %s", error)
            return f"{UNLOGGED}: {error.strerror}"
        return ""


def within(limit_s: float, work: Callable[[], T], slots: BoundedSemaphore) -> T:
    """Do something in a thread of its own, and wait for it no longer than that.

    A thread can't be ended: one that takes longer goes on for nobody, and keeps its slot until it
    is done, which is soon: right after a check's limit its connection to GitHub is cut.

    Raises:
        TimeoutError: it takes longer, or there are no slots.
    """
    deadline = monotonic() + limit_s
    if not slots.acquire(timeout=limit_s):
        raise TimeoutError
    outcome: SimpleQueue[T | Exception] = SimpleQueue()

    def run() -> None:
        try:
            outcome.put(work())
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            outcome.put(error)
        finally:
            slots.release()

    try:
        Thread(target=run, name="check", daemon=True).start()
    except BaseException:  # there can be no more threads
        slots.release()
        raise
    try:
        result = outcome.get(timeout=max(0.0, deadline - monotonic()))
    except Empty:
        raise TimeoutError from None
    if isinstance(result, Exception):
        raise result
    return result


def _trouble(error: Exception, limit_s: float) -> Refused:
    if isinstance(error, NotFound):
        return Refused(HTTPStatus.FORBIDDEN, str(error))
    if isinstance(error, GitHubError):
        reason = str(error)
    elif isinstance(error, TimeoutError):
        reason = f"the check was not done within {limit_s:g} s; try again later"
    else:
        _log.error("a check has failed", exc_info=error)
        reason = "the check has failed; the service's log says why"
    return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, reason)


def _word(answer: Passed | Refused) -> str:
    if isinstance(answer, Passed):
        return ALLOWED
    return REFUSED if answer.status is HTTPStatus.FORBIDDEN else ERROR
