"""What has happened, counted: fed by the feed, and by the line to GitHub.

The counters are made once and outlive every actor, as a counter must not fall. Calls to GitHub are
only noted by who makes them, and counted when somebody wants to see it, or much has come.
"""

from collections import Counter as Tally
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import NamedTuple, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric

from supervisor.causes import Cause
from supervisor.lifecycle import UNUSED, Job, Stage
from supervisor.lifecycle.results import learnt
from supervisor.metrics import PREFIX, classes
from supervisor.metrics.vacancies import Vacancies
from supervisor.observation.awaited_jobs import PATIENCE_S, UNSEEN_PATIENCE_S, AwaitedJobs
from supervisor.observation.feed import Feed, Kind, Record
from supervisor.roles import is_runner
from supervisor.supervision import RESTARTED

_STAGE_S = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600)
_NEXT_S = (1, 2.5, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800)
_QUEUE_S = (1, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600)
_MOMENT_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

T = TypeVar("T")

_LIVING = tuple(stage for stage in Stage if stage is not Stage.DELETED)
_MOST_NOTED = 1000


class _Ended(NamedTuple):
    """A job whose runner is gone, as the feed has told, or is missed unseen."""

    runner: str
    job: Job
    is_seen: bool


class Counters:
    """Counters and histograms, which any thread may feed and read.

    Args:
        feed: is watched from now on.
    """

    def __init__(self, feed: Feed) -> None:
        self._registry = CollectorRegistry()
        self._feed = feed
        self._called: deque[tuple[str, str, str]] = deque()
        self._vacancies = Vacancies()
        self._awaited = AwaitedJobs[_Ended]()
        self._counted_unseen: set[str] = set()  # as many as an earlier daemon has left
        stage_s = self._histogram(
            "runner_stage_duration_seconds", "How long runners were in a stage.", _STAGE_S, "stage"
        )
        self._stages_s = {str(stage): stage_s.labels(stage) for stage in _LIVING}
        self._wait_s = self._histogram(
            "runner_wait_duration_seconds",
            "How long runners waited for the job that they took.",
            _STAGE_S,
        )
        self._next_s = self._histogram(
            "runner_replacement_duration_seconds",
            "From the end of a job until another runner was ready for one.",
            _NEXT_S,
        )
        self._replacements = self._counter(
            "runner_replacements", "Runners that were made in the place of one that had ended."
        )
        self._failures = self._counter(
            "runner_failures",
            "Runners that failed, by stage and class of reason.",
            "stage",
            "reason",
        )
        self._jobs = self._counter(
            "jobs", "Jobs that have ended, by result and by the event that caused them.",
            "result", "event",
        )  # fmt: skip
        self._queue_s = self._histogram(
            "job_queue_duration_seconds",
            "How long jobs waited at GitHub for a runner, as it tells after their end.",
            _QUEUE_S,
        )
        self._restarts = self._counter(
            "runner_actor_restarts", "Restarts of runners' actors after a crash."
        )
        self._decisions = self._counter(
            "policy_decisions", "Decisions on jobs, by the policy.", "verdict"
        )
        self._decision_s = self._histogram(
            "policy_decision_duration_seconds", "How long a decision on a job took.", _MOMENT_S
        )
        self._reconcile_s = self._histogram(
            "reconcile_duration_seconds", "How long a reconcile took.", _MOMENT_S
        )
        self._orders = self._counter("orders", "Orders of operators.")
        self._calls = self._counter(
            "github_calls", "Calls to GitHub, by what was asked and the class of the answer.",
            "method", "endpoint", "status",
        )  # fmt: skip
        self._begin_at_zero()
        feed.watch(self.take)

    def collect(self) -> Iterable[Metric]:
        """Give all of them, as they are now."""
        self._feed.pass_on(self._let_go)
        self._count_calls()
        return self._registry.collect()

    def count_call(self, verb: str, route: str, status: str) -> None:
        """Count a call to GitHub.

        Args:
            verb: HTTP's.
            route: one of `github.calls.ROUTES`.
            status: of its answer, or the words for the absence of one.
        """
        self._called.append((verb, route, status))
        if len(self._called) > _MOST_NOTED:
            self._count_calls()

    def _count_calls(self) -> None:
        # Many are alike, and to find the counter of one takes longer than to note it.
        for (verb, route, status), times in Tally(_taken(self._called)).items():
            self._calls.labels(verb, route, classes.status_class(status)).inc(times)

    def miss_job(self, runner: str, job: Job) -> None:
        """Count a job of whose runner's end the feed is not told, once it is known how it ended.

        In any thread but that of a watcher.
        """
        self._feed.pass_on(partial(self._end, _Ended(runner, job, is_seen=False)))

    def take(self, record: Record, at_s: float) -> None:
        """Count what has happened, and was told then (monotonic)."""
        self._let_go(at_s)
        if record.kind is Kind.RUNNER:
            self._runner(record, at_s)
        elif record.kind is Kind.ACTOR:
            # Of the others the tree tells, as they are always there.
            if record.state == RESTARTED and is_runner(str(record.details.get("path"))):
                self._restarts.inc()
        elif record.kind is Kind.DECISION:
            verdict = record.state if record.state in classes.VERDICTS else "error"
            self._decisions.labels(verdict).inc()
            if (seconds := record.details.get("seconds")) is not None:
                self._decision_s.observe(seconds)
        elif record.kind is Kind.JOB:
            self._learn(record)
        elif record.kind is Kind.RECONCILE:
            self._reconciled(record, at_s)
        elif record.kind is Kind.ORDER and record.state == "ordered":
            self._orders.inc()

    def _runner(self, record: Record, at_s: float) -> None:
        if (waited_s := record.details.get("waited_s")) is not None:
            self._wait_s.observe(waited_s)
        if record.state == record.before:
            return  # only more is known of it
        lasted_s, stage_s = _lasted_s(record), self._stages_s.get(record.before)
        if lasted_s is not None and stage_s:
            stage_s.observe(lasted_s)
        if failure := _failure(record):
            self._failures.labels(*failure).inc()
        came = self._vacancies.take(record, at_s)
        if came.replaces:
            self._replacements.inc()
        if came.after_s is not None:
            self._next_s.observe(came.after_s)
        told = record.details.get("job")
        if record.state == Stage.DELETED and told is not None:
            self._end(_Ended(record.subject, Job(**told), is_seen=True), at_s)

    def _end(self, ended: _Ended, at_s: float) -> None:
        """Count a job now, or when GitHub has told how it ended if nobody has."""
        self._awaited.take(ended.runner)  # where it was missed, and was there after all
        if ended.job.result or not ended.job.can_be_looked_up:
            self._count_job(ended)
        else:
            patience_s = PATIENCE_S if ended.is_seen else UNSEEN_PATIENCE_S
            self._awaited.hold(ended.runner, ended, at_s + patience_s)

    def _let_go(self, at_s: float) -> None:
        """Wait no longer for what GitHub has not told in time."""
        for ended in self._awaited.overdue(at_s):
            self._count_job(ended)

    def _learn(self, record: Record) -> None:
        """Take in what GitHub tells of a job."""
        if ended := self._awaited.take(record.subject):
            self._count_job(ended._replace(job=learnt(ended.job, record.state)))
        self._queue_s.observe(record.details["queue_s"])

    def _count_job(self, ended: _Ended) -> None:
        """Count it once: one that was missed only if somebody can tell how it ended."""
        runner, job, is_seen = ended
        if runner in self._counted_unseen or not (is_seen or job.result):
            return
        if not is_seen:
            self._counted_unseen.add(runner)
        result, event = classes.result_class(job.result), classes.event_class(job.event)
        self._jobs.labels(result, event).inc()

    def _reconciled(self, record: Record, at_s: float) -> None:
        told = record.details
        self._reconcile_s.observe(told.get("duration_s") or 0.0)
        if told.get("idle", 0) + told.get("active", 0) >= told.get("wanted", 0):
            self._vacancies.fill(at_s, told.get("duration_s") or 0.0)

    def _begin_at_zero(self) -> None:
        """Show what has not happened yet, so that its first time is an increase."""
        for stage in _LIVING:
            for reason in classes.FAILURES:
                self._failures.labels(stage, reason)
        for result in (*classes.RESULTS.values(), classes.OTHER):
            for event in (*classes.EVENTS, classes.OTHER, classes.UNKNOWN):
                self._jobs.labels(result, event)
        for verdict in classes.VERDICTS:
            self._decisions.labels(verdict)

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", words, labels, registry=self._registry)

    def _histogram(
        self, name: str, words: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(
            f"{PREFIX}_{name}", words, labels, buckets=buckets, registry=self._registry
        )


def _taken(noted: deque[T]) -> Iterator[T]:
    """Take what is noted, the oldest first, and what comes meanwhile."""
    with suppress(IndexError):
        while True:
            yield noted.popleft()


def _lasted_s(record: Record) -> float | None:
    """Say how long the stage lasted that is left; None if that is not known."""
    job_s: float | None = record.details.get("job_s")
    if record.before == Stage.BUSY:
        return job_s
    if record.state == Stage.BUSY and record.before in UNUSED:
        # GitHub tells of a job when it is asked; and who has one has booted some time before.
        is_known = job_s is not None and record.before != Stage.BOOTING
        return record.lasted_s if is_known else None
    return record.lasted_s


def _failure(record: Record) -> tuple[str, str] | None:
    """Say in which stage a runner has failed with this, and the class of reason; None if not.

    One that ends by itself before it had a job has failed too, though nothing is left to remove.
    """
    cause = str(record.details.get("cause", ""))
    if record.state == Stage.FAILED:
        failed_in = str(record.details.get("failed_in"))
        # One that was found dead says nothing of runners made now.
        known = failed_in in _LIVING
        return (failed_in, classes.failure_class(cause, failed_in)) if known else None
    if record.before in UNUSED and not record.details.get("job"):
        if record.state == Stage.DELETED:
            return record.before, classes.GONE
        if record.state == Stage.FINISHED and cause == Cause.STOPPED:
            return record.before, classes.STOPPED
    return None
