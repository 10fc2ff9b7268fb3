"""How jobs have fared at GitHub: asked afterwards, when nothing else is to be asked there.

How long they were queued only GitHub knows, and how those ended whose guests have not told.
History, counts and metric events have it from here.

A part of the tokens actor, in its thread.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from loguru import logger

from supervisor.actors.github_line import Line
from supervisor.github.budget import Priority
from supervisor.github.errors import Forbidden, GitHubError, NotFound, RateLimited
from supervisor.github.exchange import Talk
from supervisor.github.inquiries import AGAIN_S, ROOM, Inquiries, Inquiry, inquiry_of
from supervisor.github.run_jobs import RunJob, run_jobs
from supervisor.github.turns import Done
from supervisor.messages.tokens import InquireJob
from supervisor.observation import records
from supervisor.observation.feed import Feed
from supervisor.supervision import Clock, TellAfter, Timer
from supervisor.throttling.waits import doubled

Found = dict[str, RunJob]
_LONGEST_PAUSE_S = 600.0
_FORBIDDEN, _NOT_FOUND = 403, 404

Begin = Callable[[Talk[Found], Priority, Done[Found]], object]


class InquiryDue:
    """Something may be asked now: `wake` is to be called."""


class JobInquiries:
    """Asks one question at a time, with a pause after each, and tells the feed what it learns.

    What comes while there is no room, or can't be asked, is let go: who waits for it gives up in
    time. So is what is still to be asked, when the actor crashes or the daemon ends.

    Args:
        feed: is told of each job.
        clock: tells the time.
        begin: begins a conversation on the line to the configured place.
        tell_after: has an `InquiryDue` told later.
    """

    def __init__(self, feed: Feed, clock: Clock, begin: Begin, tell_after: TellAfter) -> None:
        self._feed = feed
        self._clock = clock
        self._begin = begin
        self._tell_after = tell_after
        self._heard: list[InquireJob] = []
        self._inquiries = Inquiries()
        self._is_asking = False
        self._pause_until = 0.0
        self._failures = 0
        self._timer: Timer | None = None
        self._wakes_at = 0.0

    def add(self, message: InquireJob) -> None:
        """Note what is to be asked. It is looked at when something may be: many at once."""
        if len(self._heard) < ROOM:
            self._heard.append(message)

    def wake(self, line: Line) -> None:
        """Go on, as a time that was waited for has come."""
        self._wakes_at = 0.0
        self.go_on(line)

    def go_on(self, line: Line) -> None:
        """Ask the next question, if it may be asked now; else have it asked when it may be."""
        now = self._now()
        if self._is_asking:
            return
        quiet_until = max(self._inquiries.quiet_until, self._pause_until)
        if now < quiet_until:
            self._wait_until(quiet_until)
            return
        self._take_in(line)
        next_at = self._inquiries.next_at()
        if next_at is None:
            return
        hold = line.hold(Priority.INQUIRE)
        next_at = max(next_at, hold.until if hold else 0.0)
        if next_at > now:
            self._wait_until(next_at)
            return
        due = self._inquiries.due(now)
        self._is_asking = True
        names = frozenset(one.runner for one in due)
        talk = run_jobs(due[0].repository, due[0].run_id, names)
        self._begin(talk, Priority.INQUIRE, partial(self._answered, due))

    def _take_in(self, line: Line) -> None:
        """Take in what was noted; only where runners are registered now."""
        self._inquiries = self._inquiries.only(lambda one: one.place == line.place)
        self._tell_of_those_over()
        heard, self._heard = self._heard, []
        for one in heard:
            inquiry = inquiry_of(
                one.runner,
                one.repository,
                one.run_id,
                one.place,
                line.scope,
                has_result=one.has_result,
            )
            if inquiry and inquiry.place == line.place:
                self._inquiries = self._inquiries.add(inquiry, self._now())

    def pause(self, pause_s: float = AGAIN_S) -> None:
        """Ask nothing for a while: there is trouble with GitHub."""
        self._pause_until = self._now() + pause_s

    def _answered(self, asked: tuple[Inquiry, ...], outcome: Found | GitHubError) -> None:
        self._is_asking = False
        now = self._now()
        self._inquiries = self._inquiries.answered(now)
        if isinstance(outcome, NotFound):
            self._inquiries = self._inquiries.lack(asked[0], now)
            self._tell_if_closed(asked[0], outcome)
        elif isinstance(outcome, Forbidden):
            self._inquiries = self._inquiries.close(asked[0].repository, now)
            self._tell_if_closed(asked[0], outcome)
        elif isinstance(outcome, RateLimited):
            self.pause()  # nothing was asked
        elif isinstance(outcome, GitHubError):
            self._inquiries = self._inquiries.learn(asked, None, now)
            # Others wait for an answer that does not come.
            self._failures += 1
            self.pause(doubled(AGAIN_S, self._failures, _LONGEST_PAUSE_S))
        else:
            self._failures = 0
            self._inquiries = self._inquiries.learn(asked, outcome, now)
        self._tell_of_those_over()
        if self._heard or self._inquiries.waiting:
            self._wait_until(self._inquiries.quiet_until)

    def _tell_if_closed(self, inquiry: Inquiry, error: GitHubError) -> None:
        logger.debug("{}", error)
        if not self._inquiries.is_closed(inquiry.repository, self._now()):
            return
        logger.info(
            "how long jobs of {} have waited, and how those ended whose guests have not told, is "
            'not asked for an hour, as GitHub answers {}: it takes the permission "Actions: read" '
            "there, or the scope repo of a classic token",
            inquiry.repository.name,
            _NOT_FOUND if isinstance(error, NotFound) else _FORBIDDEN,
        )

    def _tell_of_those_over(self) -> None:
        for inquiry, job in self._inquiries.over:
            self._tell(inquiry, job)
        self._inquiries = replace(self._inquiries, over=())

    def _tell(self, inquiry: Inquiry, job: RunJob) -> None:
        make = partial(
            records.of_job,
            inquiry.runner,
            inquiry.repository.name,
            inquiry.run_id,
            job.conclusion,
            self._clock.now(),
            queued_at=job.queued_at,
            started_at=job.started_at,
            queue_s=job.queue_s,
        )
        self._feed.tell_made(make)

    def _wait_until(self, at: float) -> None:
        if at == self._wakes_at:
            return  # it is waited for already: thousands may come meanwhile
        if self._timer:
            self._timer.cancel()
        self._timer = self._tell_after(at - self._now(), InquiryDue())
        self._wakes_at = at

    def _now(self) -> float:
        return self._clock.monotonic()
